package core

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cofferhq/coffer/internal/audit"
	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/lease"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/rotate"
	"github.com/cofferhq/coffer/internal/token"
	"github.com/cofferhq/coffer/internal/uuid"
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

// clockJumped puts a jump of the clock on record, as a request of the server to
// itself.
func (c *Core) clockJumped(ctx context.Context, j due.Jump) {
	if c.devices.Empty() {
		return
	}
	err := c.recordJump(ctx, j)
	if err != nil && ctx.Err() == nil {
		c.log.Error("audit failed", "about", "a jump of the clock", "error", err)
	}
}

func (c *Core) recordJump(ctx context.Context, j due.Jump) error {
	entry := &audit.Entry{Time: j.At, Request: audit.Request{
		ID: uuid.New(), Op: logical.Update, Namespace: audit.Namespace{ID: RootNamespace}, Path: "sys/coffer/due/jump",
	}}
	if m := c.Mounts().At("sys/"); m != nil {
		entry.Request.Mount = audit.Mount{Point: m.Path, Type: m.Type, Accessor: m.Accessor, Class: "secret"}
	}
	if err := c.devices.LogRequest(ctx, entry); err != nil {
		return err
	}
	data, err := json.Marshal(map[string]any{"jump": j.String(), "seconds": int64(j.By / time.Second), "held": j.Holds})
	if err != nil {
		return err
	}
	entry.Response, entry.PlainResponseKeys = &audit.Response{Data: data}, []string{"jump"}
	return c.logResponse(ctx, entry)
}
