// Package databasetest holds every driver to the contract of package database,
// against a real server.
package databasetest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/parts"
	"github.com/cofferhq/coffer/internal/secret"
)

// Target is a driver and the server that it is tried with.
type Target struct {
	Kind   *database.Kind
	Plugin string
	Server parts.Server

	// Fields returns the fields of a connection to an address.
	Fields func(host string, port int, user, password string) map[string]any

	Create []string // creation_statements that work
	Broken []string // creation_statements of which the second fails; nil: there can't be a second

	// Commit is in the request whose answer tells that a user exists or has another
	// password.
	CommitCreate, CommitPassword string

	// Session opens a session of a user and returns whether it lives.
	Session func(t *testing.T, name, password string) (alive func() bool)

	Nasty []string // user names with characters that are special to the server
}

// Run runs the suite.
func Run(t *testing.T, target Target) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, newFixture(t, target)) })
	}
}

// fixture is a target and a connection to it.
type fixture struct {
	Target
	conn database.Conn
}

func newFixture(t *testing.T, target Target) *fixture {
	f := &fixture{Target: target}
	f.conn = f.open(t, target.Server.Host, target.Server.Port)
	return f
}

// open opens a connection to an address: the server's, or a proxy's.
func (f *fixture) open(t *testing.T, host string, port int) database.Conn {
	t.Helper()
	raw, err := json.Marshal(f.Fields(host, port, f.Server.User, f.Server.Password))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := f.Kind.Parse(f.Plugin, raw)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := f.Kind.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// newName returns a name that no other test has.
func newName() string { return "u_" + strings.ToLower(rand.Text()[:8]) }

// newPassword returns a password that no other test has.
func newPassword() secret.Bytes { return secret.Text("Pw-" + rand.Text()) }

func (f *fixture) statements() database.Statements { return database.Statements{Create: f.Create} }

// create makes a user that the test's end drops.
func (f *fixture) create(t *testing.T, name string) secret.Bytes {
	t.Helper()
	password := newPassword()
	f.createWith(t, name, password)
	return password
}

func (f *fixture) createWith(t *testing.T, name string, password secret.Bytes) {
	t.Helper()
	u := database.User{Name: name, Password: password, Expires: time.Now().Add(time.Hour)}
	if err := f.conn.Create(t.Context(), u, f.statements()); err != nil {
		t.Fatalf("create: %v", err)
	}
	f.dropAtEnd(t, name)
}

func (f *fixture) dropAtEnd(t *testing.T, name string) {
	t.Cleanup(func() {
		if err := f.conn.Drop(context.Background(), name, database.Statements{}); err != nil {
			t.Errorf("drop: %v", err)
		}
	})
}

// accepted checks that a password is right, and refused that it is wrong.
func (f *fixture) accepted(t *testing.T, name string, password secret.Bytes) {
	t.Helper()
	if err := f.conn.Login(t.Context(), name, password); err != nil {
		t.Errorf("login: %v", err)
	}
}

func (f *fixture) refused(t *testing.T, name string, password secret.Bytes) {
	t.Helper()
	if err := f.conn.Login(t.Context(), name, password); !errors.Is(err, database.ErrRefused) {
		t.Errorf("login with what must be refused: %v", err)
	}
}

// hides checks that an error is one for callers and holds no secret.
func hides(t *testing.T, err error, secrets ...secret.Bytes) {
	t.Helper()
	if !errors.Is(err, logical.ErrUpstream) && !errors.Is(err, logical.ErrInvalid) {
		t.Errorf("not of a kind for callers: %v", err)
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, s := range secrets {
			if strings.Contains(e.Error(), s.RevealText()) {
				t.Error("the error holds a secret")
			}
		}
	}
}

func contextFor(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}
