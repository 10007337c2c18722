package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cofferhq/coffer/internal/builtin"
	"github.com/cofferhq/coffer/internal/config"
	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/parts"
	"github.com/cofferhq/coffer/internal/secret"
)

func TestMain(m *testing.M) { os.Exit(parts.Main(m)) }

// engineTest is a server, and a system with users beside it.
type engineTest struct {
	t      *testing.T
	url    string
	system dbms.Conn // as its administrator, behind coffer's back
	seen   []string  // passwords
}

// ask does a request and returns its status and answer.
func (e *engineTest) ask(method, path string, body any) (int, answered) {
	e.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		e.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(e.t.Context(), method, e.url+"/v1/"+path, bytes.NewReader(raw))
	if err != nil {
		e.t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", "chosen")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	var a answered
	if len(text) > 0 {
		if err := json.Unmarshal(text, &a); err != nil {
			e.t.Fatalf("%s: %v", text, err)
		}
	}
	return resp.StatusCode, a
}

type answered struct {
	LeaseID       string `json:"lease_id"`
	LeaseDuration int    `json:"lease_duration"`
	Data          map[string]any
	Errors        []string
}

func (e *engineTest) must(method, path string, body any) answered {
	e.t.Helper()
	code, a := e.ask(method, path, body)
	if code >= 300 {
		e.t.Fatalf("%s %s: %d %q", method, path, code, a.Errors)
	}
	if p, ok := a.Data["password"].(string); ok {
		e.seen = append(e.seen, p)
	}
	return a
}

// login tries credentials at the system itself.
func (e *engineTest) login(a answered) error {
	return e.system.Login(e.t.Context(), a.Data["username"].(string), secret.Text(a.Data["password"].(string)))
}

// wantIn wants the system to accept credentials, wantOut to refuse them.
func (e *engineTest) wantIn(a answered) {
	e.t.Helper()
	if err := e.login(a); err != nil {
		e.t.Errorf("%s cannot log in: %v", a.Data["username"], err)
	}
}

func (e *engineTest) wantOut(a answered) {
	e.t.Helper()
	if err := e.login(a); !errors.Is(err, dbms.ErrRefused) {
		e.t.Errorf("%s can still log in, or: %v", a.Data["username"], err)
	}
}

// systems are the databases that the engine is tried with, from end to end.
var systems = []struct {
	plugin       string
	start        func(testing.TB) parts.Server
	fields       func(s parts.Server) map[string]any
	create       []string // of roles
	createStatic []string
}{
	{
		"postgresql-database-plugin", parts.PostgreSQL,
		func(s parts.Server) map[string]any {
			return map[string]any{"connection_url": fmt.Sprintf("postgresql://{{username}}:{{password}}@%s/postgres", s.Address())}
		},
		[]string{`CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`},
		[]string{`CREATE ROLE "{{name}}" WITH LOGIN SUPERUSER PASSWORD '{{password}}'`},
	},
	{
		"mysql-database-plugin", parts.MariaDB,
		func(s parts.Server) map[string]any {
			return map[string]any{"connection_url": fmt.Sprintf("{{username}}:{{password}}@tcp(%s)/", s.Address())}
		},
		[]string{`CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'`},
		[]string{`CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'`, `GRANT ALL PRIVILEGES ON *.* TO '{{name}}'@'%' WITH GRANT OPTION`},
	},
	{
		"redis-database-plugin", parts.Redis,
		func(s parts.Server) map[string]any { return map[string]any{"host": s.Host, "port": s.Port} },
		[]string{`["~*", "+@read"]`},
		[]string{`["~*", "+@all"]`},
	},
}

// A stolen credential is dead, and applications never notice: users with leases, a
// user that stays, and coffer's own, through the API and against real servers.
func TestDatabaseUsersFromEndToEnd(t *testing.T) {
	for _, system := range systems {
		t.Run(system.plugin, func(t *testing.T) {
			server := system.start(t)
			var log guarded
			dir := t.TempDir()
			started, stop := run(t, Options{
				Config: configured(config.Pebble, dir), Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				Dev: true, RootToken: "chosen",
			})
			e := &engineTest{t: t, url: started.URLs[0], system: admin(t, system.plugin, system.fields(server), server)}
			fields := system.fields(server)
			fields["plugin_name"], fields["allowed_roles"] = system.plugin, "*"
			fields["username"], fields["password"] = "coffer", "first of coffer's own"
			e.addUser("coffer", "first of coffer's own", system.createStatic)
			e.addUser("app", "first of app", system.create)

			e.must("POST", "sys/mounts/database", map[string]any{"type": "database"})
			e.must("POST", "database/config/db", fields)
			e.must("POST", "database/rotate-root/db", nil)
			e.wantOut(answered{Data: map[string]any{"username": "coffer", "password": "first of coffer's own"}})
			e.dynamic(system.create)
			e.static()
			e.must("DELETE", "sys/mounts/database", nil)

			if err := stop(); err != nil {
				t.Error(err)
			}
			e.search(dir, log.String())
		})
	}
}

// What a network does to answers, and a system that is away, cost no credentials: what
// is read works, and a lease stays until its user is gone.
func TestDatabaseUsersWhileTheNetworkFails(t *testing.T) {
	server := parts.PostgreSQL(t)
	proxy := parts.NewProxy(t, server.Address())
	started, stop := run(t, Options{
		Config: configured(config.Inmem, t.TempDir()), Log: slog.New(slog.DiscardHandler), Dev: true, RootToken: "chosen",
	})
	postgres := systems[0]
	e := &engineTest{t: t, url: started.URLs[0], system: admin(t, postgres.plugin, postgres.fields(server), server)}
	e.addUser("coffer_behind_proxy", "first of coffer's own", postgres.createStatic)
	e.addUser("app_behind_proxy", "first of app", postgres.create)
	e.must("POST", "sys/mounts/database", map[string]any{"type": "database"})
	e.must("POST", "database/config/db", map[string]any{
		"plugin_name": postgres.plugin, "allowed_roles": "*", "username": "coffer_behind_proxy", "password": "first of coffer's own",
		"connection_url": fmt.Sprintf("postgresql://{{username}}:{{password}}@127.0.0.1:%d/postgres?sslmode=disable", proxy.Port()),
	})
	e.must("POST", "database/static-roles/app", map[string]any{"db_name": "db", "username": "app_behind_proxy", "rotation_period": "24h"})
	before := e.must("GET", "database/static-creds/app", nil)
	for _, path := range []string{"database/rotate-role/app", "database/rotate-root/db"} {
		lost := proxy.CutAfter("commit")
		e.must("POST", path, nil)
		select {
		case <-lost:
		default:
			t.Errorf("%s: no answer was lost", path)
		}
		e.wantIn(e.must("GET", "database/static-creds/app", nil))
	}
	e.wantOut(before)

	e.must("POST", "database/roles/reader", map[string]any{"db_name": "db", "creation_statements": postgres.create})
	leased := e.must("GET", "database/creds/reader", nil)
	proxy.Refuse()
	proxy.Cut()
	for _, ask := range [][2]string{
		{"GET", "database/creds/reader"}, {"POST", "database/rotate-role/app"}, {"DELETE", "sys/mounts/database"},
	} {
		if code, a := e.ask(ask[0], ask[1], nil); code != http.StatusBadGateway || len(a.Errors) == 0 {
			t.Errorf("%s while the system is away: %d %q", ask[1], code, a.Errors)
		}
	}
	e.wantIn(leased)
	proxy.Pass()
	e.must("DELETE", "sys/mounts/database", nil)
	e.wantOut(leased)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func (e *engineTest) addUser(name, password string, create []string) {
	e.t.Helper()
	err := e.system.Create(e.t.Context(), dbms.User{Name: name, Password: secret.Text(password)}, dbms.Statements{Create: create})
	if err != nil {
		e.t.Fatal(err)
	}
	e.seen = append(e.seen, password)
}

func (e *engineTest) dynamic(create []string) {
	e.t.Helper()
	e.must("POST", "database/roles/reader", map[string]any{
		"db_name": "db", "creation_statements": create, "default_ttl": "1h", "max_ttl": "24h",
	})
	first, second := e.must("GET", "database/creds/reader", nil), e.must("GET", "database/creds/reader", nil)
	e.wantIn(first)
	e.wantIn(second)
	if first.LeaseDuration != 3600 || !strings.HasPrefix(first.LeaseID, "database/creds/reader/") {
		e.t.Errorf("lease %q of %d", first.LeaseID, first.LeaseDuration)
	}
	e.must("POST", "sys/leases/renew", map[string]any{"lease_id": first.LeaseID, "increment": 7200})
	e.must("POST", "sys/leases/revoke", map[string]any{"lease_id": first.LeaseID, "sync": true})
	e.wantOut(first)
	e.wantIn(second)
	if code, a := e.ask("DELETE", "database/config/db", nil); code != 400 {
		e.t.Errorf("a connection in use was deleted: %d %q", code, a.Errors)
	}
	e.must("DELETE", "database/roles/reader", nil)
	e.must("POST", "sys/leases/revoke-prefix/database/creds/reader", nil)
	e.wantOut(second)
}

func (e *engineTest) static() {
	e.t.Helper()
	e.must("POST", "database/static-roles/app", map[string]any{"db_name": "db", "username": "app", "rotation_period": "24h"})
	first := e.must("GET", "database/static-creds/app", nil)
	e.wantIn(first)
	e.must("POST", "database/rotate-role/app", nil)
	second := e.must("GET", "database/static-creds/app", nil)
	e.wantOut(first)
	e.wantIn(second)
}

// admin returns the system as its superuser sees it.
func admin(t *testing.T, plugin string, fields map[string]any, s parts.Server) dbms.Conn {
	t.Helper()
	fields["username"], fields["password"] = s.User, s.Password
	raw, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	kind, ok := builtin.Databases().Find(plugin)
	if !ok {
		t.Fatalf("no plugin %q", plugin)
	}
	cfg, err := kind.Parse(plugin, raw)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := kind.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// search looks for passwords where none may be.
func (e *engineTest) search(dir, log string) {
	e.t.Helper()
	find := func(where, text string) {
		for _, password := range e.seen {
			if strings.Contains(text, password) {
				e.t.Errorf("a password is in %s", where)
			}
		}
	}
	find("the log", log)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		find(path, string(raw))
		return err
	})
	if err != nil {
		e.t.Error(err)
	}
}

// guarded is a log that may be read while it is written.
type guarded struct {
	mu  sync.Mutex // guards the field below
	buf bytes.Buffer
}

func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.buf.Write(p)
}
func (g *guarded) String() string { g.mu.Lock(); defer g.mu.Unlock(); return g.buf.String() }
