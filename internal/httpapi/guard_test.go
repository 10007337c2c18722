package httpapi_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/httpapi"
)

func TestGuardedPathsNeedATokenWithSudo(t *testing.T) {
	s := newServer(t, func(o *httpapi.Options) { o.SudoRekey, o.SudoGenerateRoot = true, true })
	log := filepath.Join(t.TempDir(), "audit.log")
	s.must(http.MethodPut, "/v1/sys/audit/file", `{"type":"file","options":{"file_path":"`+log+`"}}`)
	s.must(http.MethodPut, "/v1/sys/policies/acl/plain", `{"policy":"path \"sys/*\" { capabilities = [\"read\", \"update\", \"list\"] }"}`)
	s.must(http.MethodPut, "/v1/sys/policies/acl/holder", `{"policy":"path \"sys/rekey/*\" { capabilities = [\"read\", \"update\", \"sudo\"] }"}`)
	token := func(policy, more string) string {
		return s.must(http.MethodPut, "/v1/auth/token/create", `{"policies":["`+policy+`"]`+more+`}`).text(t, "auth.client_token")
	}
	plain, holder, once := token("plain", ""), token("holder", ""), token("holder", `,"num_uses":1`)

	for _, tt := range []struct {
		name, token, method, path string
		want                      int
	}{
		{"nobody", "", http.MethodGet, "sys/rekey/init", 403},
		{"nobody, of the recovery key", "", http.MethodGet, "sys/rekey-recovery-key/init", 403},
		{"nobody makes a root token", "", http.MethodPut, "sys/generate-root/attempt", 403},
		{"an unknown token", "cfs.unknown", http.MethodGet, "sys/rekey/init", 403},
		{"a token without sudo", plain, http.MethodGet, "sys/rekey/init", 403},
		{"a token without sudo that lists", plain, http.MethodGet, "sys/rekey/init?list=true", 403},
		{"a token with sudo", holder, http.MethodGet, "sys/rekey/init", 200},
		{"a token with sudo, for another operation", holder, http.MethodDelete, "sys/rekey/init", 403},
		{"a token with sudo, for another path", holder, http.MethodGet, "sys/generate-root/attempt", 403},
		{"a token for one use", once, http.MethodGet, "sys/rekey/init", 200},
		{"its second use", once, http.MethodGet, "sys/rekey/init", 403},
		{"root", rootText, http.MethodGet, "sys/generate-root/attempt", 200},
		{"an operation that is none", rootText, http.MethodHead, "sys/rekey/init", 405},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a := s.do(tt.method, "/v1/"+tt.path, "", "X-Vault-Token", tt.token); a.status != tt.want {
				t.Errorf("%d %s, want %d", a.status, a.body, tt.want)
			}
		})
	}

	begun := s.must(http.MethodPut, "/v1/sys/rekey/init", `{"secret_shares":1,"secret_threshold":1}`, "X-Vault-Token", holder)
	s.must(http.MethodPut, "/v1/sys/rekey/update", `{"key":"`+s.keys[0]+`","nonce":"`+begun.text(t, "nonce")+`"}`, "X-Vault-Token", holder)
	lines, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(lines); !strings.Contains(text, `"path":"sys/rekey/update"`) || strings.Contains(text, s.keys[0]) {
		t.Errorf("on record:\n%s", text)
	}
}

func TestUnguardedPathsNeedNoToken(t *testing.T) {
	s := newServer(t, func(o *httpapi.Options) { o.SudoRekey = true })
	if a := s.do(http.MethodGet, "/v1/sys/generate-root/attempt", "", "X-Vault-Token", ""); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestEveryAnswerNamesTheHost(t *testing.T) {
	named, plain := newServer(t, func(o *httpapi.Options) { o.Hostname = "node-1" }), newServer(t)
	for _, path := range []string{"/", "/v1/sys/health", "/v1/secret/data/none", "/v1//sys"} {
		if got := named.do(http.MethodGet, path, "").header.Get("X-Vault-Hostname"); got != "node-1" {
			t.Errorf("%s: %q", path, got)
		}
		if got := plain.do(http.MethodGet, path, "").header.Values("X-Vault-Hostname"); got != nil {
			t.Errorf("%s: %q without being asked", path, got)
		}
	}
}
