package conformance

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"
)

// An exampleApp is one of the programs below examples/.
type exampleApp struct {
	name    string
	command func(t *testing.T) []string
	policy  string // what it needs beside reading
}

var exampleApps = []exampleApp{
	{"python", func(t *testing.T) []string {
		return []string{debianPython, "-B", absolute(t, "../examples/python/app.py")}
	}, `path "secret/data/app/api" { capabilities = ["read", "update"] }`},
	{"go", func(t *testing.T) []string { return []string{got(goExample())(t)} },
		`path "secret/data/app/api" { capabilities = ["read", "patch"] }`},
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	try(t, err)
	return abs
}

// threeSecrets are what the tutorial has: a database URL, an API key, a TLS
// certificate with its key.
type threeSecrets struct{ databaseURL, apiKey, certificate, privateKey string }

func storeThreeSecrets(t *testing.T, c *vault.Client) threeSecrets {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	try(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	try(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	try(t, err)
	s := threeSecrets{
		databaseURL: "postgresql://app:" + rand.Text() + "@db/app", apiKey: rand.Text(),
		certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		privateKey:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})),
	}
	kv, ctx := c.KVv2("secret"), t.Context()
	got(kv.Put(ctx, "app/database", map[string]any{"url": s.databaseURL}))(t)
	got(kv.Put(ctx, "app/api", map[string]any{"key": s.apiKey, "owner": "payments"}))(t)
	got(kv.Put(ctx, "app/tls", map[string]any{"certificate": s.certificate, "private_key": s.privateKey}))(t)
	return s
}

// proved checks what an application shows of the secrets that it says it has.
func (s threeSecrets) proved(t *testing.T, url string) (versions map[string]int) {
	t.Helper()
	nonce := rand.Text()
	var p struct {
		Versions    map[string]int `json:"versions"`
		DatabaseURL string         `json:"database_url"`
		APIKey      string         `json:"api_key"`
		TLSKey      string         `json:"tls_key"`
	}
	body := fetch(t, http.MethodGet, url+"/proof?nonce="+nonce)
	try(t, json.Unmarshal([]byte(body), &p))
	for _, c := range []struct{ name, secret, shown string }{
		{"database URL", s.databaseURL, p.DatabaseURL}, {"API key", s.apiKey, p.APIKey}, {"TLS key", s.privateKey, p.TLSKey},
	} {
		mac := hmac.New(sha256.New, []byte(c.secret))
		mac.Write([]byte(nonce))
		if hex.EncodeToString(mac.Sum(nil)) != c.shown {
			t.Errorf("the application has another %s", c.name)
		}
		if strings.Contains(body, c.secret) {
			t.Errorf("the application shows the %s", c.name)
		}
	}
	return p.Versions
}

func fetch(t *testing.T, method, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	try(t, err)
	resp, err := http.DefaultClient.Do(req)
	try(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	try(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, url, resp.StatusCode, body)
	}
	return string(body)
}

// startApp starts an application and returns its URL, and a function that ends
// it and returns all that it wrote.
func startApp(t *testing.T, env []string, command ...string) (url string, stop func() string) {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	var written strings.Builder
	out, err := cmd.StdoutPipe()
	try(t, err)
	cmd.Stderr = &written
	try(t, cmd.Start())
	lines := bufio.NewReader(out)
	line, _ := lines.ReadString('\n') // what went wrong is in written
	done := make(chan struct{})
	var rest []byte
	go func() { rest, _ = io.ReadAll(lines); close(done) }() // ends with the process
	stop = sync.OnceValue(func() string {
		cmd.Process.Signal(syscall.SIGTERM)
		<-done
		cmd.Wait()
		return line + string(rest) + written.String()
	})
	t.Cleanup(func() { stop() })
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		t.Fatalf("the application did not start: %s", stop())
	}
	return url, stop
}

// The tutorial's application, in two languages: it logs in with AppRole, reads
// three secrets, rotates one, and uses the new one.
func TestExampleApplications(t *testing.T) {
	for _, app := range exampleApps {
		t.Run(app.name+" logs in by itself", func(t *testing.T) {
			addr := startDev(t)
			c := goClient(t, addr, rootToken)
			secrets := storeThreeSecrets(t, c)
			try(t, c.Sys().PutPolicy("extra", app.policy))
			roleID, secretID := appRole(t, c, map[string]any{"token_policies": "app,extra"})
			url, stop := startApp(t, []string{"VAULT_ADDR=" + addr, "VAULT_ROLE_ID=" + roleID, "VAULT_SECRET_ID=" + secretID}, app.command(t)...)

			if v := secrets.proved(t, url); v["api"] != 1 {
				t.Errorf("versions at first: %v", v)
			}
			fetch(t, http.MethodPost, url+"/rotate")
			rotated := got(c.KVv2("secret").Get(t.Context(), "app/api"))(t)
			if rotated.VersionMetadata.Version != 2 || rotated.Data["key"] == secrets.apiKey || rotated.Data["owner"] != "payments" {
				t.Errorf("after the rotation: version %d, owner %v", rotated.VersionMetadata.Version, rotated.Data["owner"])
			}
			secrets.apiKey, _ = rotated.Data["key"].(string)
			if v := secrets.proved(t, url); v["api"] != 2 {
				t.Errorf("versions after the rotation: %v", v)
			}
			written := stop()
			for _, secret := range []string{secrets.databaseURL, secrets.apiKey, secretID} {
				if strings.Contains(written, secret) {
					t.Error("the application wrote a secret")
				}
			}
		})
		t.Run(app.name+" below coffer run", func(t *testing.T) {
			addr := startDev(t)
			c := goClient(t, addr, rootToken)
			secrets := storeThreeSecrets(t, c)
			roleID, secretID := appRole(t, c, nil)
			env := []string{
				"COFFER_ADDR=" + addr, "COFFER_ROLE_ID=" + roleID, "COFFER_SECRET_ID=" + secretID,
				"DATABASE_URL=vault:secret/app/database#url", "API_KEY=vault:secret/app/api#key",
				"TLS_CERT=ref+vault://secret/app/tls#/certificate", "TLS_KEY=coffer://secret/app/tls#private_key",
			}
			url, _ := startApp(t, env, append([]string{coffer(t), "run", "--"}, app.command(t)...)...)
			secrets.proved(t, url)
		})
	}
}

// The Python example's own tests, which need no server.
func TestThePythonExampleAlone(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), debianPython, "-B", "-m", "unittest")
	cmd.Dir = "../examples/python"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
