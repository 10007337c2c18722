package rotationsoak

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/parts"
	"github.com/cofferhq/coffer/internal/servertest"
)

// house is a coffer and a PostgreSQL, and who may do everything in both.
type house struct {
	t      *testing.T
	server *servertest.Server
	root   *client.Client // of the process of now
	pg     parts.Server
	super  *sql.DB
}

func open(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, server: servertest.New(t, servertest.Config{}), pg: parts.PostgreSQL(t)}
	config, err := login(h.pg.Address(), h.pg.User, h.pg.Password)
	if err != nil {
		t.Fatal(err)
	}
	h.super = stdlib.OpenDB(*config)
	t.Cleanup(func() { h.super.Close() })
	h.root = h.server.Start().Open()
	h.write("sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	return h
}

// login is how to connect to the PostgreSQL at address.
func login(address, user, password string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(fmt.Sprintf("postgres://%s/postgres?sslmode=disable", address))
	if err == nil {
		config.User, config.Password = user, password
	}
	return config, err
}

// loginWorks says whether PostgreSQL lets a user in.
func (h *house) loginWorks(ctx context.Context, user, password string) bool {
	config, err := login(h.pg.Address(), user, password)
	if err != nil {
		h.t.Fatal(err)
	}
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false
	}
	c.Close(ctx)
	return true
}

func (h *house) sql(format string, args ...any) {
	h.t.Helper()
	if _, err := h.super.ExecContext(h.t.Context(), fmt.Sprintf(format, args...)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) write(path string, body map[string]any) {
	h.t.Helper()
	if _, err := h.root.Write(h.t.Context(), path, body); err != nil {
		h.t.Fatalf("%v\n%s", err, h.server.Process().LastWords())
	}
}

// read puts the data at path into out.
func (h *house) read(ctx context.Context, path string, out any) error {
	return h.readQuery(ctx, path, nil, out)
}

func (h *house) readQuery(ctx context.Context, path string, query url.Values, out any) error {
	s, err := h.root.ReadQuery(ctx, path, query)
	if err != nil {
		return err
	}
	if s == nil {
		return fmt.Errorf("nothing is at %s", path)
	}
	raw, err := json.Marshal(s.Data)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, out)
}

func (h *house) mustRead(path string, out any) {
	h.t.Helper()
	if err := h.read(h.t.Context(), path, out); err != nil {
		h.t.Fatal(err)
	}
}

// rotation is one that these tests make: of users of the PostgreSQL, into a secret
// of the same name.
type rotation struct {
	name     string
	users    []string
	strategy string
	more     map[string]any // settings
}

const firstPassword = "of-the-first-day"

// secret is what a target holds.
type secret struct{ Username, Password string }

func (r rotation) target() string { return "secret/" + r.name }
func (r rotation) data() string   { return "secret/data/" + r.name }
func (r rotation) plan() string   { return "sys/coffer/rotation/" + r.name }

// furnish makes the users, and the secret with the login of the first.
func (h *house) furnish(r rotation) {
	h.t.Helper()
	for i, user := range r.users {
		password := firstPassword
		if i > 0 {
			password = "nobody-has-this-one"
		}
		h.sql("CREATE ROLE %s LOGIN PASSWORD '%s'", user, password)
	}
	h.write("secret/metadata/"+r.name, map[string]any{"max_versions": 10_000})
	h.write(r.data(), map[string]any{"data": map[string]any{"username": r.users[0], "password": firstPassword}})
}

// create makes the rotation.
func (h *house) create(r rotation) {
	h.t.Helper()
	body := map[string]any{
		"target": r.target(), "source": "database", "strategy": r.strategy, "await": "consumers",
		"config": map[string]any{
			"plugin_name": plugin, "connection_url": h.connectionURL(), "username": h.pg.User, "password": h.pg.Password, "users": r.users,
		},
	}
	maps.Copy(body, r.more)
	h.write(r.plan(), body)
}

const plugin = "postgresql-database-plugin"

func (h *house) connectionURL() string {
	return fmt.Sprintf("postgresql://{{username}}:{{password}}@%s/postgres?sslmode=disable", h.pg.Address())
}

// progress is how far a rotation has got.
type progress struct {
	Attempts  int
	LastError string `json:"last_error"`
	Attempt   *struct {
		Number    int
		Step      string
		Began     time.Time
		Version   int
		Published *time.Time
	}
}

// attempt is one that has ended, as its evidence tells.
type attempt struct {
	Number    int
	Published time.Time
	Retired   time.Time
	Version   int
	Consumers struct{ Moved, Left, Behind, Unknown int }
	Tested    string
	Old       string
	Error     string
}

// evidence returns the attempts that are remembered, the newest first.
func (h *house) evidence(ctx context.Context, r rotation) ([]attempt, error) {
	var all struct{ Attempts []attempt }
	err := h.read(ctx, r.plan()+"/attempts", &all)
	return all.Attempts, err
}

// finish pauses the rotation and returns when no attempt is under way.
func (h *house) finish(r rotation) (last progress) {
	h.t.Helper()
	h.write(r.plan()+"/pause", nil)
	ok := h.within(patience, func(ctx context.Context) bool {
		last = progress{}
		if err := h.read(ctx, r.plan(), &last); err != nil {
			h.t.Fatal(err)
		}
		return last.Attempt == nil
	})
	if !ok {
		h.t.Fatalf("the attempt of %s does not end: it is at %q, with %q\n%s", r.name, last.Attempt.Step, last.LastError, h.server.Process().LastWords())
	}
	return last
}

const (
	patience  = time.Minute // with what must happen, on a busy machine
	lookEvery = 50 * time.Millisecond
)

// within asks again and again until done says yes, and says no if it never does.
func (h *house) within(d time.Duration, done func(context.Context) bool) bool {
	ctx, cancel := context.WithTimeout(h.t.Context(), d)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if done(ctx) {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}
