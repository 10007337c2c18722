package cli

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A server with two mounts, a policy that lets some paths be read, and a lease.
func checkedServer(t *testing.T) (url string, requests func() string) {
	t.Helper()
	var mu sync.Mutex
	var seen strings.Builder
	answers := map[string]string{
		"/v1/sys/internal/ui/mounts/secret/app":         `{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`,
		"/v1/sys/internal/ui/mounts/secret/data/denied": `{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`,
		"/v1/sys/internal/ui/mounts/secret/denied":      `{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`,
		"/v1/sys/internal/ui/mounts/db/creds/app":       `{"data":{"path":"db/","type":"database","options":null}}`,
		"/v1/secret/data/app":                           `{"data":{"data":{"password":"hunter2","port":"hunter3"},"metadata":{"version":4}}}`,
		"/v1/db/creds/app":                              `{"lease_id":"db/creds/app/1","lease_duration":60,"data":{"username":"u","password":"hunter4"}}`,
		"/v1/sys/leases/revoke":                         `{}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		fmt.Fprintln(&seen, r.Method, r.URL.Path, string(body))
		mu.Unlock()
		answer, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusForbidden)
			answer = `{"errors":["permission denied"]}`
		}
		fmt.Fprintln(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() string { mu.Lock(); defer mu.Unlock(); return seen.String() }
}

func TestCheckTellsOfEverySecret(t *testing.T) {
	const wrong = `secrets:
  GOOD: {reference: "vault:secret/app#password"}
  ABSENT: {reference: "vault:secret/app#user"}
  OPTIONAL: {reference: "vault:secret/app#user", required: false}
  PORT: {reference: "vault:secret/app#port", type: port}
  DENIED: {reference: "vault:secret/denied#x"}
  HIDDEN: {reference: "vault:hidden/x#y"}
  UNSET: {}
`
	tests := []struct {
		name, manifest string
		flags          []string
		code           int
		want           []string
	}{
		{"all is well, and leases are given back", `secrets:
  DB_PASSWORD: {reference: "vault:secret/app#password"}
  DB_USER: {reference: "vault:db/creds/app#username"}
  LOG_LEVEL: {default: info}
`, nil, exitOK, []string{"DB_USER        ok       vault:db/creds/app#username", "LOG_LEVEL      ok       environment"}},
		{"much is wrong", wrong, nil, exitServer, []string{
			"GOOD        ok            vault:secret/app#password ",
			"ABSENT      missing       vault:secret/app#user             the secret has no such field",
			"OPTIONAL    ok            vault:secret/app?optional#user",
			"PORT        wrong type    vault:secret/app#port             it is no port: want a number from 1 to 65535",
			"DENIED      denied        vault:secret/denied#x             the token may not read secret/data/denied",
			"HIDDEN      denied        vault:hidden/x#y                  the token may not read hidden/x",
			"UNSET       missing       environment                       nothing sets UNSET",
			"path \"secret/data/denied\" {\n  capabilities = [\"read\"]\n}",
			"for any other, leave out data/.\npath \"hidden/data/x\" {",
			"coffer.yaml: 5 secrets are not as they must be",
		}},
		{"the same as JSON", wrong, []string{"-format=json"}, exitServer, []string{`"ok": false`, `"state": "denied"`, `"policy": "# The token`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			url, requests := checkedServer(t)
			path := filepath.Join(t.TempDir(), "coffer.yaml")
			if err := os.WriteFile(path, []byte(test.manifest), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			args := append([]string{"check", "-manifest=" + path}, test.flags...)
			code := Main(args, System{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(name string) string {
				return map[string]string{"VAULT_ADDR": url, "VAULT_TOKEN": "t", "HOME": t.TempDir()}[name]
			}})
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			for _, want := range test.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("lacks %q:\n%s", want, &out)
				}
			}
			if strings.Contains(out.String(), "hunter") {
				t.Errorf("prints a value:\n%s", &out)
			}
			if strings.Contains(test.manifest, "creds") && !strings.Contains(requests(), `/v1/sys/leases/revoke {"lease_id":"db/creds/app/1"}`) {
				t.Errorf("the lease stays:\n%s", requests())
			}
		})
	}
}
