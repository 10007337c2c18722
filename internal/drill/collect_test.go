package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// fakeConn accepts the passwords that it is told of.
type fakeConn struct {
	database.Conn
	accepts []string
}

func (c fakeConn) Login(_ context.Context, _ string, password secret.Bytes) error {
	if slices.Contains(c.accepts, password.RevealText()) {
		return nil
	}
	return fmt.Errorf("no: %w", database.ErrRefused)
}

func (fakeConn) Close() error { return nil }

// fakeKinds are the three systems; every one accepts the same passwords.
func fakeKinds(accepts ...string) database.Kinds {
	var kinds database.Kinds
	for _, s := range systems {
		kinds = append(kinds, &database.Kind{
			Plugins: []database.Plugin{{Name: s.plugin, Username: "v-{{.RoleName}}", MaxName: 20}},
			Fields:  database.Choose("connection_url", "host", "port", "username", "password", "tls"),
			Check: func(c database.Config) []database.Problem {
				if c.URL.Empty() && c.Host == "" {
					return []database.Problem{{Field: "host", Text: "is missing"}}
				}
				return nil
			},
			Open: func(database.Config) (database.Conn, error) { return fakeConn{accepts: accepts}, nil },
		})
	}
	return kinds
}

func values(pairs ...string) (all []Value) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, Value{Name: pairs[i], Text: secret.Text(pairs[i+1])})
	}
	return all
}

func newClient(t *testing.T, url string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Address: url, Token: "operator", MaxRetries: client.NoRetries})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatAThiefCanTry(t *testing.T) {
	tests := []struct {
		name    string
		values  []Value
		tried   []string // name, kind and place
		untried []string
	}{
		{"a URL", values("DATABASE_URL", "postgres://app:hunter2@db/app?sslmode=require"), []string{"DATABASE_URL PostgreSQL app@db:5432"}, nil},
		{"a URL with a driver's name", values("X", "mysql+pymysql://app:hunter2@db:3307/app"), []string{"X MySQL app@db:3307"}, nil},
		{"Redis with a password alone", values("REDIS_URL", "rediss://:hunter2@cache/0"), []string{"REDIS_URL Redis default@cache:6379"}, nil},
		{"a URL without a password", values("DATABASE_URL", "postgres://app@db/app"), nil, nil},
		{"a group that a word tells", values("PGHOST", "db", "PGUSER", "app", "PGPASSWORD", "hunter2"), []string{"PGPASSWORD PostgreSQL app@db:5432"}, nil},
		{"a group that the port tells", values("DB_HOST", "db", "DB_PORT", "3306", "DB_USERNAME", "app", "DB_PASSWORD", "hunter2"), []string{"DB_PASSWORD MySQL app@db:3306"}, nil},
		{"a group that a variable tells", values("DB_CONNECTION", "pgsql", "DB_HOST", "db:99", "DB_USER", "app", "DB_PASS", "hunter2"), []string{"DB_PASS PostgreSQL app@db:99"}, nil},
		{"a group that nothing tells", values("DB_HOST", "db", "DB_USER", "app", "DB_PASSWORD", "hunter2"), nil, []string{"DB_PASSWORD"}},
		{"an address that is none", values("PGHOST", "db/x?y", "PGUSER", "app", "PGPASSWORD", "hunter2"), nil, []string{"PGPASSWORD"}},
		{"tokens", values("COFFER_TOKEN", "root", "X", "hvs.hunter2"), []string{"COFFER_TOKEN token server", "X token server"}, nil},
		{"an AppRole", values("VAULT_ROLE_ID", "r", "VAULT_SECRET_ID", "hunter2"), []string{"VAULT_SECRET_ID AppRole server approle/"}, nil},
		{"a role id alone", values("VAULT_ROLE_ID", "f8Kq02mZpL7vR3tYxW9sB1nC"), nil, nil},
		{"a wrapped secret id", values("COFFER_ROLE_ID", "r", "COFFER_WRAPPED_SECRET_ID", "hunter2"), []string{"COFFER_WRAPPED_SECRET_ID wrapping token server"}, nil},
		{"what looks like a secret", values("API_KEY", "hunter2", "LOG_LEVEL", "info"), nil, []string{"API_KEY"}},
		{"what came from the store", []Value{{Name: "X", Text: secret.Text("y"), Referenced: true}}, nil, []string{"X"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newClient(t, "http://server")
			p := Collect(Loot{Values: test.values, Databases: fakeKinds(), Operator: c, Mount: "approle"})
			var tried, untried []string
			for _, cred := range p.Credentials {
				tried = append(tried, cred.Name+" "+cred.Kind+" "+cred.Where)
			}
			for _, u := range p.Untried {
				untried = append(untried, u.Name)
			}
			if diff := cmp.Diff(test.tried, tried); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.untried, untried); diff != "" {
				t.Error(diff)
			}
			if shown := fmt.Sprint(p.Untried, tried); strings.Contains(shown, "hunter2") {
				t.Errorf("a value is shown: %s", shown)
			}
		})
	}
}

func TestADatabaseIsAskedAsTheApplicationWould(t *testing.T) {
	now := "hunter2"
	l := Loot{
		Values: values("PGHOST", "db", "PGUSER", "app", "PGPASSWORD", "hunter2"), Databases: fakeKinds("hunter3"), Operator: newClient(t, "http://server"),
		Current: func(_ context.Context, names []string) (map[string]secret.Bytes, func(), error) {
			if diff := cmp.Diff([]string{"PGHOST", "PGPASSWORD", "PGUSER"}, names); diff != "" {
				t.Error(diff)
			}
			return map[string]secret.Bytes{"PGHOST": secret.Text("db"), "PGUSER": secret.Text("app"), "PGPASSWORD": secret.Text(now)}, func() {}, nil
		},
	}
	cred := Collect(l).Credentials[0]
	if err := cred.Try(t.Context()); !errors.Is(err, ErrRefused) {
		t.Errorf("stolen: %v", err)
	}
	if err := cred.Control(t.Context()); !errors.Is(err, ErrSame) {
		t.Errorf("not replaced: %v", err)
	}
	now = "hunter3"
	if err := cred.Control(t.Context()); err != nil {
		t.Errorf("replaced: %v", err)
	}
	now = "hunter4"
	if err := cred.Control(t.Context()); !errors.Is(err, ErrRefused) {
		t.Errorf("replaced by a wrong one: %v", err)
	}
}

// server answers as a coffer of which the token and the secret id may be dead.
func server(t *testing.T, alive *bool) *client.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		token := r.Header.Get("X-Vault-Token")
		switch path := r.URL.Path; {
		case path == "/v1/auth/token/lookup-self" && (token == "operator" || token == "cfs.stolen" && *alive):
			fmt.Fprint(w, `{"data":{}}`)
		case path == "/v1/auth/approle/login" && *alive && token == "":
			fmt.Fprint(w, `{"auth":{"client_token":"cfs.new","metadata":{"role_name":"app"}}}`)
		case path == "/v1/auth/approle/login":
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"errors":["invalid role or secret ID"]}`)
		case path == "/v1/auth/token/revoke-self" && token == "cfs.new":
		case path == "/v1/auth/token/revoke" && token == "operator", path == "/v1/auth/approle/role/app/secret-id/destroy" && token == "operator":
			*alive = false
		case path == "/v1/sys/wrapping/lookup" && *alive && strings.Contains(string(body), "stolen"):
			fmt.Fprint(w, `{"data":{}}`)
		case path == "/v1/sys/wrapping/lookup":
			w.WriteHeader(http.StatusBadRequest)
		default:
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"errors":["permission denied"]}`)
		}
	}))
	t.Cleanup(s.Close)
	return newClient(t, s.URL)
}

func TestTheServersOwnCredentialsAreTriedAndRevoked(t *testing.T) {
	for _, loot := range [][]Value{
		values("COFFER_TOKEN", "cfs.stolen"),
		values("COFFER_ROLE_ID", "r", "COFFER_SECRET_ID", "stolen"),
		values("COFFER_WRAPPED_TOKEN", "stolen"),
	} {
		t.Run(loot[len(loot)-1].Name, func(t *testing.T) {
			alive := true
			cred := Collect(Loot{Values: loot, Operator: server(t, &alive), Mount: "approle"}).Credentials[0]
			if err := errors.Join(cred.Try(t.Context()), cred.Control(t.Context()), cred.Revoke(t.Context())); err != nil {
				t.Fatal(err)
			}
			if err := cred.Try(t.Context()); !errors.Is(err, ErrRefused) {
				t.Errorf("revoked: %v", err)
			}
		})
	}
}

func TestAProbeGoesWhereItIsTold(t *testing.T) {
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); r.Header.Get("Authorization") != "Bearer key" && (!ok || user != "u" || password != "p") {
			t.Errorf("%s", r.Header)
		}
		w.Header().Set("Location", "http://elsewhere.invalid/")
		w.WriteHeader(status)
	}))
	defer s.Close()
	p := Collect(Loot{
		Values: values("KEY", "key", "LOGIN", "u:p"), Operator: newClient(t, s.URL),
		Probes: []Probe{{Name: "KEY", URL: s.URL}, {Name: "LOGIN", URL: s.URL, Basic: true}, {Name: "NONE", URL: s.URL}},
	})
	if len(p.Credentials) != 2 || len(p.Untried) != 1 {
		t.Fatalf("%+v", p)
	}
	for _, cred := range p.Credentials {
		for _, test := range []struct {
			status         int
			works, refused bool
		}{{200, true, false}, {204, true, false}, {401, false, true}, {403, false, true}, {302, false, false}, {500, false, false}} {
			status = test.status
			if err := cred.Try(t.Context()); (err == nil) != test.works || errors.Is(err, ErrRefused) != test.refused {
				t.Errorf("%s, %d: %v", cred.Name, test.status, err)
			}
		}
	}
	for _, bad := range []string{"", "x", "ftp://x", "http://u:p@x"} {
		if (Probe{Name: "X", URL: bad}).Check() == nil {
			t.Errorf("takes %q", bad)
		}
	}
}

// What is found in a foreign file never makes a URL of another form.
func FuzzLoginOfURL(f *testing.F) {
	for _, text := range []string{"postgres://a:b@c/d", "mysql://a:b@[::1]:1/d", "redis://:b@c", "postgres://a:b@{{username}}/d", "rediss://a:b@c/1?x=y"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, ok := loginOfURL(text)
		if !ok {
			return
		}
		raw, err := json.Marshal(l.config())
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(l.address()+l.database, "{}@/?#\\'\" \n") {
			t.Errorf("%q has the address %q", text, l.address())
		}
		kind, _ := fakeKinds().Find(l.system.plugin)
		if _, err := kind.Parse(l.system.plugin, raw); err != nil && !errors.Is(err, logical.ErrInvalid) {
			t.Errorf("%v", err)
		}
	})
}
