package cli

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// runServer has a secret at secret/db, for who logs in or has the token.
func runServer(t *testing.T) string {
	t.Helper()
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := r.Header.Get("X-Vault-Token")
		switch path := strings.TrimPrefix(r.URL.Path, "/v1/"); {
		case path == "auth/approle/login":
			fmt.Fprint(w, `{"request_id":"r","auth":{"client_token":"token","lease_duration":60,"renewable":true}}`)
		case token != "token":
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"errors":["permission denied"]}`)
		case strings.HasPrefix(path, "sys/internal/ui/mounts/secret/"):
			fmt.Fprint(w, `{"request_id":"r","data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`)
		case path == "secret/data/db":
			fmt.Fprint(w, `{"request_id":"r","data":{"data":{"password":"c4n4ry","long":"s3cr3t/pass"},"metadata":{"version":1}}}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"errors":[]}`)
		}
	}))
	t.Cleanup(h.Close)
	return h.URL
}

func TestRun(t *testing.T) {
	const role, id = "VAULT_ROLE_ID=r", "VAULT_SECRET_ID=s"
	tests := []struct {
		name string
		env  []string
		args []string
		code int
		out  string
		err  string // contained in the errors; empty: there are none
	}{
		{"values for references", []string{role, id, "A=vault:secret/db#password"}, []string{"-scrub=false", "--", "sh", "-c", `echo "$A $VAULT_SECRET_ID"`}, 0, "c4n4ry \n", ""},
		{"the program's flags are its own", nil, []string{"sh", "-c", "echo $0", "-x"}, 0, "-x\n", ""},
		{"the program's exit code", nil, []string{"--", "sh", "-c", "exit 9"}, 9, "", ""},
		{"a file", []string{role, id}, []string{"-scrub=false", "-env-file=.env", "--", "sh", "-c", `echo "$B"`}, 0, "c4n4ry\n", ""},
		{"the file wins if asked to", []string{role, id, "B=b"}, []string{"-scrub=false", "-override", "-env-file=.env", "--", "sh", "-c", `echo "$B"`}, 0, "c4n4ry\n", ""},
		{"a config", []string{role, id}, []string{"-scrub=false", "-allow-disk", "-config=app.yaml", "--", "cat", "{}"}, 0, "pw: \"c4n4ry\"\n", ""},
		{"the last login", []string{"A=vault:secret/db#password"}, []string{"-scrub=false", "--", "sh", "-c", `echo "$A"`}, 0, "c4n4ry\n", ""},
		{"a wrapping client is of no use", []string{"VAULT_WRAP_TTL=60", role, id, "A=vault:secret/db#password"}, []string{"-scrub=false", "-wrap-ttl=60", "--", "sh", "-c", `echo "$A"`}, 0, "c4n4ry\n", ""},

		{"scrubbed", []string{role, id, "A=vault:secret/db#password"}, []string{"--", "sh", "-c", `echo "<$A>"; printf %s "$A" | base64`}, 0, "<[redacted]>\n[redacted]\n", ""},
		{"a file with a value", []string{role, id}, []string{"-scrub=false", "-allow-disk", "-file=K=vault:secret/db#password,mode=0440", "--", "sh", "-c", `cat "$K_FILE"`}, 0, "c4n4ry", ""},
		{"credentials", []string{role, id, "A=vault:secret/db#password"}, []string{"-scrub=false", "-allow-disk", "-credentials", "-watch=false", "--", "sh", "-c", `cat "$CREDENTIALS_DIRECTORY/A"; echo "$A"`}, 0, "c4n4ry\n", ""},
		{"a template", []string{role, id}, []string{"-allow-disk", "-template=app.tmpl:app.conf", "--", "sh", "-c", `cat "$COFFER_FILES/app.conf"`}, 0, "[redacted]!\n", ""},
		{"a manifest", []string{role, id}, []string{"-scrub=false", "-manifest=coffer.toml", "--", "sh", "-c", `echo "$PW"`}, 0, "c4n4ry\n", ""},
		{"a time that is zero", nil, []string{"-debounce=0", "-retry-timeout=0", "--", "true"}, 0, "", ""},

		{"a file that is none", nil, []string{"-file=c4n4ry", "--", "true"}, 1, "", "-file: want NAME=REFERENCE"},
		{"a template that is none", nil, []string{"-template=x", "--", "true"}, 1, "", "-template: want SOURCE:DESTINATION"},
		{"a start without the server, and no cache", []string{role, id, "A=vault:secret/db#password"}, []string{"-offline-ok", "--", "true"}, 1, "", "-offline-ok needs a file for the values: -cache FILE"},
		{"an age that is none", nil, []string{"-offline-ok=soon", "--", "true"}, 1, "", "offline-ok"},
		{"no command", nil, nil, 1, "", "Not enough arguments"},
		{"no program", nil, []string{"--", "no-such-program"}, 127, "", "no-such-program: command not found"},
		{"a malformed reference", []string{"A=${vault:x}"}, []string{"--", "true"}, 1, "", "A: malformed reference"},
		{"a refusal", []string{"VAULT_TOKEN=wrong", "A=vault:secret/db#password"}, []string{"--", "true"}, 2, "", "A: vault:secret/db#password: GET secret/db: 403: permission denied\nThe token itself is refused: "},
		{"an absent field", []string{role, id, "A=vault:secret/db#none"}, []string{"--", "true"}, 2, "", "A: vault:secret/db#none: the secret has no such field"},
		{"a server that is not there", []string{"VAULT_ADDR=http://127.0.0.1:1", "A=vault:secret/db#k", "VAULT_TOKEN=t"}, []string{"-retry-timeout=0", "--", "true"}, 2, "", "Hint: nothing listens at http://127.0.0.1:1."},
		{"a setting that is none", []string{"VAULT_SKIP_VERIFY=maybe", "A=vault:secret/db#k", "VAULT_TOKEN=t"}, []string{"--", "true"}, 1, "", "VAULT_SKIP_VERIFY: want true or false"},
		{"an end before any change", []string{role, id, "A=vault:secret/db#password"}, []string{"-scrub=false", "-on-change=restart", "-stop-timeout=3", "-interval=1s", "--", "sh", "-c", `echo "$A"; exit 4`}, 4, "c4n4ry\n", ""},
		{"a change that is none", nil, []string{"-on-change=reload", "--", "true"}, 1, "", "-on-change: want none, restart, signal=HUP or another signal, or exec=COMMAND"},
		{"a signal without a file", nil, []string{"-on-change=signal=HUP", "--", "true"}, 1, "", "needs -config"},
		{"a time that is none", nil, []string{"-interval=0", "--", "true"}, 1, "", "-interval must be more than zero"},
		{"a dry run", nil, []string{"-output-curl-string", "--", "true"}, 1, "", "A run makes many requests"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			prepareRun(t, tt.env)
			var out, errs bytes.Buffer
			code := Main(append([]string{"run"}, tt.args...), System{Stdout: &out, Stderr: &errs, Getenv: os.Getenv, Environ: os.Environ})
			if d := cmp.Diff(tt.out, out.String()); d != "" || code != tt.code {
				t.Errorf("code %d, want %d: %s %s", code, tt.code, d, &errs)
			}
			if got := errs.String(); tt.err == "" && got != "" || !strings.Contains(got, tt.err) || strings.Contains(got, "c4n4ry") {
				t.Errorf("errors %q, want %q", got, tt.err)
			}
		})
	}
}

// prepareRun sets the environment, and the current folder with a .env, a config
// and the token of a login.
func prepareRun(t *testing.T, env []string) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	for name, content := range map[string]string{
		".env": "B=vault:secret/db#password\n", "app.yaml": "pw: vault:secret/db#password\n", ".vault-token": "token",
		"app.tmpl": "${vault:secret/db#password}!\n", "coffer.toml": "[secrets.PW]\nreference = \"vault:secret/db#password\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"TOKEN", "ROLE_ID", "SECRET_ID", "ADDR", "NAMESPACE"} {
		t.Setenv("VAULT_"+name, "")
		t.Setenv("COFFER_"+name, "")
	}
	for _, entry := range append([]string{"HOME=" + dir, "VAULT_ADDR=" + runServer(t)}, env...) {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value)
	}
}
