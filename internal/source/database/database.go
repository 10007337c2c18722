// Package database is the source of passwords of users of databases and other
// systems that [github.com/cofferhq/coffer/internal/database] knows. Replace gives
// one user a new password; alternate has two users in turn, of which the one that
// is not in use gets a password that nobody knows.
package database

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/password"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/source"
)

// Kind returns the kind of source. Systems are what it can connect to, policies
// finds password policies by their names.
func Kind(systems dbms.Kinds, policies password.Source) *source.Kind {
	return &source.Kind{
		Type: "database", Help: "Passwords of users of PostgreSQL, MySQL, MariaDB, Redis and Valkey.",
		Strategies: []source.Strategy{source.Replace, source.Alternate},
		Secret:     append([]string{"connection_url"}, dbms.SecretFields...),
		Open: func(config json.RawMessage, s source.Strategy) (source.Source, error) {
			return open(systems, policies, config, s)
		},
	}
}

// own is what of the configuration is not the connection's.
type own struct {
	Plugin     string   `json:"plugin_name"`
	Users      []string `json:"users"` // whose passwords rotate: one, or two that alternate
	Policy     string   `json:"password_policy"`
	Statements []string `json:"rotation_statements"`
	// KeepSessions leaves sessions open that were begun with the old secret.
	KeepSessions bool `json:"keep_sessions"`
}

type users struct {
	own
	strategy source.Strategy
	policies password.Source
	conn     dbms.Conn
}

var _ source.Source = (*users)(nil)

func open(systems dbms.Kinds, policies password.Source, config json.RawMessage, s source.Strategy) (source.Source, error) {
	u := &users{strategy: s, policies: policies}
	if err := json.NewDecoder(bytes.NewReader(config)).Decode(&u.own); err != nil {
		return nil, logical.Invalid("config: plugin_name, users and the fields of a connection are needed").
			WithHint("users and rotation_statements are lists of texts")
	}
	kind, ok := systems.Find(u.Plugin)
	if !ok {
		return nil, logical.Invalid("config: there is no plugin_name %q", u.Plugin).WithHint("there are: %s", strings.Join(systems.Names(), ", "))
	}
	if err := u.check(); err != nil {
		return nil, err
	}
	cfg, err := kind.Parse(u.Plugin, config)
	if err != nil {
		return nil, err
	}
	if slices.Contains(u.Users, cfg.Username) {
		return nil, logical.Invalid("config: %q cannot rotate its own password here: it is the connection's user", cfg.Username)
	}
	if u.conn, err = kind.Open(cfg); err != nil {
		return nil, err
	}
	return u, nil
}

func (u *users) check() error {
	want := 1
	if u.strategy == source.Alternate {
		want = 2
	}
	switch {
	case len(u.Users) != want:
		return logical.Invalid("config: strategy %q needs %d users, not %d", u.strategy, want, len(u.Users))
	case slices.Contains(u.Users, ""):
		return logical.Invalid("config: a user needs a name")
	case want == 2 && u.Users[0] == u.Users[1]:
		return logical.Invalid("config: the users must be two: %q is named twice", u.Users[0])
	}
	return nil
}

// Fields implements [source.Source].
func (u *users) Fields() []string { return []string{"username", "password"} }

// Create implements [source.Source]: it is the turn of the user who is not in use.
func (u *users) Create(ctx context.Context, a source.Attempt) (source.Values, error) {
	name := u.Users[0]
	if u.strategy == source.Alternate && a.Predecessor["username"].RevealText() == name {
		name = u.Users[1]
	}
	made, err := u.password(ctx)
	if err != nil {
		return nil, err
	}
	return source.Values{"username": secret.Text(name), "password": made}, nil
}

func (u *users) password(ctx context.Context) (secret.Bytes, error) {
	policy := password.Policy{}
	if u.Policy != "" {
		var err error
		if policy, err = u.policies(ctx, u.Policy); err != nil {
			return secret.Bytes{}, err
		}
	}
	return policy.Generate(), nil
}

// Set implements [source.Source].
func (u *users) Set(ctx context.Context, a source.Attempt) error {
	return u.set(ctx, name(a.Candidate), a.Candidate["password"])
}

func (u *users) set(ctx context.Context, name string, password secret.Bytes) error {
	return u.conn.SetPassword(ctx, name, password, dbms.Statements{Rotate: u.Statements})
}

func name(v source.Values) string { return v["username"].RevealText() }

// Test implements [source.Source]. Of users that are not the source's it tells
// nothing.
func (u *users) Test(ctx context.Context, v source.Values) error {
	if !slices.Contains(u.Users, name(v)) {
		return source.ErrNoLogin
	}
	err := u.conn.Login(ctx, name(v), v["password"])
	if errors.Is(err, dbms.ErrRefused) {
		return fmt.Errorf("%w: %w", source.ErrRefused, err)
	}
	return err
}

// Retire implements [source.Source]. With replace there is nothing to do: the user
// is the same, and its sessions cannot be told apart.
func (u *users) Retire(ctx context.Context, a source.Attempt) error {
	old := name(a.Predecessor)
	if old == name(a.Candidate) || !slices.Contains(u.Users, old) {
		return nil
	}
	nobodys, err := u.password(ctx)
	if err != nil {
		return err
	}
	if err := u.set(ctx, old, nobodys); err != nil && !errors.Is(err, dbms.ErrMissing) {
		return err
	}
	if u.KeepSessions {
		return nil
	}
	return u.conn.EndSessions(ctx, old)
}

// Sessions implements [source.Source].
func (u *users) Sessions(ctx context.Context, v source.Values) (int, error) {
	if u.strategy != source.Alternate || !slices.Contains(u.Users, name(v)) {
		return 0, source.ErrNoSessions
	}
	return u.conn.Sessions(ctx, name(v))
}

// Close implements [source.Source].
func (u *users) Close() error { return u.conn.Close() }
