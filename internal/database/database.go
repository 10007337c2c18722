// Package database is what coffer asks of an outside system that has users with
// passwords: make one, change its password, end it, and say whether a password
// is right. Drivers implement it, one for each kind of system; those who rotate
// credentials use it. When that is done, and what is remembered of it, is not
// known here.
//
// Start reading at [Conn].
package database

import (
	"context"
	"errors"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// Kind is one kind of outside system.
type Kind struct {
	// Plugins are the names by which clients of Vault choose the kind.
	Plugins []Plugin

	// Fields are the fields of a connection that the kind reads.
	Fields logical.Fields

	// Check reports what is wrong with a connection's configuration, which
	// [Kind.Parse] has read. It touches nothing.
	Check func(Config) []Problem

	// CheckStatements reports what is wrong with a role's statements.
	CheckStatements func(Statements) []Problem

	// Open returns a connection to a system. It dials nothing: see [Conn.Ping]. It
	// returns an error of kind [logical.ErrInvalid] if the configuration cannot be
	// used.
	Open func(Config) (Conn, error)
}

// Plugin is a name of a kind, with what Vault's plugin of that name does by
// default.
type Plugin struct {
	Name     string // postgresql-database-plugin
	Username string // default template of user names: see NewUsernames
	MaxName  int    // of a user name that coffer makes, in bytes
}

// Kinds are the kinds that there are.
type Kinds []*Kind

// Find returns the kind with the plugin of that name.
func (ks Kinds) Find(plugin string) (*Kind, bool) {
	for _, k := range ks {
		if _, ok := k.Plugin(plugin); ok {
			return k, true
		}
	}
	return nil, false
}

// Names returns the names of all plugins.
func (ks Kinds) Names() (names []string) {
	for _, k := range ks {
		for _, p := range k.Plugins {
			names = append(names, p.Name)
		}
	}
	return names
}

// Plugin returns the plugin of that name.
func (k *Kind) Plugin(name string) (Plugin, bool) {
	for _, p := range k.Plugins {
		if p.Name == name {
			return p, true
		}
	}
	return Plugin{}, false
}

// Fields returns the fields of all kinds, for the table of a route.
func (ks Kinds) Fields() logical.Fields {
	all := logical.Fields{}
	for _, k := range ks {
		for name, f := range k.Fields {
			all[name] = f
		}
	}
	return all
}

// Conn is access to one outside system as one of its administrators. It is safe
// for concurrent use. Every call ends when its context does, and after
// [CallTime] at the latest; what it sent is then not carried out later than that
// by a system that takes such a limit.
//
// A call that changes something and returns an error other than ErrExists,
// ErrMissing or one of kind [logical.ErrInvalid] may have had its effect all the
// same: the answer may have been lost. Login settles which password is right,
// and Drop can always be repeated.
//
// Names and passwords may have any characters that the system takes. Errors
// never hold a password, and are of kind [logical.ErrUpstream] or
// [logical.ErrInvalid].
type Conn interface {
	// Create makes a user that can log in with the password. It returns an error
	// that wraps ErrExists, and has done nothing, if there is one of that name. If
	// a statement fails, those before it have no effect.
	Create(ctx context.Context, u User, s Statements) error

	// Renew makes the user's account end at expires; where accounts do not end by
	// themselves it does nothing, unless there are statements.
	Renew(ctx context.Context, name string, expires time.Time, s Statements) error

	// SetPassword gives the user another password. It returns an error that wraps
	// ErrMissing if there is no such user.
	SetPassword(ctx context.Context, name string, password secret.Bytes, s Statements) error

	// Drop ends the user: no one can log in by that name afterwards. Sessions that
	// are open may live on: see EndSessions. It does nothing if there is no such
	// user.
	Drop(ctx context.Context, name string, s Statements) error

	// Login tries the password once, on a connection of its own. It returns nil if
	// the system accepts it, an error that wraps ErrRefused if the system says that
	// name or password is wrong, and any other error if the system did not say:
	// network, overload, locked account. Only ErrRefused tells that a password is
	// not valid.
	Login(ctx context.Context, name string, password secret.Bytes) error

	// Sessions returns how many sessions the user has open.
	Sessions(ctx context.Context, name string) (int, error)

	// EndSessions ends the user's sessions. The user may open others.
	EndSessions(ctx context.Context, name string) error

	// Ping checks that the system can be reached and accepts the administrator's
	// own credentials.
	Ping(ctx context.Context) error

	// Close ends the connection. No method may be called after it.
	Close() error
}

// CallTime bounds every call of a Conn, LoginTime a Login.
const (
	CallTime  = 30 * time.Second
	LoginTime = 10 * time.Second
)

// Errors that say what a system answered.
var (
	// ErrRefused says that the system answered, and refused name and password.
	ErrRefused = errors.New("database: login refused")
	// ErrExists says that there is a user of that name.
	ErrExists = errors.New("database: user exists")
	// ErrMissing says that there is no user of that name.
	ErrMissing = errors.New("database: no such user")
)

// User is a user to be made.
type User struct {
	Name     string
	Password secret.Bytes
	Expires  time.Time // zero: never
}

// Statements are what is to be sent to the system instead of the driver's
// defaults, by occasion, in the form in which a client of Vault has given them:
// see [Split]. Empty ones mean the defaults.
type Statements struct {
	Create   []string // creation_statements
	Renew    []string // renew_statements
	Revoke   []string // revocation_statements: for Drop
	Rollback []string // rollback_statements: after a Create that failed half-way
	Rotate   []string // rotation_statements, root_rotation_statements: for SetPassword
}

// Problem is something wrong with one field.
type Problem struct {
	Field string
	Text  string
}

// refuse returns the problems as one error of kind [logical.ErrInvalid]; nil if
// there are none.
func refuse(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	text := ""
	for i, p := range problems {
		if i > 0 {
			text += "; "
		}
		text += p.Field + ": " + p.Text
	}
	return logical.Invalid("%s", text)
}

// Refuse returns an error of kind [logical.ErrInvalid] if the role's statements
// cannot be used with the kind.
func (k *Kind) Refuse(s Statements) error { return refuse(k.CheckStatements(s)) }
