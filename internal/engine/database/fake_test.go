package database_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// world is a system in memory, which fails on demand. Its administrator is "root".
type world struct {
	mu       sync.Mutex // guards the fields below
	users    map[string]*account
	calls    []string // in order: "create", "set", …
	faultAt  int      // the call of those that change something that fails, from 1; zero: none
	changes  int      // such calls so far
	how      fault
	hangs    func(call, user string) bool // such a call ends with its context only
	closed   bool                         // nobody can log in from outside
	allow    func(user, password string) error
	open     int // connections that are not closed
	sentence map[string]int
}

type account struct {
	password string
	expires  time.Time
}

// fault is how a call fails.
type fault struct {
	after   bool // it has its effect, and the answer is lost
	lasting bool // so do all calls from then on, logins too
}

const rootPassword = "root-password-0"

func newWorld() *world {
	return &world{users: map[string]*account{"root": {password: rootPassword}}, sentence: map[string]int{}}
}

// kinds are what the engine of the tests knows.
func (w *world) kinds() dbms.Kinds {
	kind := &dbms.Kind{
		Plugins: []dbms.Plugin{{Name: "fake-database-plugin", MaxName: 63,
			Username: `{{printf "v-%s-%s-%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20)}}`}},
		Fields: dbms.Choose("connection_url", "username", "password", "max_open_connections", "username_template", "private_key"),
		Check:  func(dbms.Config) []dbms.Problem { return nil },
		CheckStatements: func(s dbms.Statements) []dbms.Problem {
			return dbms.CheckSQL(s)
		},
		Open: func(c dbms.Config) (dbms.Conn, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.open++
			return &conn{w: w, user: c.Username, password: c.Password.RevealText()}, nil
		},
	}
	return dbms.Kinds{kind}
}

// conn is access to the world.
type conn struct {
	w              *world
	user, password string
}

var _ dbms.Conn = (*conn)(nil)

var errLost = errors.New("the connection was lost")

// do does one call as the administrator.
func (c *conn) do(ctx context.Context, call, user string, changes bool, effect func() error) error {
	w := c.w
	w.mu.Lock()
	if w.hangs != nil && w.hangs(call, user) {
		w.mu.Unlock()
		ctx, cancel := context.WithTimeout(ctx, dbms.CallTime)
		defer cancel()
		<-ctx.Done()
		return dbms.Upstream(call, ctx.Err())
	}
	defer w.mu.Unlock()
	w.calls = append(w.calls, call)
	if a := w.users[c.user]; a == nil || a.password != c.password {
		return dbms.Upstream(call, errors.New("the administrator was refused"))
	}
	breaks := w.faultAt > 0 && w.changes >= w.faultAt && w.how.lasting
	if changes {
		w.changes++
		breaks = breaks || w.changes == w.faultAt
	}
	if breaks && !w.how.after {
		return dbms.Upstream(call, errLost)
	}
	if err := effect(); err != nil {
		return err
	}
	if breaks {
		return dbms.Upstream(call, errLost)
	}
	return nil
}

const (
	looks   = false
	changes = true
)

func (c *conn) Create(ctx context.Context, u dbms.User, s dbms.Statements) error {
	return c.do(ctx, "create", u.Name, changes, func() error {
		if c.w.users[u.Name] != nil {
			return dbms.Upstream("create", dbms.ErrExists)
		}
		if len(s.Create) == 0 {
			return dbms.NoStatements()
		}
		c.w.users[u.Name] = &account{password: u.Password.RevealText(), expires: u.Expires}
		return nil
	})
}

func (c *conn) Renew(ctx context.Context, name string, expires time.Time, _ dbms.Statements) error {
	return c.do(ctx, "renew", name, changes, func() error {
		if c.w.users[name] == nil {
			return dbms.Upstream("renew", dbms.ErrMissing)
		}
		c.w.users[name].expires = expires
		return nil
	})
}

func (c *conn) SetPassword(ctx context.Context, name string, p secret.Bytes, s dbms.Statements) error {
	return c.do(ctx, "set", name, changes, func() error {
		if c.w.users[name] == nil {
			return dbms.Upstream("set", dbms.ErrMissing)
		}
		if c.w.allow != nil {
			if err := c.w.allow(name, p.RevealText()); err != nil {
				return dbms.Upstream("set", err)
			}
		}
		if !slices.Contains(s.Rotate, idle) {
			c.w.users[name].password = p.RevealText()
		}
		return nil
	})
}

// idle is a statement that changes nothing.
const idle = "SELECT '{{name}} {{password}}'"

func (c *conn) Drop(ctx context.Context, name string, s dbms.Statements) error {
	return c.do(ctx, "drop", name, changes, func() error {
		for _, one := range s.Revoke {
			c.w.sentence[one]++
		}
		delete(c.w.users, name)
		return nil
	})
}

func (c *conn) Login(ctx context.Context, name string, p secret.Bytes) error {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.calls = append(c.w.calls, "login")
	switch a := c.w.users[name]; {
	case ctx.Err() != nil:
		return dbms.Upstream("log in", ctx.Err())
	case c.w.closed, c.w.faultAt > 0 && c.w.changes >= c.w.faultAt && c.w.how.lasting:
		return dbms.Upstream("log in", errLost)
	case a == nil || a.password != p.RevealText():
		return dbms.Upstream("log in", dbms.ErrRefused)
	}
	return nil
}

func (c *conn) Sessions(context.Context, string) (int, error) { return 0, nil }

func (c *conn) EndSessions(ctx context.Context, name string) error {
	return c.do(ctx, "end", name, looks, func() error { return nil })
}

func (c *conn) Ping(ctx context.Context) error {
	return c.do(ctx, "ping", "", looks, func() error { return nil })
}

func (c *conn) Close() error {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.open--
	return nil
}

// breakAt makes the n-th change from here on fail, or nothing if n is zero.
func (w *world) breakAt(n int, how fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faultAt, w.changes, w.how = n, 0, how
}

// broke says whether it has come to that.
func (w *world) broke() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changes >= w.faultAt
}

// names are the users there are, beside the administrator.
func (w *world) names() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(w.users)), func(name string) bool { return name == "root" })
}

func (w *world) password(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.users[name] == nil {
		return ""
	}
	return w.users[name].password
}

func (w *world) add(name, password string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.users[name] = &account{password: password}
}

// count is how often a call was made.
func (w *world) count(call string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, c := range w.calls {
		if c == call {
			n++
		}
	}
	return n
}

// leaks is a password of the world that text holds, if one does.
func (w *world) leaks(text string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, a := range w.users {
		if len(a.password) > 8 && strings.Contains(text, a.password) {
			return fmt.Sprintf("the password of %s", name)
		}
	}
	return ""
}

var errWeak = logical.Errorf(logical.ErrUpstream, "the password is too weak")
