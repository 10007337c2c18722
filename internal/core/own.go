package core

import (
	"context"
	"encoding/json"

	"github.com/cofferhq/coffer/internal/audit"
	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/uuid"
)

// own is something that the server does by itself. It is put on record as a request
// of the server to itself, and what became of it as the answer.
type own struct {
	path    string      // "sys/coffer/…"
	data    any         // of the answer; nil: none
	plain   []string    // keys of data that are told as they are
	leaseID string      // that it is about; may be empty
	about   *audit.Auth // the token that it is about; may be nil
}

// recordOwn records o around do, whose error it returns. That nobody could record it
// is no reason not to do it: what it ends must end, and a server that can't be
// unsealed can't be mended.
func (c *Core) recordOwn(ctx context.Context, o own, do func() error) error {
	if c.devices.Empty() {
		return do()
	}
	entry := c.ownEntry(uuid.New(), o.path)
	c.noteUnrecorded(ctx, o, c.devices.LogRequest(ctx, entry))
	err := do()
	c.noteUnrecorded(ctx, o, c.recordOutcome(ctx, entry, o, err))
	return err
}

// recordFact records what has happened, and why it did not go well if outcome is not
// nil.
func (c *Core) recordFact(ctx context.Context, o own, outcome error) {
	_ = c.recordOwn(ctx, o, func() error { return outcome }) // which the caller knows
}

// ownEntry begins the entry of a request of the server to itself.
func (c *Core) ownEntry(id, path string) *audit.Entry {
	entry := &audit.Entry{Time: c.Now(), Request: audit.Request{
		ID: id, Op: logical.Update, Namespace: audit.Namespace{ID: RootNamespace}, Path: path,
	}}
	if m := c.Mounts().At("sys/"); m != nil {
		entry.Request.Mount = audit.Mount{Point: m.Path, Type: m.Type, Accessor: m.Accessor, Class: "secret"}
	}
	return entry
}

func (c *Core) recordOutcome(ctx context.Context, entry *audit.Entry, o own, failure error) error {
	entry.Time, entry.Error = c.Now(), callerText(failure)
	entry.Response = &audit.Response{Auth: o.about, LeaseID: o.leaseID}
	if o.data != nil {
		data, err := json.Marshal(o.data)
		if err != nil {
			return err
		}
		entry.Response.Data, entry.PlainResponseKeys = data, o.plain
	}
	return c.logResponse(ctx, entry)
}

func (c *Core) noteUnrecorded(ctx context.Context, o own, err error) {
	if err != nil && ctx.Err() == nil {
		c.log.Error("audit failed", "about", o.path, "error", err)
	}
}

// expireToken does what a token's item asks for.
func (c *Core) expireToken(ctx context.Context, i due.Item) error {
	do := func() error { return c.tokens.Expire(ctx, i, c.Now()) }
	t, err := c.tokens.Due(ctx, i, c.Now())
	if err != nil {
		return err
	}
	if t == nil {
		return do() // it has no more than the item to remove
	}
	return c.recordOwn(ctx, own{path: "sys/coffer/due/token", data: attempt(i), about: callerEntry(t, "")}, do)
}

// expireLease does what a lease's item asks for: its end, or another attempt to
// revoke what it is about.
func (c *Core) expireLease(ctx context.Context, i due.Item) error {
	do := func() error { return c.leases.Expire(ctx, i, c.Now()) }
	l, err := c.leases.Due(ctx, i, c.Now())
	if err != nil {
		return err
	}
	if l == nil {
		return do()
	}
	return c.recordOwn(ctx, own{path: "sys/coffer/due/lease", data: attempt(i), leaseID: l.ID}, do)
}

// attempt tells which one an item has come to.
func attempt(i due.Item) any { return map[string]int{"attempt": i.Attempts + 1} }

// recordUnseal puts on record that the server serves, and since when.
func (c *Core) recordUnseal(ctx context.Context) {
	c.recordFact(ctx, own{path: "sys/coffer/unseal"}, nil)
}

// recordSeal puts on record that the server is about to serve no more, by a request
// or because it stops.
func (c *Core) recordSeal(ctx context.Context) {
	c.recordFact(ctx, own{path: "sys/coffer/seal"}, nil)
}

// RecordReload puts on record that the server has read its certificates again and
// reopened its logs. failure is why not all of it went well, or nil.
func (c *Core) RecordReload(ctx context.Context, failure error) {
	if c.Sealed() {
		return // there is no device
	}
	c.recordFact(ctx, own{path: "sys/coffer/reload"}, failure)
}
