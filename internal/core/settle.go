package core

import (
	"context"
	"errors"
	"strings"

	"github.com/cofferhq/coffer/internal/identity"
	"github.com/cofferhq/coffer/internal/lease"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/token"
)

// settle turns an engine's response into an answer: it makes the token or the
// lease that the response asks for, writes the events to the outbox, and puts
// the answer away if it is to be wrapped. All of it is part of tx.
func (c *Core) settle(ctx context.Context, tx *storage.Tx, v *visit, resp *logical.Response) (*Answer, error) {
	a := &Answer{RequestID: v.ID, MountType: v.mount.Type}
	if err := leaveWord(tx, v.request); err != nil {
		return nil, err
	}
	if v.mount.Type == "cubbyhole" && v.Op == logical.Write {
		if _, err := c.attach(ctx, tx, v); err != nil {
			return nil, err
		}
	}
	if resp == nil {
		a.Empty = true
		return a, nil
	}
	var err error
	switch {
	case resp.Rewrap != nil:
		return a, c.wrapAgain(ctx, tx, v, resp, a)
	case resp.Wrapped != nil:
		a.Wrapped = resp.Wrapped
		return a, nil
	}
	if a.Data, err = encode(resp.Data); err != nil {
		return nil, err
	}
	a.NotFound, a.Warnings, a.Raw, a.TopLevel = resp.NotFound, resp.Warnings, resp.Raw, resp.TopLevel
	a.Accepted, a.secret = resp.Accepted, resp.Secret
	a.Tag, a.NotModified = resp.Tag, resp.NotModified
	a.LeaseID, a.LeaseDuration, a.Renewable, a.after = resp.LeaseID, resp.TTL, resp.Renewable, resp.After
	a.Empty = a.Data == nil && len(a.Warnings) == 0 && a.Raw == nil && resp.Auth == nil && resp.LeaseID == "" && !a.NotModified
	if resp.Auth != nil {
		if a.Auth, err = c.issue(ctx, tx, v, resp.Auth, a); err != nil {
			return nil, err
		}
	}
	if resp.Lease != nil {
		if err := c.grant(ctx, tx, v, resp.Lease, a); err != nil {
			return nil, err
		}
	}
	if v.WrapTTL > 0 && !a.Empty && a.Raw == nil && !a.NotFound {
		return c.wrap(ctx, tx, v, a)
	}
	return a, nil
}

// issue makes the token that a login, or the token engine, asks for.
func (c *Core) issue(ctx context.Context, tx *storage.Tx, v *visit, auth *logical.Auth, a *Answer) (*Auth, error) {
	if auth.Existing != "" {
		t, err := c.tokens.ByID(ctx, v.ns, auth.Existing, v.Now)
		if err != nil {
			return nil, unknownIsDenied(err)
		}
		return authOf(t, auth.Token), nil
	}
	t := &token.Token{
		Namespace: v.ns, Parent: auth.Parent, Type: c.tokenType(v, auth), Path: v.Path, MountID: v.mount.ID,
		Policies: auth.TokenPolicies(), Display: displayName(v, auth), Meta: auth.Metadata, Role: auth.Role,
		Created: v.Now, TTL: auth.TTL, MaxTTL: auth.MaxTTL, ExplicitMax: auth.ExplicitMaxTTL, Period: auth.Period,
		NumUses: auth.NumUses, Orphan: auth.Parent == "", Renewable: auth.Renewable,
		BoundCIDRs: auth.BoundCIDRs, State: auth.State, EntityID: auth.EntityID,
	}
	if t.Root() && v.mount.Type != "token" {
		return nil, logical.Invalid("auth methods cannot create root tokens")
	}
	if t.Batch() {
		t.Renewable = false
	}
	if auth.PathSuffix != "" {
		t.Path += "/" + auth.PathSuffix
	}
	if auth.Alias.Name != "" {
		var err error
		t.EntityID, err = identity.Login(ctx, tx, v.ns, v.mount.Accessor, auth.Alias.Name, auth.Alias.Metadata, v.Now)
		if err != nil {
			return nil, err
		}
	}
	if t.Display == "" {
		t.Display = "token"
	}
	if !auth.Endless {
		limits := token.Limits{Default: v.mount.Point.DefaultLeaseTTL, Max: v.mount.Point.MaxLeaseTTL}
		a.Warnings = append(a.Warnings, t.Grant(v.Now, limits)...)
	}
	for _, name := range c.policies.Missing(t.Policies) {
		a.Warnings = append(a.Warnings, "Policy \""+name+"\" does not exist")
	}
	text, err := c.tokens.Create(ctx, tx, t, auth.Token)
	if err != nil {
		return nil, unknownIsDenied(err) // the parent has died
	}
	if !t.Batch() {
		a.issued = append(a.issued, t.ID)
	}
	if err := c.noteLogin(tx, v, t); err != nil {
		return nil, err
	}
	return authOf(t, text), nil
}

// unknownIsDenied gives a kind to the error of a token that has died meanwhile.
func unknownIsDenied(err error) error {
	if errors.Is(err, token.ErrUnknown) {
		return logical.ErrDenied
	}
	return err
}

// tokenType decides what kind of token a login gets: the mount may insist.
func (c *Core) tokenType(v *visit, auth *logical.Auth) logical.TokenType {
	switch v.mount.Config.TokenType {
	case logical.TokenService, logical.TokenBatch:
		return v.mount.Config.TokenType
	case "default-batch":
		if auth.Type == logical.TokenDefault || auth.Type == "" {
			return logical.TokenBatch
		}
	}
	if auth.Type == logical.TokenBatch {
		return logical.TokenBatch
	}
	return logical.TokenService
}

// displayName is the mount's name and the engine's, as Vault joins them.
func displayName(v *visit, auth *logical.Auth) string {
	if v.mount.Type == "token" {
		return auth.DisplayName
	}
	source := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(v.mount.Path, "auth/"), "/"), "/", "-")
	if auth.DisplayName == "" || auth.DisplayName == source {
		return source
	}
	return source + "-" + auth.DisplayName
}

// authOf is a token as answers tell it. text may be empty if the caller must not
// learn it.
func authOf(t *token.Token, text string) *Auth {
	policies := append([]string{}, t.Policies...) // a list also if it is empty
	a := &Auth{
		ClientToken: text, Accessor: t.Accessor, Policies: policies, TokenPolicies: policies,
		Metadata: t.Meta, LeaseDuration: int64(t.Left(t.Created).Seconds()), Renewable: t.Renewable,
		EntityID: t.EntityID, TokenType: t.Type, Orphan: t.Orphan, NumUses: t.NumUses, display: t.Display,
	}
	if !t.LastRenewal.IsZero() {
		a.LeaseDuration = int64(t.Left(t.LastRenewal).Seconds())
	}
	return a
}

// grant records a lease on what the answer gives away.
func (c *Core) grant(ctx context.Context, tx *storage.Tx, v *visit, l *logical.Lease, a *Answer) error {
	ttl, limit := l.TTL, v.mount.Point.MaxLeaseTTL
	if ttl == 0 {
		ttl = v.mount.Point.DefaultLeaseTTL
	}
	if l.MaxTTL > 0 {
		limit = min(limit, l.MaxTTL)
	}
	rec := lease.New(v.ns, v.Path, l, ttl, limit, v.Now)
	rec.MountID = v.mount.ID
	if v.token != nil {
		var err error
		if rec.TokenID, err = c.attach(ctx, tx, v); err != nil {
			return err
		}
	}
	if v.token != nil && v.token.Batch() {
		// Who holds the lease is the parent, which may live longer.
		rec.MaxTTL = min(rec.MaxTTL, v.token.Left(v.Now))
		rec.TTL = min(rec.TTL, rec.MaxTTL)
		rec.Expires = v.Now.Add(rec.TTL)
	}
	a.LeaseID, a.LeaseDuration, a.Renewable, a.leased = rec.ID, rec.TTL, rec.Renewable, rec.ID
	return c.leases.Put(tx, rec, nil)
}

// attach makes it a condition of tx that the caller's token has not been revoked:
// what tx leaves for it would never be found again.
func (c *Core) attach(ctx context.Context, tx *storage.Tx, v *visit) (holder string, err error) {
	holder, err = c.tokens.Attach(ctx, tx, v.token)
	return holder, unknownIsDenied(err)
}

// undo takes back what an answer gave away that could not be recorded.
func (c *Core) undo(a *Answer) {
	ctx, cancel := context.WithTimeout(context.Background(), undoTimeout)
	defer cancel()
	var failed []error
	for _, id := range a.issued {
		failed = append(failed, c.tokens.Revoke(ctx, RootNamespace, id, c.Now()))
	}
	if a.leased != "" {
		failed = append(failed, c.leases.Revoke(ctx, RootNamespace, a.leased, c.Now()))
	}
	if err := errors.Join(failed...); err != nil {
		c.log.Error("taking back what could not be recorded", "request", a.RequestID, "error", err)
	}
}
