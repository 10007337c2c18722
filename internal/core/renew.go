package core

import (
	"context"
	"time"

	"github.com/cofferhq/coffer/internal/lease"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/token"
)

// RenewToken renews the service token with that id, as the auth method that
// issued it sees fit.
func (c *Core) RenewToken(ctx context.Context, id string, increment time.Duration) (warnings []string, err error) {
	now := c.Now()
	t, err := c.tokens.ByID(ctx, RootNamespace, id, now)
	if err != nil {
		return nil, unknownIsDenied(err)
	}
	m, err := c.mountByID(t.MountID)
	if err != nil {
		return nil, err
	}
	limits := token.Limits{Default: c.DefaultLeaseTTL, Max: c.MaxLeaseTTL}
	if m != nil {
		limits = token.Limits{Default: m.Point.DefaultLeaseTTL, Max: m.Point.MaxLeaseTTL}
		if increment, err = c.askIssuer(ctx, m, t, increment); err != nil {
			return nil, err
		}
	}
	if warnings, err = t.Renew(now, increment, limits); err != nil {
		return nil, err
	}
	_, err = storage.Update(ctx, c.barrier, func(tx *storage.Tx) error { return c.tokens.Save(ctx, tx, t) })
	return warnings, unknownIsDenied(err)
}

// askIssuer lets the auth method change what it allows the token since it was
// issued. It returns the increment to use.
func (c *Core) askIssuer(ctx context.Context, m *mount.Mounted, t *token.Token, increment time.Duration) (time.Duration, error) {
	if m.Engine.RenewLogin == nil || !t.Renewable {
		return increment, nil
	}
	auth := &logical.Auth{
		DisplayName: t.Display, Policies: t.Policies, Metadata: t.Meta, TTL: t.TTL, MaxTTL: t.MaxTTL,
		ExplicitMaxTTL: t.ExplicitMax, Period: t.Period, State: t.State, EntityID: t.EntityID,
	}
	err := c.withPart(ctx, m, func(r *logical.Request) error { return m.Engine.RenewLogin(ctx, r, auth) })
	if err != nil {
		return 0, err
	}
	t.TTL, t.MaxTTL, t.Period = auth.TTL, auth.MaxTTL, auth.Period
	if increment == 0 {
		increment = auth.TTL
	}
	return increment, nil
}

// RenewLease renews a lease that is not a token's.
func (c *Core) RenewLease(ctx context.Context, id string, increment time.Duration) (renewed *lease.Lease, err error) {
	l, err := c.leases.Lookup(ctx, RootNamespace, id)
	if err != nil {
		return nil, err
	}
	m, err := c.mountByID(l.MountID)
	if err != nil {
		return nil, err
	}
	previous := *l
	if err := l.Extend(c.Now(), increment); err != nil {
		return nil, err
	}
	if m != nil && m.Engine.RenewLease != nil {
		asked := &logical.Lease{TTL: l.Left(c.Now()), MaxTTL: l.MaxTTL, Renewable: l.Renewable, State: l.State}
		if err := m.Engine.RenewLease(ctx, c.byItself(m), asked); err != nil {
			return nil, err
		}
	}
	_, err = storage.Update(ctx, c.barrier, func(tx *storage.Tx) error {
		// Not if it was revoked or renewed by another meanwhile.
		current, err := c.leases.Get(ctx, tx, RootNamespace, id)
		if err != nil {
			return err
		}
		if !current.Expires.Equal(previous.Expires) {
			return logical.Errorf(logical.ErrConflict, "the lease was changed by another request, try again")
		}
		return c.leases.Put(tx, l, &previous)
	})
	return l, err
}
