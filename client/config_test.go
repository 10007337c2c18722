package client

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestConfigFromEnvPrefersOurOwnNames(t *testing.T) {
	c, err := ConfigFromEnv(env(
		"VAULT_ADDR", "http://v", "COFFER_ADDR", "http://c", "VAULT_TOKEN", "t", "VAULT_NAMESPACE", "n",
		"VAULT_SKIP_VERIFY", "true", "VAULT_CLIENT_TIMEOUT", "90", "VAULT_MAX_RETRIES", "0", "VAULT_WRAP_TTL", "5m",
		"VAULT_CACERT", "a", "VAULT_CAPATH", "b", "VAULT_CLIENT_CERT", "c", "VAULT_CLIENT_KEY", "d", "VAULT_TLS_SERVER_NAME", "e",
	))
	if err != nil {
		t.Fatal(err)
	}
	if c.Address != "http://c" || c.Token != "t" || c.Namespace != "n" || !c.SkipVerify || c.Timeout != 90*time.Second ||
		c.MaxRetries != NoRetries || c.WrapTTL != "5m" || c.CACertFile+c.CAPath+c.ClientCert+c.ClientKey+c.TLSServerName != "abcde" {
		t.Errorf("%#v", struct{ C Config }{c})
	}
}

func TestConfigFromEnvReportsEveryBadValueByName(t *testing.T) {
	_, err := ConfigFromEnv(env("VAULT_SKIP_VERIFY", "maybe", "COFFER_CLIENT_TIMEOUT", "-1s", "VAULT_MAX_RETRIES", "many"))
	for _, name := range []string{"VAULT_SKIP_VERIFY", "COFFER_CLIENT_TIMEOUT", "VAULT_MAX_RETRIES"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}

func TestNewRefusesSettingsThatCannotBeUsed(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no scheme":           {Address: "localhost:8200"},
		"another scheme":      {Address: "ftp://h"},
		"no socket":           {Address: "unix://"},
		"no host":             {Address: "http://"},
		"no such authority":   {CACertFile: "/does/not/exist"},
		"an authority empty":  {CACertPEM: []byte("x")},
		"no such folder":      {CAPath: "/does/not/exist"},
		"half a certificate":  {ClientCert: "a"},
		"no such certificate": {ClientCert: "a", ClientKey: "b"},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAnAddressMayBeASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"request_id":"r","data":{"path":"` + r.URL.Path + `"}}`))
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	defer func() { _ = srv.Close(); <-done }()
	c, err := New(Config{Address: "unix://" + path})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Read(t.Context(), "sys/x")
	if err != nil || s.Data["path"] != "/v1/sys/x" {
		t.Errorf("%v, %v", s, err)
	}
}
