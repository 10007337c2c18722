package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// makeCertificate returns a new certificate and its key, PEM.
func makeCertificate(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	return cert, key
}

// lookUp is an environment.
func lookUp(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

// withLogin returns an application that has logged in to a fake, and the fake.
func withLogin(t *testing.T) (*application, *fakeVault) {
	t.Helper()
	v := newFakeVault(t)
	cert, key := makeCertificate(t, "shop.example.com")
	v.put("app/database", map[string]any{"url": "postgresql://app:canary@db/app"})
	v.put("app/api", map[string]any{"key": "first key", "owner": "payments"})
	v.put("app/tls", map[string]any{"certificate": cert, "private_key": key})
	src, err := openSource(t.Context(), lookUp(map[string]string{
		"VAULT_ADDR": v.URL, "VAULT_ROLE_ID": roleID, "VAULT_SECRET_ID": secretID,
	}))
	if err != nil {
		t.Fatal(err)
	}
	app, err := newApplication(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
		if len(v.tokens) != 0 {
			t.Errorf("%d tokens were not given back", len(v.tokens))
		}
	})
	return app, v
}

func ask(app *application, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	app.handler().ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

func wantAPIKey(t *testing.T, app *application, want string) {
	t.Helper()
	var got proof
	body := ask(app, "GET", "/proof?nonce=somethingnew").Body.String()
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if got.APIKey != mac(want, "somethingnew") {
		t.Errorf("the API key is not %q", want)
	}
	if strings.Contains(body, want) {
		t.Error("the proof shows the secret")
	}
}

func TestItLogsInAndProvesWhatItHas(t *testing.T) {
	app, _ := withLogin(t)
	wantAPIKey(t, app, "first key")
	if body := ask(app, "GET", "/proof?nonce=somethingnew").Body.String(); !strings.Contains(body, "CN=shop.example.com") {
		t.Errorf("the certificate is not described: %s", body)
	}
	if code := ask(app, "GET", "/proof?nonce=short").Code; code != http.StatusBadRequest {
		t.Errorf("a short nonce gets %d", code)
	}
	if got := ask(app, "GET", "/healthz").Body.String(); got != "ok\n" {
		t.Errorf("health is %q", got)
	}
}

func TestItRotatesTheKeyAndNothingElse(t *testing.T) {
	app, v := withLogin(t)
	if got := ask(app, "POST", "/rotate"); got.Code != http.StatusOK || strings.TrimSpace(got.Body.String()) != `{"version":2}` {
		t.Fatalf("got %d %s", got.Code, got.Body)
	}
	data := v.newest("app/api")
	if data["owner"] != "payments" || data["key"] == "first key" {
		t.Errorf("stored is %v", data)
	}
	wantAPIKey(t, app, data["key"].(string))
}

func TestNoWebPageRotates(t *testing.T) {
	app, v := withLogin(t)
	r := httptest.NewRequest("POST", "/rotate", nil)
	r.Header.Set("Origin", "https://evil.example.com")
	w := httptest.NewRecorder()
	app.handler().ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || len(v.secrets["app/api"]) != 1 {
		t.Errorf("got %d", w.Code)
	}
}

func TestItReadsAgainWhenTold(t *testing.T) {
	app, v := withLogin(t)
	v.put("app/api", map[string]any{"key": "second key"})
	wantAPIKey(t, app, "first key")
	if code := ask(app, "GET", "/reload").Code; code != http.StatusOK {
		t.Fatalf("got %d", code)
	}
	wantAPIKey(t, app, "second key")

	v.put("app/api", map[string]any{"other": "x"})
	if code := ask(app, "POST", "/reload").Code; code != http.StatusBadGateway {
		t.Fatalf("without the key: got %d", code)
	}
	wantAPIKey(t, app, "second key")
}

func TestADeadTokenIsReplaced(t *testing.T) {
	app, v := withLogin(t)
	v.mu.Lock()
	clear(v.tokens)
	v.mu.Unlock()
	if code := ask(app, "GET", "/reload").Code; code != http.StatusOK || v.logins != 2 {
		t.Errorf("got %d after %d logins", code, v.logins)
	}
}

func TestAMissingRightIsNoReasonToLogIn(t *testing.T) {
	app, v := withLogin(t)
	v.mu.Lock()
	v.barred = "app/api"
	v.mu.Unlock()
	if code := ask(app, "GET", "/reload").Code; code != http.StatusBadGateway || v.logins != 1 {
		t.Errorf("got %d after %d logins", code, v.logins)
	}
}

func TestAWrongSecretIDIsRefused(t *testing.T) {
	v := newFakeVault(t)
	_, err := openSource(t.Context(), lookUp(map[string]string{
		"VAULT_ADDR": v.URL, "VAULT_ROLE_ID": roleID, "VAULT_SECRET_ID": "guessed",
	}))
	if err == nil || strings.Contains(err.Error(), "guessed") {
		t.Errorf("got %v", err)
	}
}

func TestTheEnvironmentIsUsedIfItHasTheValues(t *testing.T) {
	cert, key := makeCertificate(t, "shop.example.com")
	_, other := makeCertificate(t, "other.example.com")
	all := map[string]string{"DATABASE_URL": "d", "API_KEY": "from coffer run", "TLS_CERT": cert, "TLS_KEY": key}
	for _, tt := range []struct {
		name   string
		change map[string]string
		want   string // part of the error; empty: none
	}{
		{"all values", nil, ""},
		{"one is missing", map[string]string{"API_KEY": ""}, "is set but not API_KEY"},
		{"one is a reference", map[string]string{"API_KEY": "vault:secret/app#key"}, "API_KEY is a reference"},
		{"the key is another's", map[string]string{"TLS_KEY": other}, "TLS certificate"},
		{
			"none at all",
			map[string]string{"DATABASE_URL": "", "API_KEY": "", "TLS_CERT": "", "TLS_KEY": ""},
			"VAULT_ADDR not set",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := map[string]string{}
			for _, part := range []map[string]string{all, tt.change} {
				for name, value := range part {
					env[name] = value
				}
			}
			src, err := openSource(t.Context(), lookUp(env))
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			app, err := newApplication(t.Context(), src)
			if err != nil {
				t.Fatal(err)
			}
			wantAPIKey(t, app, "from coffer run")
			if code := ask(app, "POST", "/rotate").Code; code != http.StatusConflict {
				t.Errorf("a rotation gets %d", code)
			}
		})
	}
}

func TestSecretsDoNotPrintThemselves(t *testing.T) {
	app, _ := withLogin(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		if text := fmt.Sprintf(verb, app.secrets.Load()); strings.Contains(text, "canary") {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}

func TestItServesWithTheCertificateAndFollowsSignals(t *testing.T) {
	app, v := withLogin(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	hangUp, done := make(chan os.Signal), make(chan error)
	go func() { done <- serve(ctx, app, l, true, hangUp) }()

	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(v.newest("app/tls")["certificate"].(string)))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "shop.example.com"}}
	defer transport.CloseIdleConnections()
	v.put("app/api", map[string]any{"key": "second key"})
	hangUp <- syscall.SIGHUP
	hangUp <- syscall.SIGHUP // is taken when the first has been dealt with
	resp, err := (&http.Client{Transport: transport}).Get("https://" + l.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); !strings.Contains(string(body), `"api":2`) {
		t.Errorf("got %s", body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
