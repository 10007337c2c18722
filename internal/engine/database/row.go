package database

import (
	"context"
	"errors"

	"github.com/cofferhq/coffer/internal/storage"
)

// The tables of a mount: see DESIGN.md.
const (
	configs  = "config"  // Name(connection)
	roles    = "role"    // Name(role)
	statics  = "static"  // Name(role)
	owners   = "owner"   // Name(connection), Name(user)
	pendings = "pending" // Plain(ref)
	lives    = "live"    // Name(connection), Plain(ref)
	errands  = "errand"  // Plain(id)
)

func named(table, name string) string { return storage.Plain(table) + storage.Name(name) }

func ownerKey(db, user string) string { return named(owners, db) + storage.Name(user) }
func pendingKey(ref string) string    { return storage.Plain(pendings) + storage.Plain(ref) }
func liveKey(db, ref string) string   { return named(lives, db) + storage.Plain(ref) }
func errandKey(id string) string      { return storage.Plain(errands) + storage.Plain(id) }

// owner says which static role a user of a system belongs to.
type owner struct {
	Role string `json:"role"`
}

// live is a user that was made and leased. The lease has all that it takes to
// revoke it; the row tells that the connection is still needed.
type live struct {
	User string `json:"user"`
}

// errand says what a task is about whose ref is the row's id: one of the two.
type errand struct {
	Static string `json:"static,omitempty"` // name of a static role
	Config string `json:"config,omitempty"` // name of a connection
}

var (
	configForm  = storage.Form[config]{Name: "database connection record", Version: 1}
	roleForm    = storage.Form[role]{Name: "database role record", Version: 1}
	staticForm  = storage.Form[static]{Name: "database static role record", Version: 1}
	ownerForm   = storage.Form[owner]{Name: "database owner record", Version: 1}
	pendingForm = storage.Form[pending]{Name: "database pending user record", Version: 1}
	liveForm    = storage.Form[live]{Name: "database user record", Version: 1}
	errandForm  = storage.Form[errand]{Name: "database errand record", Version: 1}
)

// load reads the record at key; nil if there is none. The commit depends on it.
func load[T any](ctx context.Context, p storage.Part, f storage.Form[T], key string) (*T, error) {
	e, err := p.Get(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := new(T)
	if err := f.Decode(e.Value, r); err != nil {
		return nil, err
	}
	return r, nil
}

func save[T any](p storage.Part, f storage.Form[T], key string, r *T) error {
	value, err := f.Encode(r)
	if err != nil {
		return err
	}
	p.Put(key, value)
	return nil
}
