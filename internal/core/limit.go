package core

import (
	"context"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/quota"
	"github.com/cofferhq/coffer/internal/storage"
)

// Quotas returns the quota store.
func (c *Core) Quotas() *quota.Store { return c.quotas }

// limit counts the call against the quota that it falls under, and refuses what
// is over it. It comes before the token is looked at: guessing tokens is a way of
// making many requests.
func (c *Core) limit(ctx context.Context, v *visit) error {
	if c.quotas.Empty() {
		return nil
	}
	t := quota.Target{Path: v.Path, Rest: v.rest}
	if v.mount != nil {
		t.MountID = v.mount.ID
		if v.action != nil && v.action.Open && v.mount.Engine.LoginRole != nil {
			t.Role = func() string { return c.loginRole(ctx, v) }
		}
	}
	l := c.quotas.For(t)
	if l == nil {
		return nil
	}
	standing := l.Take(v.Remote.Addr(), v.Now)
	if c.quotas.Settings().Headers {
		v.Standing = &standing
	}
	if standing.Refused {
		return logical.Errorf(logical.ErrQuota, "request path %q: rate limit quota exceeded", v.Path)
	}
	return nil
}

// loginRole is the role that a login is for. What is wrong with a login, it is
// told when it is done.
func (c *Core) loginRole(ctx context.Context, v *visit) (role string) {
	if v.request.Accept(v.action.Fields, v.params, v.query()) != nil {
		return ""
	}
	err := storage.View(ctx, c.barrier, func(tx *storage.Tx) (err error) {
		v.request.Part = tx.Below(v.mount.Data)
		role, err = v.mount.Engine.LoginRole(ctx, v.request)
		return err
	})
	if err != nil {
		c.log.Debug("finding the role of a login", "request", v.ID, "error", err)
		return ""
	}
	return role
}

// refuseOverLimit answers a call that is over its limit. Such calls are put on
// record only if the operator wants that: they could fill the disk.
func (c *Core) refuseOverLimit(ctx context.Context, v *visit, refusal error) error {
	if !c.quotas.Settings().Audit {
		return refusal
	}
	if err := c.recordRequest(ctx, v, refusal); err != nil {
		return err
	}
	return c.recordRefusal(ctx, v, refusal)
}
