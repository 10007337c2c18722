package database

import (
	"context"
	"errors"
	"strings"
	"time"

	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// pending is a user that is being made, or was and has no lease.
type pending struct {
	Ref      string    `json:"-"`
	DB       string    `json:"db"`
	User     string    `json:"user"`
	Password kept      `json:"pw"`
	Since    time.Time `json:"at"`
	Rollback []string  `json:"rollback,omitempty"`

	// Shared: the template makes the same name again, so that the user may have been
	// there before, and be somebody else's.
	Shared bool `json:"shared,omitempty"`
	// Undoing: it is being dropped, and can't be leased any more.
	Undoing bool `json:"undo,omitempty"`
}

// undoAfter is when a user without a lease is dropped: later than any request that
// makes one.
const undoAfter = 2 * time.Minute

func (p *pending) task() logical.Task {
	return logical.Task{At: p.Since.Add(undoAfter), Ref: pendingErrand + p.Ref}
}

func (p *pending) save(part storage.Part) error {
	return save(part, pendingForm, pendingKey(p.Ref), p)
}

func loadPending(ctx context.Context, part storage.Part, ref string) (*pending, error) {
	p, err := load(ctx, part, pendingForm, pendingKey(ref))
	if p != nil {
		p.Ref = ref
	}
	return p, err
}

// announce stores that the user will be made. From here on the connection can't be
// deleted.
func (p *pending) announce(ctx context.Context, r *logical.Request) error {
	return r.Step(ctx, func(r *logical.Request) error {
		c, err := needConfig(ctx, r.Part, p.DB)
		if err != nil {
			return err
		}
		if c.Leaving {
			return logical.Invalid("the connection %q is being deleted", p.DB)
		}
		r.Schedule(p.task())
		return p.save(r.Part)
	})
}

// withdraw forgets a user that was not made.
func (p *pending) withdraw(ctx context.Context, r *logical.Request) error {
	return r.Step(ctx, func(r *logical.Request) error {
		r.Part.Delete(pendingKey(p.Ref))
		r.Cancel(p.task())
		return nil
	})
}

// finish makes a pending user a leased one, in the commit of the lease.
func (p *pending) finish(ctx context.Context, r *logical.Request) error {
	now, err := loadPending(ctx, r.Part, p.Ref)
	if err != nil {
		return err
	}
	if now == nil || now.Undoing {
		return logical.Errorf(logical.ErrUpstream, "making the database user took too long, and it was dropped again")
	}
	r.Part.Delete(pendingKey(p.Ref))
	r.Cancel(p.task())
	emit(r, "creds-create", r.Path, r.Text("name"))
	return save(r.Part, liveForm, liveKey(p.DB, p.Ref), &live{User: p.User})
}

// pendingOf returns the refs of the pending users of a connection, or of all if db is
// empty. The commit depends on them.
func pendingOf(ctx context.Context, part storage.Part, db string) (refs []string, err error) {
	table := storage.Plain(pendings)
	for row, err := range part.Range(ctx, table, "") {
		if err != nil {
			return nil, err
		}
		seg, _, err := storage.Cut(strings.TrimPrefix(row.Key, table))
		if err != nil {
			return nil, err
		}
		var p pending
		if err := pendingForm.Decode(row.Value, &p); err != nil {
			return nil, err
		}
		if db == "" || p.DB == db {
			refs = append(refs, seg.Text())
		}
	}
	return refs, nil
}

// undo drops a pending user, unless it has been leased meanwhile.
func (e *engine) undo(ctx context.Context, r *logical.Request, ref string) error {
	p, err := condemn(ctx, r, ref)
	if err != nil || p == nil {
		return err
	}
	err = e.onUser(ctx, r, p.DB, p.User, func(ctx context.Context, conn dbms.Conn) error { return p.drop(ctx, conn) })
	if err != nil {
		return err
	}
	return p.withdraw(ctx, r)
}

// condemn marks a pending user, so that it can't be leased any more; nil if there is
// none, or its connection was deleted by force.
func condemn(ctx context.Context, r *logical.Request, ref string) (p *pending, err error) {
	err = r.Step(ctx, func(r *logical.Request) error {
		p, err = loadPending(ctx, r.Part, ref)
		if err != nil || p == nil {
			return err
		}
		p.Undoing = true
		return p.save(r.Part)
	})
	return p, err
}

// drop drops the user, if it is ours.
func (p *pending) drop(ctx context.Context, conn dbms.Conn) error {
	if p.Shared {
		// Only ours has the password.
		err := conn.Login(ctx, p.User, p.Password.Bytes)
		if errors.Is(err, dbms.ErrRefused) {
			return nil
		}
		if err != nil {
			return upstream("drop a database user that has no lease", err)
		}
	}
	if len(p.Rollback) > 0 {
		if err := drop(ctx, conn, p.User, p.Rollback); err != nil {
			return err
		}
	}
	return drop(ctx, conn, p.User, nil)
}
