// Package database is the secrets engine for users of databases: it makes users
// that end with a lease, changes the passwords of users that stay, and that of its
// own access. What it asks of a system is internal/database; it is not for the
// language of any of them.
//
// Nothing outside is touched before a row says that it will be, and what a touch
// has done is found out by logging in, not by what was answered: see DESIGN.md.
// Start reading at the table of routes, then at creds and at rotation.
package database

import (
	"context"
	"errors"
	"strings"
	"time"

	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/password"
)

// New returns the engine, for systems of these kinds. passwords finds the password
// policies that connections and roles name.
func New(systems dbms.Kinds, passwords password.Source) logical.Kind {
	// One for all mounts, and for what a mount is before and after it is tuned.
	queue := &turns{}
	return logical.Kind{
		Type:        "database",
		Description: "Makes database users that end with a lease, and rotates the passwords of those that stay.",
		Databases:   systems.Names(),
		New: func(m logical.MountPoint) (*logical.Engine, error) {
			life, end := context.WithCancel(context.Background())
			e := &engine{mount: m.ID, systems: systems, passwords: passwords, turns: queue, life: life, end: end}
			return &logical.Engine{
				Endpoints:   logical.Bind(e, routesFor(systems)),
				RenewLease:  e.renewLease,
				RevokeLease: e.revokeLease,
				Work:        e.work,
				Leave:       e.leave,
				Forget:      e.forgetUsers,
				Close:       e.close,
			}, nil
		},
	}
}

// engine is one mount. All that must last is in the rows.
type engine struct {
	mount     string // its id
	systems   dbms.Kinds
	passwords password.Source
	turns     *turns
	pools     pools

	life context.Context // ends with the engine, and with it what is under way outside
	end  context.CancelFunc
}

func (e *engine) close() error {
	e.end()
	return e.pools.close()
}

// within returns a context that ends with the engine too.
func (e *engine) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(e.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// turn waits until nothing else is done about the user, and returns what ends that.
func (e *engine) turn(ctx context.Context, db, user string) (end func(), err error) {
	return e.turns.take(ctx, e.mount+"\x00"+db+"\x00"+user)
}

// policy finds a password policy: the first name that is not empty, else the
// default one.
func (e *engine) policy(ctx context.Context, names ...string) (password.Policy, error) {
	for _, name := range names {
		if name != "" {
			return e.passwords(ctx, name)
		}
	}
	return password.Policy{}, nil
}

// object is data of an answer.
type object = map[string]any

// seconds are how answers tell a duration.
func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// unknownConnection is the refusal to use a connection that is not there.
func unknownConnection(name string) error {
	return logical.Invalid("failed to find entry for connection with name: %q", name)
}

// said is the text of an error for the caller.
func said(err error) string {
	if own := (*logical.Error)(nil); errors.As(err, &own) {
		if _, several := err.(interface{ Unwrap() []error }); several {
			return own.Error()
		}
		return err.Error()
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "there was no answer in time"
	}
	return "internal error"
}

// upstream says what was attempted when a system, or the way to it, failed.
func upstream(doing string, err error) error {
	return &logical.Error{Kind: kindOf(err), Text: doing + ": " + said(err), Err: err}
}

// kindOf is the kind of a system's error.
func kindOf(err error) error {
	if errors.Is(err, logical.ErrInvalid) {
		return logical.ErrInvalid
	}
	return logical.ErrUpstream
}

// didNothing says whether err is of those after which a call has had no effect.
func didNothing(err error) bool {
	return errors.Is(err, dbms.ErrExists) || errors.Is(err, dbms.ErrMissing) || errors.Is(err, logical.ErrInvalid)
}

// emit adds an event to the request's commit, as Vault names them.
func emit(r *logical.Request, op, path, name string) {
	r.Emit(logical.Event{Type: "database/" + op, Path: path, Metadata: map[string]string{
		"path": r.Mount.Path + path, "operation": op, "name": name, "modified": "true",
	}})
}

// list answers with the names in a table.
func list(names []string, err error) (*logical.Response, error) {
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, logical.ErrNotFound
	}
	return &logical.Response{Data: object{"keys": names}}, nil
}

// match says whether name is one that pattern means, in which each * stands for
// any text.
func match(pattern, name string) bool {
	first, rest, glob := strings.Cut(pattern, "*")
	if !glob {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	for _, part := range parts[:len(parts)-1] {
		at := strings.Index(name, part)
		if at < 0 {
			return false
		}
		name = name[at+len(part):]
	}
	return strings.HasSuffix(name, parts[len(parts)-1])
}
