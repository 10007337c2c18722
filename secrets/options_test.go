package secrets

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cofferhq/coffer/client"
)

func TestServerAndLoginComeFromTheEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		env   map[string]string
		token string // of the client
		login bool
		err   string // part of it; empty: none
	}{
		{"a token", map[string]string{"VAULT_TOKEN": "t", "VAULT_ROLE_ID": "r"}, "t", false, ""},
		{"a token in a file", map[string]string{"COFFER_TOKEN_FILE": file}, "from a file", false, ""},
		{"an AppRole", map[string]string{"COFFER_ROLE_ID": "r", "VAULT_SECRET_ID_FILE": file}, "", true, ""},
		{"nothing", nil, "", false, "set COFFER_TOKEN, or COFFER_ROLE_ID"},
		{"a file that is missing", map[string]string{"VAULT_TOKEN_FILE": "/none"}, "", false, "VAULT_TOKEN_FILE: open /none"},
		{"an address that is none", map[string]string{"VAULT_ADDR": "ftp://x", "VAULT_TOKEN": "t"}, "", false, "address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, login, err := fromEnvironment(func(name string) string { return tt.env[name] })
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || c.Token() != tt.token || (login != nil) != tt.login {
				t.Errorf("token %q, login %v, %v", c.Token(), login != nil, err)
			}
		})
	}
}

func TestTheSecretIDIsReadAtEachLogin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	env := map[string]string{"COFFER_ROLE_ID": "r", "COFFER_SECRET_ID_FILE": file}
	_, login, err := fromEnvironment(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c, err := client.New(client.Config{WrapTransport: func(http.RoundTripper) http.RoundTripper { return f }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := login(t.Context(), c); err == nil || !strings.Contains(err.Error(), "COFFER_SECRET_ID_FILE") {
			t.Errorf("without the file: %v", err)
		}
		if err := os.WriteFile(file, []byte("id"), 0o600); err != nil {
			t.Fatal(err)
		}
		if auth, err := login(t.Context(), c); err != nil || auth.ClientToken != "token1" {
			t.Errorf("with the file: %v", err)
		}
	})
}

func TestJitterIsAFifth(t *testing.T) {
	least, most := time.Hour, time.Duration(0)
	for range 10_000 {
		d := fifth(time.Minute)
		least, most = min(least, d), max(most, d)
	}
	if least < 48*time.Second || least > 49*time.Second || most > 72*time.Second || most < 71*time.Second {
		t.Errorf("between %v and %v", least, most)
	}
}

func TestInstancesOfAProcessAreToldApart(t *testing.T) {
	if a, b := defaultInstance(), defaultInstance(); a == b || a == "" {
		t.Errorf("%q and %q", a, b)
	}
}
