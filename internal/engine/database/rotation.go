package database

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/password"
)

// rotation changes the password of an account, whose turn is held:
//
//  1. The candidate is stored before the system hears of it.
//  2. The system is told to take it.
//  3. A login with it says whether it did.
//  4. It is published: what was in force becomes the predecessor.
//
// If 2 or 3 do not say, the attempt stays, and is taken up from the due queue or by
// the next one who needs the account: first a login, then the same candidate again.
// There is no new candidate until a login with the predecessor, at a time when the
// last call cannot be carried out any more, has shown that the old one was refused.
// A user that cannot log in from here at all is taken to have the password that the
// system has said yes to, if ackSuffices.
type rotation struct {
	r          *logical.Request // with its Step
	load       loader
	conn       dbms.Conn
	user       string
	statements []string
	policy     password.Policy
	queued     bool // a task is under way for it, which stays until it is settled

	// begun is told when the attempt is stored. Nil: nothing waits for that.
	begun func(ctx context.Context)

	// ackSuffices: where a login does not say, the answer to the call does.
	ackSuffices bool
}

var errGone = logical.Invalid("the account was deleted meanwhile")

// errUnsettled says that it is not known which password is in force.
var errUnsettled = errors.New("database: the outcome of a rotation is not known")

// errNoEffect says that the system has the password that it had before.
var errNoEffect = errors.New("database: a rotation had no effect")

func unsettled(cause error) error {
	return &logical.Error{
		Kind: logical.ErrUpstream, Err: errors.Join(errUnsettled, cause),
		Text: "it is not known yet whether the new password is in force, which will be settled: " + said(cause),
	}
}

// run brings the account to a password that is new since the last one was
// published, or returns an error. After one that is errUnsettled the attempt stays.
func (o *rotation) run(ctx context.Context) error {
	fresh, err := o.resume(ctx)
	if err != nil || fresh == settledNow {
		return err
	}
	a, known, err := o.begin(ctx, fresh == spoilt)
	if err != nil {
		return err
	}
	if o.begun != nil {
		o.begun(ctx)
	}
	told := o.conn.SetPassword(ctx, o.user, a.Candidate.Bytes, dbms.Statements{Rotate: o.statements})
	if told != nil && didNothing(told) {
		return &logical.Error{Kind: kindOf(told), Text: "change the password: " + said(told), Err: errors.Join(errNoEffect, told, o.abandon(ctx, a))}
	}
	tried := o.conn.Login(ctx, o.user, a.Candidate.Bytes)
	switch {
	case tried == nil, told == nil && o.ackSuffices && !errors.Is(tried, dbms.ErrRefused):
		return o.publish(ctx, a)
	case told != nil:
		return unsettled(told)
	case errors.Is(tried, dbms.ErrRefused) && !known.Empty() && o.conn.Login(ctx, o.user, known.Bytes) == nil:
		// The system has taken the statements, so nothing of them is on its way.
		return errors.Join(logical.Errorf(logical.ErrUpstream,
			"the statements have not changed the password: the old one still works"), o.abandon(ctx, a))
	}
	return unsettled(tried)
}

// standing is what resume has found.
type standing uint8

const (
	open       standing = iota // there is no attempt, or it goes on
	settledNow                 // its candidate is in force, and published now
	spoilt                     // its candidate was refused for good
)

// lateAfter is when nothing that was sent is carried out any more.
const lateAfter = dbms.CallTime + 10*time.Second

// resume settles an attempt that was begun earlier, if there is one.
func (o *rotation) resume(ctx context.Context) (standing, error) {
	h, err := o.look(ctx)
	if err != nil {
		return open, err
	}
	acc := h.keeps()
	a := acc.Attempt
	if a == nil {
		return open, nil
	}
	err = o.conn.Login(ctx, o.user, a.Candidate.Bytes)
	switch {
	case err == nil:
		return settledNow, o.publish(ctx, a)
	case !errors.Is(err, dbms.ErrRefused):
		if o.ackSuffices {
			return open, nil
		}
		return open, unsettled(err)
	case o.r.Now.Sub(a.Sent) >= lateAfter && !acc.Password.Empty() && o.conn.Login(ctx, o.user, acc.Password.Bytes) == nil:
		return spoilt, nil
	}
	return open, nil
}

// look reads the record.
func (o *rotation) look(ctx context.Context) (h holder, err error) {
	err = o.r.Step(ctx, func(r *logical.Request) error {
		if h, err = o.load(ctx, r.Part); err == nil && h == nil {
			return errGone
		}
		return err
	})
	return h, err
}

// change reads the record, changes it and stores it, in one step.
func (o *rotation) change(ctx context.Context, how func(r *logical.Request, h holder, acc *account) error) error {
	return o.r.Step(ctx, func(r *logical.Request) error {
		h, err := o.load(ctx, r.Part)
		if err == nil && h == nil {
			return errGone
		}
		if err != nil {
			return err
		}
		if err := how(r, h, h.keeps()); err != nil {
			return err
		}
		return h.save(r.Part)
	})
}

// begin stores an attempt, or that there will be another call for the one that
// there is, and returns it with the password that is in force as far as is known.
func (o *rotation) begin(ctx context.Context, anew bool) (a *attempt, known kept, err error) {
	candidate := kept{o.policy.Generate()}
	err = o.change(ctx, func(r *logical.Request, h holder, acc *account) error {
		if acc.Attempt != nil && anew {
			r.Cancel(acc.Attempt.task(h))
			acc.Attempt = nil
		}
		if acc.Attempt == nil {
			acc.Attempt = &attempt{ID: rand.Text(), Candidate: candidate, Since: r.Now}
			if !o.queued {
				r.Schedule(acc.Attempt.task(h))
			}
		}
		acc.Attempt.Sent = r.Now
		a, known = acc.Attempt, acc.Password
		return nil
	})
	return a, known, err
}

// publish makes the candidate the password. That somebody else has published it
// already is no error.
func (o *rotation) publish(ctx context.Context, a *attempt) error {
	return o.change(ctx, func(r *logical.Request, h holder, acc *account) error {
		switch {
		case acc.Attempt == nil && acc.Password.Equal(a.Candidate.Bytes):
			return nil
		case acc.Attempt == nil || acc.Attempt.ID != a.ID:
			return logical.Errorf(logical.ErrConflict, "the account was changed by another request, try again")
		}
		r.Cancel(a.task(h))
		acc.Previous, acc.Password = acc.Password, a.Candidate
		acc.Rotated, acc.Attempt = r.Now, nil
		return h.settled(r)
	})
}

// abandon forgets an attempt of which is known that it has had no effect.
func (o *rotation) abandon(ctx context.Context, a *attempt) error {
	return o.change(ctx, func(r *logical.Request, h holder, acc *account) error {
		if acc.Attempt != nil && acc.Attempt.ID == a.ID {
			r.Cancel(a.task(h))
			acc.Attempt = nil
			emitFailure(r, h)
		}
		return nil
	})
}

// emitFailure tells that a password was not changed.
func emitFailure(r *logical.Request, h holder) {
	switch h := h.(type) {
	case *static:
		emit(r, "rotate-fail", "static-roles/"+h.Name, h.Name)
	case *config:
		emit(r, "root-rotate-fail", "rotate-root/"+h.Name, h.Name)
	}
}

// settle publishes the candidate of an attempt if a login says that it is in force.
func (o *rotation) settle(ctx context.Context) error {
	_, err := o.resume(ctx)
	return err
}
