package database

import (
	"context"
	"fmt"
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

// workRoot changes a connection's own password if its time has come, or takes up an
// attempt to do so.
func (e *engine) workRoot(ctx context.Context, r *logical.Request, name string) error {
	c, err := stepConfig(ctx, r, name)
	if err != nil || c == nil {
		return err
	}
	if c.Attempt == nil {
		switch postponed, err := e.postponeRoot(ctx, r, name); {
		case err != nil || postponed:
			return err
		}
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

// forgetUsers is leave, which forgets the users that can't be dropped.
func (e *engine) forgetUsers(ctx context.Context, r *logical.Request) (left []string, err error) {
	var refs []string
	err = r.Step(ctx, func(r *logical.Request) (err error) {
		refs, err = pendingOf(ctx, r.Part, "")
		return err
	})
	if err != nil {
		return nil, err
	}
	away := map[string]bool{} // names of connections that did not answer
	for _, ref := range refs {
		p, err := condemn(ctx, r, ref)
		if err != nil {
			return left, err
		}
		if p == nil {
			continue
		}
		if !away[p.DB] && !p.making(r.Now) {
			if e.undo(ctx, r, ref) == nil {
				continue
			}
			away[p.DB] = true
		}
		if err := p.withdraw(ctx, r); err != nil {
			return left, err
		}
		left = append(left, fmt.Sprintf("the database user %q of the connection %q may still be there", p.User, p.DB))
	}
	return left, nil
}

// making says whether the system may still be making the user.
func (p *pending) making(now time.Time) bool {
	age := now.Sub(p.Since)
	return age < lateAfter && age > -lateAfter // else the clock was put back
}

// takeBack is undo, but not while the system may still be making the user.
func (e *engine) takeBack(ctx context.Context, r *logical.Request, ref string) error {
	p, err := condemn(ctx, r, ref)
	if err != nil || p == nil {
		return err
	}
	if p.making(r.Now) {
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
