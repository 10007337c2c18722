package database

import (
	"context"
	"strings"
	"time"

	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
)

// The refs of tasks begin with what they are about.
const (
	pendingErrand = "user."
	staticErrand  = "role."
	configErrand  = "root."
)

// work does a task. What it is about may be gone or done.
func (e *engine) work(ctx context.Context, r *logical.Request, t logical.Task) error {
	if ref, ok := strings.CutPrefix(t.Ref, pendingErrand); ok {
		return e.undo(ctx, r, ref)
	}
	_, id, _ := strings.Cut(t.Ref, ".")
	var what *errand
	err := r.Step(ctx, func(r *logical.Request) (err error) {
		what, err = load(ctx, r.Part, errandForm, errandKey(id))
		return err
	})
	switch {
	case err != nil || what == nil:
		return err
	case what.Static != "":
		return e.workStatic(ctx, r, what.Static)
	}
	return e.workRoot(ctx, r, what.Config)
}

// workRoot takes up an attempt to rotate a connection's own password.
func (e *engine) workRoot(ctx context.Context, r *logical.Request, name string) error {
	c, err := stepConfig(ctx, r, name)
	if err != nil || c == nil || c.Attempt == nil {
		return err
	}
	return e.rotateRootOf(ctx, r, name, queuedTask)
}

// Whether a task is under way for a rotation.
const (
	onRequest  = false
	queuedTask = true
)

// leave drops the users that have no lease.
func (e *engine) leave(ctx context.Context, r *logical.Request) error {
	var refs []string
	err := r.Step(ctx, func(r *logical.Request) (err error) {
		refs, err = pendingOf(ctx, r.Part, "")
		return err
	})
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if err := e.takeBack(ctx, r, ref); err != nil {
			return err
		}
	}
	return nil
}

// takeBack is undo, but not while the system may still be making the user.
func (e *engine) takeBack(ctx context.Context, r *logical.Request, ref string) error {
	p, err := condemn(ctx, r, ref)
	if err != nil || p == nil {
		return err
	}
	if r.Now.Sub(p.Since) < lateAfter {
		return logical.Errorf(logical.ErrUpstream,
			"a database user may still be in the making, try again in a minute")
	}
	return e.undo(ctx, r, ref)
}

// patience is how long a rotation may take, from first to last.
const patience = 2*dbms.LoginTime + dbms.CallTime + 20*time.Second

// pace returns a context for a rotation, which must not stop half-way because the one
// who asked has gone. It ends in its time, with the task, and with the engine.
func (e *engine) pace(ctx context.Context, queued bool) (context.Context, context.CancelFunc) {
	if queued {
		return e.within(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	ctx, done := e.within(ctx)
	return ctx, func() { done(); cancel() }
}
