package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// A step does one thing, checks it, and says what it has done.
type step func(ctx context.Context, s *stage) (said string, err error)

// steps are the story, in order.
var steps = []step{
	startServer,
	initialise,
	enableAudit,
	furnish,
	storeSecrets,
	createRole,
	startApplication,
	rotateKey,
	restartApplication,
	stealEnvFile,
	comeAsForeigner,
	searchForSecrets,
}

const (
	auditFile = "audit.log"
	policyHCL = `path "secret/data/app/*" { capabilities = ["read"] }`
)

const configuration = `storage "pebble" { path = %q }
listener "tcp" {
  address             = "127.0.0.1:0"
  tls_self_signed_dir = %q
}
`

var (
	serves    = regexp.MustCompile(`serves at (https://\S+)`)
	listening = regexp.MustCompile(`listening on (https://\S+)`)
)

func startServer(ctx context.Context, s *stage) (string, error) {
	config := s.path("coffer.hcl")
	text := fmt.Sprintf(configuration, s.path("data"), s.path("tls"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return "", err
	}
	var err error
	if s.server, err = s.start("server.log", nil, s.Keep, "server", "-config="+config); err != nil {
		return "", err
	}
	address, err := s.server.ready(ctx, serves)
	if err != nil {
		return "", err
	}
	s.caFile = filepath.Join(s.path("tls"), "ca.pem")
	s.api, err = client.New(client.Config{Address: address, CACertFile: s.caFile})
	return "A server is up at " + address + ", with a certificate of its own making; its data goes to " + s.path("data"), err
}

func initialise(ctx context.Context, s *stage) (string, error) {
	var first api.InitResponse
	if err := s.bare(ctx, "sys/init", api.InitRequest{SecretShares: 3, SecretThreshold: 2}, &first); err != nil {
		return "", err
	}
	var status api.SealStatus
	for _, share := range first.KeysBase64[:2] {
		if err := s.bare(ctx, "sys/unseal", api.UnsealRequest{Key: share}, &status); err != nil {
			return "", err
		}
	}
	if status.Sealed {
		return "", errors.New("two shares have not unsealed the server")
	}
	s.api.SetToken(first.RootToken)
	return "It is initialised with three key shares, and two of them have unsealed it", nil
}

// bare calls one of the paths that answer without Vault's envelope.
func (s *stage) bare(ctx context.Context, path string, in, out any) error {
	a, err := s.api.Raw(ctx, client.Request{Method: http.MethodPut, Path: path, Body: in})
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		return client.Refusal(a, http.MethodPut, path)
	}
	return json.Unmarshal(a.Body, out)
}

// write writes to some paths, in order.
func (s *stage) write(ctx context.Context, writes ...write) error {
	for _, w := range writes {
		if _, err := s.api.Write(ctx, w.path, w.body); err != nil {
			return err
		}
	}
	return nil
}

type write struct {
	path string
	body map[string]any
}

func enableAudit(ctx context.Context, s *stage) (string, error) {
	file := s.path(auditFile)
	err := s.write(ctx, write{"sys/audit/file", map[string]any{"type": "file", "options": map[string]any{"file_path": file}}})
	s.trail.path = file
	return "From here on every request and every answer is recorded before it leaves, values as HMACs", err
}

func furnish(ctx context.Context, s *stage) (string, error) {
	return "KV keeps secrets at secret/, AppRole lets applications log in, and a policy gives ours no more than " + policyHCL, s.write(ctx,
		write{"sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}}},
		write{"sys/auth/approle", map[string]any{"type": "approle"}},
		write{"sys/policies/acl/app", map[string]any{"policy": policyHCL}})
}

func storeSecrets(ctx context.Context, s *stage) (string, error) {
	var err error
	if s.secrets, err = newSecrets(); err != nil {
		return "", err
	}
	return "Three secrets are stored: a database URL, an API key, a TLS certificate with its key", s.write(ctx,
		kvWrite(databasePath, map[string]any{"url": s.secrets.databaseURL}),
		kvWrite(apiPath, map[string]any{"key": s.secrets.apiKey}),
		kvWrite(tlsPath, map[string]any{"certificate": s.secrets.certificate, "private_key": s.secrets.privateKey}))
}

func kvWrite(path string, data map[string]any) write {
	return write{mountPath + "data/" + path, map[string]any{"data": data}}
}

func createRole(ctx context.Context, s *stage) (said string, err error) {
	s.app, err = s.role(ctx, "app", "app")
	return "The application has a role of its own: a role id and a secret id, good for ten minutes", err
}

// role makes a role and what an application logs in with.
func (s *stage) role(ctx context.Context, name, policy string) (login, error) {
	path := "auth/approle/role/" + name
	err := s.write(ctx, write{path, map[string]any{
		"token_policies": policy, "token_ttl": "5m", "secret_id_ttl": "10m", "secret_id_num_uses": 5,
	}})
	if err != nil {
		return login{}, err
	}
	role, err := s.api.Read(ctx, path+"/role-id")
	if err != nil {
		return login{}, err
	}
	made, err := s.api.Write(ctx, path+"/secret-id", nil)
	if err != nil {
		return login{}, err
	}
	var l login
	l.roleID, _ = role.Data["role_id"].(string)
	l.secretID, _ = made.Data["secret_id"].(string)
	if l.roleID == "" || l.secretID == "" {
		return login{}, fmt.Errorf("role %s has no ids", name)
	}
	return l, nil
}

// serverEnv tells programs where the server is.
func (s *stage) serverEnv() []string {
	return []string{"COFFER_ADDR=" + s.address(), "COFFER_CACERT=" + s.caFile}
}

// loginEnv is serverEnv with what an application logs in with.
func (s *stage) loginEnv(l login) []string {
	return append(s.serverEnv(), "COFFER_ROLE_ID="+l.roleID, "COFFER_SECRET_ID="+l.secretID)
}

func startApplication(ctx context.Context, s *stage) (string, error) {
	if err := os.WriteFile(s.path(".env"), []byte(envFile), 0o644); err != nil {
		return "", err
	}
	return "coffer run -env-file .env -- application: the file has only references, the application its three secrets",
		s.runApplication(ctx)
}

// runApplication starts the application below coffer run and has it prove that
// it has the secrets of now.
func (s *stage) runApplication(ctx context.Context) error {
	p, err := s.start("application.log", s.loginEnv(s.app), false,
		"run", "-env-file", s.path(".env"), "--", s.Program, "demo", "application")
	if err != nil {
		return err
	}
	s.running = p
	url, err := p.ready(ctx, listening)
	if err != nil {
		return err
	}
	return s.askForProof(ctx, url)
}

func (s *stage) askForProof(ctx context.Context, url string) error {
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM([]byte(s.secrets.certificate))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	nonce := rand.Text()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/?nonce="+nonce, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("the application does not serve with its certificate: %w", err)
	}
	defer resp.Body.Close()
	var got proof
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return err
	}
	if got != prove(s.secrets.databaseURL, s.secrets.apiKey, nonce) {
		return errors.New("the application has other secrets than those that are stored")
	}
	return nil
}

func (s *stage) stopApplication() error {
	if s.running == nil {
		return nil
	}
	p := s.running
	s.running = nil
	return p.stop()
}

func rotateKey(ctx context.Context, s *stage) (string, error) {
	s.secrets.apiKey = rand.Text()
	kv, err := s.api.Write(ctx, mountPath+"data/"+apiPath, kvWrite(apiPath, map[string]any{"key": s.secrets.apiKey}).body)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("The API key is rotated: version %v is stored, the other secrets stay as they are", kv.Data["version"]), nil
}

func restartApplication(ctx context.Context, s *stage) (string, error) {
	if err := s.stopApplication(); err != nil {
		return "", err
	}
	return "The application, started again, proves that it uses the new key", s.runApplication(ctx)
}

func stealEnvFile(ctx context.Context, s *stage) (string, error) {
	out, code, err := s.runToEnd(ctx, s.serverEnv(), "run", "-env-file", s.path(".env"), "--", s.Program, "demo", "application")
	if err != nil {
		return "", err
	}
	if code == 0 || s.secrets.in(out) {
		return "", errors.New("coffer run gave secrets to someone without a login")
	}
	thief := s.api.WithToken("")
	if _, err = thief.Read(ctx, mountPath+"data/"+apiPath); client.StatusOf(err) != http.StatusForbidden {
		return "", fmt.Errorf("a request without a token was not answered 403: %w", err)
	}
	return fmt.Sprintf("A thief with the .env file gets nothing: coffer run refuses (exit code %d), the server answers 403", code), nil
}

func comeAsForeigner(ctx context.Context, s *stage) (string, error) {
	foreign, err := s.role(ctx, "foreign", "default")
	if err != nil {
		return "", err
	}
	auth, err := s.api.LoginAppRole(ctx, "approle", foreign.roleID, foreign.secretID)
	if err != nil {
		return "", err
	}
	_, err = s.api.WithToken(auth.ClientToken).Read(ctx, mountPath+"data/"+apiPath)
	if client.StatusOf(err) != http.StatusForbidden {
		return "", fmt.Errorf("a foreign role was not answered 403: %w", err)
	}
	return "Another application's role logs in, asks for the API key, and is answered 403", nil
}

func searchForSecrets(_ context.Context, s *stage) (string, error) {
	if err := s.stopApplication(); err != nil {
		return "", err
	}
	files := 0
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		if s.secrets.in(string(text)) {
			return fmt.Errorf("%s has a secret in it", path)
		}
		if strings.HasPrefix(path, s.path("data")) && bytes.Contains(text, []byte(apiPath)) {
			return fmt.Errorf("%s has the path of a secret in it", path)
		}
		return nil
	})
	return fmt.Sprintf("No secret is in any of the %d files of data, logs, audit and configuration, nor its path in the data", files), err
}

// in says whether any of the secrets is in text.
func (v secrets) in(text string) bool {
	key := strings.Split(v.privateKey, "\n")[1] // of the PEM's lines
	for _, secret := range []string{v.databaseURL, v.apiKey, key} {
		if strings.Contains(text, secret) {
			return true
		}
	}
	return false
}
