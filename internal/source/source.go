// Package source is what rotations ask of the place where a secret is made and is
// valid: a database, a program of the operator's, a web service, or nothing but
// chance. When that is done, and what is remembered of it, is not known here.
//
// Start reading at [Source].
package source

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// Values is a secret: its fields, by the names that its source gives them.
type Values map[string]secret.Bytes

// Attempt is one attempt to put a new secret in the place of an old one.
type Attempt struct {
	// ID is random, and the same in every call for this attempt, also after a
	// crash: who is asked twice can tell.
	ID       string
	Rotation string // its name, to be shown in other systems
	Number   int    // of the rotation's attempts, from 1

	Candidate   Values // empty in Create
	Predecessor Values // empty if there is none
}

// Source makes secrets, and makes them valid where they are used. It is safe for
// concurrent use. Calls end when their context does.
//
// Errors are of kind [logical.ErrUpstream] or [logical.ErrInvalid] and hold
// nothing secret. A call that returns one may have had its effect all the same.
type Source interface {
	// Fields are the names of the values that Create returns.
	Fields() []string

	// Create returns the candidate of an attempt. If it asks another system for
	// it, it must get the same again for the same ID, or leave nothing behind that
	// counts: it is repeated until an answer has been stored.
	Create(ctx context.Context, a Attempt) (Values, error)

	// Set makes the candidate valid. Called again for the same attempt, it makes
	// the same so again.
	Set(ctx context.Context, a Attempt) error

	// Test logs in with v, once. It returns nil if that works, an error that wraps
	// ErrRefused if the system says that v is not valid, one that wraps ErrNoLogin
	// if there is nowhere to log in, and any other error if it can't be told.
	Test(ctx context.Context, v Values) error

	// Retire makes the predecessor invalid, if Set has not, and ends what is still
	// open with it. Called again, it does nothing.
	Retire(ctx context.Context, a Attempt) error

	// Sessions returns how many sessions are open that were begun with v, or an
	// error that wraps ErrNoSessions if that can't be told.
	Sessions(ctx context.Context, v Values) (int, error)

	// Close ends what is open.
	Close() error
}

// Errors that say what a system has answered, or can't.
var (
	// ErrRefused says that a login was refused because of what it was made with.
	ErrRefused = errors.New("source: login refused")
	// ErrNoLogin says that there is nowhere to log in.
	ErrNoLogin = errors.New("source: there is no login to try")
	// ErrNoSessions says that the system does not tell who is logged in.
	ErrNoSessions = errors.New("source: sessions cannot be counted")
)

// Strategy is what becomes of the old secret when there is a new one.
type Strategy string

// The strategies.
const (
	// Replace ends the old secret as the new one becomes valid.
	Replace Strategy = "replace"
	// Alternate has two in turn, which are both valid for a while.
	Alternate Strategy = "alternate"
)

// Kind is a kind of source.
type Kind struct {
	Type string // "database"
	Help string // one sentence

	// Strategies are those that it can do; the first is the default.
	Strategies []Strategy

	// Open makes a source of its configuration, a JSON object, and reports what is
	// wrong with that as an error of kind [logical.ErrInvalid]. It touches nothing.
	Open func(config json.RawMessage, s Strategy) (Source, error)

	// Secret are the members of a configuration that are never shown again.
	Secret []string
}

// Kinds are the kinds that there are.
type Kinds []*Kind

// Find returns the kind of that type, or an error of kind [logical.ErrInvalid]
// that lists those there are.
func (ks Kinds) Find(typ string) (*Kind, error) {
	types := make([]string, len(ks))
	for i, k := range ks {
		if k.Type == typ {
			return k, nil
		}
		types[i] = k.Type
	}
	return nil, logical.Invalid("there is no source %q", typ).WithHint("sources are: %v", types)
}
