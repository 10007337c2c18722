package database

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// secretOf is what a rotation has made, for those who must see every secret.
func secretOf(s *static) (json.RawMessage, error) {
	return json.Marshal(map[string]string{passwordField: s.Password.RevealText()})
}

func (e *engine) rotateRole(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	name := r.Text("name")
	s, err := stepStatic(ctx, r, name)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, logical.Invalid("no static role found for role name")
	}
	return nil, e.rotateStatic(ctx, r, name, onRequest)
}

// rotateStatic changes the password of a static role's user; queued says that a task
// is under way for it.
func (e *engine) rotateStatic(ctx context.Context, r *logical.Request, name string, queued bool) error {
	o, end, err := e.staticRotation(ctx, r, name)
	if err != nil {
		return err
	}
	defer end()
	ctx, done := e.pace(ctx, queued)
	defer done()
	o.queued = queued
	return o.run(ctx)
}

// staticRotation waits for the user's turn and returns a rotation, and what ends
// both.
func (e *engine) staticRotation(ctx context.Context, r *logical.Request, name string) (o *rotation, end func(), err error) {
	s, err := stepStatic(ctx, r, name)
	if err != nil {
		return nil, nil, err
	}
	if s == nil {
		return nil, nil, errGone
	}
	a, err := e.reach(ctx, r, s.DB)
	if err != nil {
		return nil, nil, err
	}
	policy, err := e.policy(ctx, s.Policy, a.PasswordPolicy)
	if err != nil {
		a.letGo()
		return nil, nil, err
	}
	turn, err := e.turn(ctx, s.DB, s.User)
	if err != nil {
		a.letGo()
		return nil, nil, err
	}
	load := func(ctx context.Context, p storage.Part) (holder, error) {
		s, err := loadStatic(ctx, p, name)
		if s == nil { // a nil *static is no nil holder
			return nil, err
		}
		return s, err
	}
	o = &rotation{r: r, load: load, conn: a.conn, user: s.User, statements: s.Statements, policy: policy, ackSuffices: true}
	return o, func() { turn(); a.letGo() }, nil
}

// readTime bounds how long a read of credentials waits for a rotation to be settled.
const readTime = 5 * time.Second

// staticCreds answers with the password in force. If a rotation is under way it waits
// for that a little, and what was left open is looked into.
func (e *engine) staticCreds(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	name := r.Text("name")
	s, err := stepStatic(ctx, r, name)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, logical.Invalid("unknown role: %s", name)
	}
	if s.Attempt != nil {
		e.settleStatic(ctx, r, name)
		if s, err = stepStatic(ctx, r, name); err != nil {
			return nil, err
		}
		if s == nil {
			return nil, logical.Invalid("unknown role: %s", name)
		}
	}
	if s.Password.Empty() {
		return nil, logical.Invalid("the password of %q is not known before its first rotation", name).
			WithHint("rotate-role/%s rotates it now", name)
	}
	data := object{
		"username": s.User, "password": s.Password.RevealText(), "ttl": seconds(max(s.Next.Sub(r.Now), 0)),
		"last_vault_rotation": rotatedAt(s.Rotated),
	}
	s.tellSchedule(data)
	resp := &logical.Response{Data: data}
	if s.Attempt != nil {
		resp.Warnings = []string{"the outcome of the last rotation is not known yet: this is the password from before it"}
	}
	return resp, nil
}

// settleStatic publishes the candidate of an attempt if it is in force. That this
// can't be found out in a short time is no error.
func (e *engine) settleStatic(ctx context.Context, r *logical.Request, name string) {
	ctx, done := e.within(ctx)
	defer done()
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	o, end, err := e.staticRotation(ctx, r, name)
	if err != nil {
		return
	}
	defer end()
	// The due queue has it in any case.
	_ = o.settle(ctx)
}

// workStatic rotates a static role if its time has come, or an attempt was left open.
func (e *engine) workStatic(ctx context.Context, r *logical.Request, name string) error {
	s, err := stepStatic(ctx, r, name)
	if err != nil || s == nil {
		return err
	}
	if s.Attempt == nil {
		switch postponed, err := e.postpone(ctx, r, name); {
		case err != nil || postponed:
			return err
		}
	}
	return e.rotateStatic(ctx, r, name, queuedTask)
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// postpone says whether there is nothing to do now. A rotation that is not due yet,
// because the clock was put back, or not any more, because its window has closed, it
// plans anew.
func (*engine) postpone(ctx context.Context, r *logical.Request, name string) (postponed bool, err error) {
	err = r.Step(ctx, func(r *logical.Request) error {
		s, err := loadStatic(ctx, r.Part, name)
		if postponed = s == nil; err != nil || s == nil {
			return err
		}
		when, err := s.when()
		if err != nil {
			return err
		}
		at := dueAt(when, s.Next, r.Now)
		if s.Rotated.IsZero() { // its creation came to no end
			at = minTime(s.Next, r.Now.Add(settleAfter))
		}
		if postponed = at.After(r.Now); !postponed {
			return nil
		}
		s.plan(r, at)
		return s.save(r.Part)
	})
	return postponed, err
}
