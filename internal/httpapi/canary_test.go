package httpapi_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// canary is a secret in all the forms in which it could leak.
type canary struct{ what, text string }

func (c canary) forms() []string {
	quoted, _ := json.Marshal(c.text) // a text always marshals
	return []string{
		c.text, strings.Trim(string(quoted), `"`), url.QueryEscape(c.text), hex.EncodeToString([]byte(c.text)),
		base64.StdEncoding.EncodeToString([]byte(c.text))[:16], // without what its neighbours decide
	}
}

// What is secret leaves the server in the answer to who may have it, and nowhere
// else.
func TestSecretsLeakNowhere(t *testing.T) {
	s := newServer(t)
	file := filepath.Join(t.TempDir(), "audit.log")
	s.must(http.MethodPut, "/v1/sys/audit/file", `{"type":"file","options":{"file_path":"`+file+`"}}`)

	value := canary{"value", "canary-value-7Jq2"}
	patched := canary{"patched value", "canary-patch-88Xw"}
	input := canary{"input of a request that is refused", "canary-input-51Lk"}
	s.must(http.MethodPost, "/v1/secret/data/app", `{"data":{"password":"`+value.text+`"}}`)
	s.must(http.MethodPatch, "/v1/secret/data/app", `{"data":{"user":"`+patched.text+`"}}`, "Content-Type", "application/merge-patch+json")
	s.must(http.MethodPost, "/v1/secret/data/canary-path-3Hh9/x", `{"data":{"k":"v"}}`)
	s.must(http.MethodPost, "/v1/cubbyhole/x", `{"k":"`+value.text+`"}`)
	made := s.must(http.MethodPost, "/v1/auth/token/create", `{"policies":["default"]}`)
	token := canary{"token", made.text(t, "auth.client_token")}
	wrapped := canary{"wrapping token", s.must(http.MethodGet, "/v1/secret/data/app", "", "X-Vault-Wrap-TTL", "5m").text(t, "wrap_info.token")}
	if a := s.must(http.MethodPost, "/v1/sys/wrapping/unwrap", "", "X-Vault-Token", wrapped.text); !strings.Contains(string(a.body), value.text) {
		t.Errorf("unwrapped: %s", a.body)
	}
	canaries := []canary{value, patched, input, token, wrapped}

	var answers strings.Builder // those that nobody was to learn a secret from
	refuse := func(method, path, body string, header ...string) {
		a := s.do(method, path, body, header...)
		if a.status < 400 {
			t.Errorf("%s %s: %d", method, path, a.status)
		}
		answers.Write(a.body)
	}
	refuse(http.MethodGet, "/v1/secret/data/app", "", "X-Vault-Token", token.text)
	refuse(http.MethodPost, "/v1/secret/data/app", `{"data":"`+input.text+`"}`)
	refuse(http.MethodPost, "/v1/secret/data/app", `{"data":{"a":"`+input.text+`"}`)
	refuse(http.MethodPost, "/v1/secret/data/app", `{"data":{"a":"`+input.text+`"},"options":{"cas":77}}`)
	refuse(http.MethodPost, "/v1/auth/token/create", `{"id":"`+token.text+`"}`)
	refuse(http.MethodPost, "/v1/auth/token/lookup", `{"token":"`+input.text+`"}`)
	refuse(http.MethodGet, "/v1/secret/data/app", "", "X-Vault-Token", input.text)
	refuse(http.MethodPost, "/v1/sys/wrapping/unwrap", `{"token":"`+wrapped.text+`"}`)
	refuse(http.MethodPut, "/v1/sys/unseal", `{"key":"`+input.text+`"}`)
	answers.Write(s.must(http.MethodGet, "/v1/sys/metrics?format=prometheus", "").body)
	answers.Write(s.must(http.MethodGet, "/v1/sys/internal/specs/openapi", "").body)
	answers.Write(s.must(http.MethodPost, "/v1/auth/token/lookup-accessor", `{"accessor":"`+made.text(t, "auth.accessor")+`"}`).body)
	s.Close()

	audit, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for place, text := range map[string]string{
		"audit": string(audit), "log": s.log.String(), "answers": answers.String(), "store": s.raw(),
	} {
		for _, c := range canaries {
			for _, form := range c.forms() {
				if strings.Contains(text, form) {
					t.Errorf("the %s is in the %s, as %q", c.what, place, form)
				}
			}
		}
	}
	for _, name := range []string{"canary-path-3Hh9", "password"} {
		if strings.Contains(s.raw(), name) {
			t.Errorf("the name %q is in the store", name)
		}
	}
}

// raw is all that the store holds.
func (s *server) raw() string {
	s.t.Helper()
	snap, err := s.store.Snapshot(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer snap.Close()
	var b strings.Builder
	for e, err := range snap.Range(s.t.Context(), "", "") {
		if err != nil {
			s.t.Fatal(err)
		}
		b.WriteString(e.Key + "\n")
		b.Write(e.Value)
		b.WriteByte('\n')
	}
	if b.Len() == 0 {
		s.t.Fatal("the store is empty")
	}
	return b.String()
}
