package core

import (
	"context"

	"github.com/cofferhq/coffer/internal/logical"
)

// Permit returns nil if the caller has the capability for the operation on the
// path, and sudo. It is for paths that are served beside the engines. What is
// asked is on record, without a body, before Permit returns; what becomes of it
// is not.
func (c *Core) Permit(ctx context.Context, call *Call) error {
	v := &visit{Call: call}
	if err := c.route(v); err != nil {
		return err
	}
	v.action = nil // the path has no business with an engine's
	if err := c.limit(ctx, v); err != nil {
		return c.refuseOverLimit(ctx, v, err)
	}
	refusal := c.identify(ctx, v)
	if refusal == nil {
		query := v.check()
		query.Sudo = true
		if v.verdict = v.acl.Check(query); !v.verdict.Allowed {
			refusal = logical.ErrDenied
		}
	}
	if err := c.recordRequest(ctx, v, refusal); err != nil {
		return err
	}
	if err := c.spend(ctx, v); err != nil && refusal == nil {
		refusal = err
	}
	if v.lastUse {
		c.revokeUsedUp(ctx, v)
	}
	if refusal != nil {
		return c.recordRefusal(ctx, v, refusal)
	}
	return nil
}
