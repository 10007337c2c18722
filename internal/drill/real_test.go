package drill_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/parts"
	"github.com/cofferhq/coffer/internal/servertest"
)

func TestMain(m *testing.M) { os.Exit(parts.Main(withProgram{m})) }

// withProgram runs tests that start the program.
type withProgram struct{ m *testing.M }

func (p withProgram) Run() int { return servertest.Main(p.m) }

const (
	firstPassword = "of-the-first-day#1"
	apiKey        = "key-of-another-service"
)

// house is a coffer, a PostgreSQL and the folder of an application.
type house struct {
	t      *testing.T
	server *servertest.Server
	root   *client.Client
	pg     parts.Server
	dir    string
}

func (h *house) write(path string, body map[string]any) map[string]any {
	h.t.Helper()
	return servertest.Write(h.t, h.root, path, body)
}

func (h *house) sql(format string, args ...any) {
	h.t.Helper()
	conn, err := pgx.Connect(h.t.Context(), fmt.Sprintf("postgres://%s:%s@%s/postgres?sslmode=disable", h.pg.User, h.pg.Password, h.pg.Address()))
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close(h.t.Context())
	if _, err := conn.Exec(h.t.Context(), fmt.Sprintf(format, args...)); err != nil {
		h.t.Fatal(err)
	}
}

// coffer runs a command in the application's folder and returns its outputs and
// its exit code.
func (h *house) coffer(args ...string) (stdout, stderr string, code int) {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), h.server.Program(), args...)
	cmd.Dir = h.dir
	u := h.root.URL("", nil)
	cmd.Env = []string{"HOME=" + h.dir, "PATH=" + os.Getenv("PATH"), "COFFER_ADDR=" + u.Scheme + "://" + u.Host, "COFFER_TOKEN=" + h.server.RootToken}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		exit := new(exec.ExitError)
		if !errors.As(err, &exit) {
			h.t.Fatal(err)
		}
		code = exit.ExitCode()
	}
	for _, secret := range []string{firstPassword, apiKey} {
		if strings.Contains(out.String()+errOut.String(), secret) {
			h.t.Errorf("%v prints a secret", args)
		}
	}
	return out.String(), errOut.String(), code
}

func (h *house) file(name, content string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// newSecretID returns the login of the application.
func (h *house) newSecretID() (roleID, secretID string) {
	h.t.Helper()
	role, err := h.root.Read(h.t.Context(), "auth/approle/role/app/role-id")
	if err != nil {
		h.t.Fatal(err)
	}
	made := h.write("auth/approle/role/app/secret-id", nil)
	return role.Data["role_id"].(string), made["secret_id"].(string)
}

func open(t *testing.T) *house {
	h := &house{t: t, server: servertest.New(t, servertest.Config{}), pg: parts.PostgreSQL(t), dir: t.TempDir()}
	h.root = h.server.Start().Open()
	h.sql("CREATE ROLE drill_app LOGIN PASSWORD '%s'", firstPassword)
	h.write("sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	h.write("sys/auth/approle", map[string]any{"type": "approle"})
	h.write("sys/policies/acl/app", map[string]any{"policy": `path "secret/data/app" { capabilities = ["read"] }`})
	h.write("auth/approle/role/app", map[string]any{"token_policies": "app", "token_ttl": "1h"})
	roleID, secretID := h.newSecretID()
	h.file(".env", fmt.Sprintf("COFFER_ROLE_ID=%s\nCOFFER_SECRET_ID=%s\n# The database\nPGHOST=%s\nPGPORT=%d\nPGUSER=drill_app\nPGPASSWORD=%s\nAPI_KEY=%s\n",
		roleID, secretID, h.pg.Host, h.pg.Port, firstPassword, apiKey))
	return h
}

func (h *house) rotation() {
	h.t.Helper()
	h.write("sys/coffer/rotation/app", map[string]any{
		"target": "secret/app", "source": "database", "strategy": "replace", "schedule": "24h", "grace": "1s", "deadline": "1s",
		"fields": map[string]any{"username": "PGUSER", "password": "PGPASSWORD"},
		"config": map[string]any{
			"plugin_name":    "postgresql-database-plugin",
			"connection_url": fmt.Sprintf("postgresql://{{username}}:{{password}}@%s/postgres?sslmode=disable", h.pg.Address()),
			"username":       h.pg.User, "password": h.pg.Password, "users": []string{"drill_app"},
		},
	})
}

// report is what the drill prints.
type report struct {
	InTime  bool `json:"in_time"`
	Results []struct {
		Name, State string
		After       *float64 `json:"useless_after_seconds"`
		Tries       int
		Rotation    string
		Problem     string
	}
	Untried []struct{ Name string }
}

func (h *house) drill(args ...string) (report, int) {
	h.t.Helper()
	stdout, stderr, code := h.coffer(append([]string{"drill", "env", "-env-file=.env", "-every=100ms", "-yes", "-format=json"}, args...)...)
	var r report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		h.t.Fatalf("%v\n%s\n%s", err, stdout, stderr)
	}
	h.t.Logf("%s\n%s", stderr, stdout)
	return r, code
}

// An application's plain secrets move into the store, its role may read them, and
// what a thief has of it is useless seconds after a rotation.
func TestAStolenEnvironmentIsUselessAfterARotation(t *testing.T) {
	h := open(t)
	if stdout, stderr, code := h.coffer("env", "import", "-to=secret/app", "-keys=PGPASSWORD,API_KEY,PGUSER", "-yes"); code != 0 {
		t.Fatalf("%s\n%s", stdout, stderr)
	}
	h.file("coffer.toml", "[secrets.PGPASSWORD]\n[secrets.API_KEY]\n[secrets.PGPORT]\ntype = \"port\"\n")
	if stdout, stderr, code := h.coffer("check", "-env-file=.env"); code != 0 {
		t.Fatalf("%s\n%s", stdout, stderr)
	}
	h.rotation()

	r, code := h.drill("-rotate=false", "-budget=1s")
	if code != 1 || r.InTime || len(r.Results) != 2 {
		t.Fatalf("nothing is done: exit code %d, %+v", code, r)
	}
	for _, result := range r.Results {
		if result.State != "still works" || result.Tries < 2 {
			t.Errorf("nothing is done: %+v", result)
		}
	}
	began := time.Now()
	if r, code = h.drill("-now", "-revoke", "-budget=60s"); code != 0 || !r.InTime {
		t.Fatalf("exit code %d, %+v\n%s", code, r, h.server.Process().LastWords())
	}
	for _, result := range r.Results {
		if result.State != "useless" || result.After == nil || *result.After > time.Since(began).Seconds() {
			t.Errorf("%+v", result)
		}
		if result.Name == "PGPASSWORD" && result.Rotation != "app" {
			t.Errorf("%+v", result)
		}
	}
	if len(r.Untried) != 1 || r.Untried[0].Name != "API_KEY" {
		t.Errorf("%+v", r.Untried)
	}
	// What is dead already shows nothing any more: only the password of now is left.
	if r, code = h.drill("-rotate=false", "-budget=1s"); code != 1 || r.Results[0].State != "dead before" {
		t.Errorf("exit code %d, %+v", code, r)
	}
}
