package core

import (
	"context"
	"time"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/lease"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/rotate"
	"github.com/cofferhq/coffer/internal/token"
)

// startRunner starts what does what has fallen due.
func (c *Core) startRunner() *due.Runner {
	return due.Start(due.Options{
		Store: c.barrier, Under: c.Store, Prefix: barrier.Below(""), Log: c.log, Now: c.Now, Steady: c.Steady, Jumped: c.clockJumped,
		Handlers: map[due.Kind]due.Handler{
			token.Kind:  c.expireToken,
			lease.Kind:  c.expireLease,
			rotate.Kind: c.rotator.Do,
			leaving:     c.finishUnmount,
			working:     c.work,
			pruning:     c.prune,
			keyChecking: c.checkKey,
		},
		// Tokens and leases have their ends on record.
		PutBack: map[due.Kind]due.Reach{
			lease.Kind: due.Retries, rotate.Kind: due.All, leaving: due.All, working: due.All, pruning: due.All, keyChecking: due.All,
		},
	})
}

// plannedTime is what time it is for rotations: that of the clock, without a jump
// forward that nobody has confirmed, which would cut short how long two secrets are
// valid.
func (c *Core) plannedTime() time.Time {
	if r := c.runner.Load(); r != nil {
		return r.Time()
	}
	return c.Now()
}

// DueStatus tells how the due queue stands.
func (c *Core) DueStatus(ctx context.Context) (*due.Status, error) {
	r := c.runner.Load()
	if r == nil || c.Sealed() {
		return nil, logical.ErrSealed
	}
	return r.Status(ctx)
}

// DueHeld says whether a jump of the clock is held back.
func (c *Core) DueHeld() bool {
	r := c.runner.Load()
	return r != nil && !c.Sealed() && r.Held() != nil
}

// ConfirmClock says that the clock tells the right time.
func (c *Core) ConfirmClock(ctx context.Context) error {
	r := c.runner.Load()
	if r == nil || c.Sealed() {
		return logical.ErrSealed
	}
	done, err := r.Confirm(ctx)
	if err == nil && !done {
		err = logical.Invalid("nothing is held back: there is no jump of the clock to confirm")
	}
	if err == nil {
		c.log.Warn("the time was confirmed: what was held back is done")
	}
	return err
}

// clockJumped puts a jump of the clock on record.
func (c *Core) clockJumped(ctx context.Context, j due.Jump) {
	c.recordFact(ctx, own{path: "sys/coffer/due/jump", plain: []string{"jump"}, data: map[string]any{
		"jump": j.String(), "seconds": int64(j.By / time.Second), "held": j.Holds,
	}}, nil)
}
