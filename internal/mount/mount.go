// Package mount keeps which engine answers below which path.
//
// An [Entry] is a stored mount; a [Table] is an immutable picture of all mounts
// with their engines, swapped whole on change; [Store] changes the entries.
package mount

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

var form = storage.Form[Entry]{Name: "mount record", Version: 1}

// AuthPrefix begins the path of every auth method's mount.
const AuthPrefix = "auth/"

// Entry is a mount as it is stored. Its id never changes: rename moves nothing.
type Entry struct {
	ID          string            `json:"-"` // UUID
	Namespace   string            `json:"-"`
	Path        string            `json:"path"` // with a trailing slash
	Type        string            `json:"type"`
	Description string            `json:"desc,omitempty"`
	Accessor    string            `json:"acc"`
	Options     map[string]string `json:"opt,omitempty"`
	Local       bool              `json:"local,omitempty"`
	SealWrap    bool              `json:"sealwrap,omitempty"`
	Config      Config            `json:"cfg"`

	// Leaving is set when the mount is being disabled: it answers nothing, but
	// what it gave away may still have to be revoked.
	Leaving bool `json:"leaving,omitempty"`
}

// Config is what can be tuned. The zero value of a field is the system's default.
type Config struct {
	DefaultLeaseTTL        time.Duration     `json:"ttl,omitempty"`
	MaxLeaseTTL            time.Duration     `json:"max,omitempty"`
	ForceNoCache           bool              `json:"nocache,omitempty"`
	ListingVisibility      string            `json:"vis,omitempty"`  // "", "hidden" or "unauth"
	AuditRequestKeys       []string          `json:"areq,omitempty"` // not hashed in the audit
	AuditResponseKeys      []string          `json:"ares,omitempty"`
	PassthroughHeaders     []string          `json:"phdr,omitempty"`
	AllowedResponseHeaders []string          `json:"rhdr,omitempty"`
	TokenType              logical.TokenType `json:"tok,omitempty"` // of auth methods
	PluginVersion          string            `json:"plug,omitempty"`

	UserLockout logical.UserLockout `json:"lockout,omitzero"` // of auth methods for people
}

// Auth says whether the mount is an auth method's.
func (e *Entry) Auth() bool { return strings.HasPrefix(e.Path, AuthPrefix) }

// Limits are the system's lease times, for mounts that set none.
type Limits struct {
	DefaultLeaseTTL time.Duration
	MaxLeaseTTL     time.Duration
}

// Point is the entry as its engine sees it.
func (e *Entry) Point(l Limits) logical.MountPoint {
	p := logical.MountPoint{
		ID: e.ID, Namespace: e.Namespace, Path: e.Path, Type: e.Type, Accessor: e.Accessor, Options: e.Options,
		DefaultLeaseTTL: e.Config.DefaultLeaseTTL, MaxLeaseTTL: e.Config.MaxLeaseTTL,
		UserLockout: e.Config.UserLockout,
	}
	if p.MaxLeaseTTL == 0 {
		p.MaxLeaseTTL = l.MaxLeaseTTL
	}
	if p.DefaultLeaseTTL == 0 {
		p.DefaultLeaseTTL = l.DefaultLeaseTTL
	}
	p.DefaultLeaseTTL = min(p.DefaultLeaseTTL, p.MaxLeaseTTL)
	return p
}

// DataKey is where the rows of a mount's engine begin.
func DataKey(ns, id string) string {
	return storage.Plain("data") + storage.Plain(ns) + storage.Plain(id)
}

// TableKey is where the entries of a namespace begin.
func TableKey(ns string) string {
	return storage.Plain("conf") + storage.Plain(ns) + storage.Plain("mount")
}

// guardKey is a row that every change of the table rewrites, so that two changes
// at once conflict: whether a path is free depends on all entries.
func guardKey(ns string) string {
	return storage.Plain("conf") + storage.Plain(ns) + storage.Plain("mounts")
}

// All reads the entries of a namespace in tx.
func All(ctx context.Context, tx *storage.Tx, ns string) ([]*Entry, map[string]storage.Revision, error) {
	var entries []*Entry
	revs := map[string]storage.Revision{} // mount id → revision
	table := TableKey(ns)
	for row, err := range tx.Scan(ctx, table, "") {
		if err != nil {
			return nil, nil, err
		}
		id, _, err := storage.Cut(row.Key[len(table):])
		if err != nil {
			return nil, nil, err
		}
		e, err := parse(ns, id.Text(), row)
		if err != nil {
			return nil, nil, err
		}
		entries = append(entries, e)
		revs[e.ID] = row.Revision
	}
	return entries, revs, nil
}

func parse(ns, id string, row storage.Entry) (*Entry, error) {
	e := &Entry{ID: id, Namespace: ns}
	if err := form.Decode(row.Value, e); err != nil {
		return nil, err
	}
	return e, nil
}

// Get reads the entry with that id in tx, or returns an error of kind
// logical.ErrNotFound.
func Get(ctx context.Context, tx *storage.Tx, ns, id string) (*Entry, error) {
	row, err := tx.Get(ctx, TableKey(ns)+storage.Plain(id))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, logical.Errorf(logical.ErrNotFound, "no such mount")
	}
	if err != nil {
		return nil, err
	}
	return parse(ns, id, row)
}

// Change runs fn on the entry with that id in tx and stores what it changed. It
// returns an error of kind logical.ErrNotFound if there is none.
func Change(ctx context.Context, tx *storage.Tx, ns, id string, fn func(e *Entry, others []*Entry) error) error {
	entries, err := lock(ctx, tx, ns)
	if err != nil {
		return err
	}
	for i, e := range entries {
		if e.ID != id {
			continue
		}
		if err := fn(e, append(entries[:i:i], entries[i+1:]...)); err != nil {
			return err
		}
		return e.put(tx)
	}
	return logical.Errorf(logical.ErrNotFound, "no such mount")
}

// Add stores a new entry in tx, or returns an error of kind logical.ErrInvalid
// if its path is taken.
func Add(ctx context.Context, tx *storage.Tx, e *Entry) error {
	entries, err := lock(ctx, tx, e.Namespace)
	if err != nil {
		return err
	}
	if err := Free(e.Path, entries); err != nil {
		return err
	}
	return e.put(tx)
}

// Remove deletes the entry in tx.
func Remove(ctx context.Context, tx *storage.Tx, ns, id string) error {
	if _, err := lock(ctx, tx, ns); err != nil {
		return err
	}
	tx.Delete(TableKey(ns) + storage.Plain(id))
	return nil
}

// lock makes tx conflict with every other change of the table.
func lock(ctx context.Context, tx *storage.Tx, ns string) ([]*Entry, error) {
	if _, err := tx.Get(ctx, guardKey(ns)); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	tx.Put(guardKey(ns), nil)
	entries, _, err := All(ctx, tx, ns)
	return entries, err
}

func (e *Entry) put(tx *storage.Tx) error {
	value, err := form.Encode(e)
	if err != nil {
		return err
	}
	tx.Put(TableKey(e.Namespace)+storage.Plain(e.ID), value)
	return nil
}

// Free returns an error of kind logical.ErrInvalid if a mount of entries is at
// path, above it or below it. So is one that is leaving until it has gone: its
// leases are known by their paths, and must not be taken for another mount's.
func Free(path string, entries []*Entry) error {
	for _, e := range entries {
		if strings.HasPrefix(path, e.Path) || strings.HasPrefix(e.Path, path) {
			return logical.Invalid("path is already in use at %s", e.Path)
		}
	}
	return nil
}
