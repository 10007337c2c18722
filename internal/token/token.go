// Package token keeps the tokens that callers show: service tokens, which are
// rows of the store and form a tree, and batch tokens, which carry all they are
// in themselves, sealed. A token's text is never stored, only its keyed MAC.
//
// Start reading at [Token] and [Store].
package token

import (
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// Token is what coffer knows of a token. It is the stored record, too.
type Token struct {
	Version   int               `json:"v"`
	ID        string            `json:"-"` // keyed MAC of the text, in base64; empty for batch tokens
	Namespace string            `json:"-"`
	Accessor  string            `json:"acc,omitempty"`
	Parent    string            `json:"par,omitempty"` // id of the parent; empty: none
	Type      logical.TokenType `json:"typ"`
	Path      string            `json:"path"`          // of the request that created it: "auth/approle/login"
	MountID   string            `json:"mnt,omitempty"` // of the auth method that issued it
	Policies  []string          `json:"pol,omitempty"`
	Display   string            `json:"dn,omitempty"`
	Meta      map[string]string `json:"meta,omitempty"`
	EntityID  string            `json:"ent,omitempty"`
	Role      string            `json:"role,omitempty"` // token role, not the auth method's

	Created     time.Time `json:"at"`
	Expires     time.Time `json:"exp,omitzero"` // zero: never
	LastRenewal time.Time `json:"ren,omitzero"`

	TTL         time.Duration `json:"ttl,omitempty"` // at creation or the last renewal
	MaxTTL      time.Duration `json:"max,omitempty"` // since Created; zero: the mount's
	ExplicitMax time.Duration `json:"xmax,omitempty"`
	Period      time.Duration `json:"per,omitempty"`
	NumUses     int           `json:"uses,omitempty"` // left; zero: any number
	Orphan      bool          `json:"orp,omitempty"`
	Renewable   bool          `json:"rnw,omitempty"`

	BoundCIDRs []netip.Prefix  `json:"cidr,omitempty"`
	State      json.RawMessage `json:"st,omitempty"` // see logical.Auth

	// Dying is set when revocation has begun: the token is of no use any more,
	// but what hangs on it may still be there.
	Dying bool `json:"dying,omitempty"`
}

// RootPolicy is the name of the policy that allows everything.
const RootPolicy = "root"

// Root says whether the token may do everything.
func (t *Token) Root() bool { return slices.Contains(t.Policies, RootPolicy) }

// Batch says whether the token is a batch token.
func (t *Token) Batch() bool { return t.Type == logical.TokenBatch }

// Left is the time that the token has left at now, in whole seconds; zero if it
// never expires or has expired.
func (t *Token) Left(now time.Time) time.Duration {
	if t.Expires.IsZero() {
		return 0
	}
	return max(t.Expires.Sub(now), 0).Truncate(time.Second)
}

// LeaseID names the token's own lease as Vault does: the path of the request
// that created it, and an opaque id.
func (t *Token) LeaseID() string {
	if t.Expires.IsZero() || t.Batch() {
		return ""
	}
	return t.Path + "/" + leaseMark + t.ID
}

// leaseMark begins the last element of a token's lease id.
const leaseMark = "h"

// Caller is what engines may know of the token.
func (t *Token) Caller() *logical.Caller {
	return &logical.Caller{
		TokenID:     t.ID,
		Accessor:    t.Accessor,
		EntityID:    t.EntityID,
		DisplayName: t.Display,
		Policies:    t.Policies,
		Metadata:    t.Meta,
		TokenType:   t.Type,
		Root:        t.Root(),
	}
}

// UsableFrom says whether the token may be used from addr.
func (t *Token) UsableFrom(addr netip.Addr) bool {
	if len(t.BoundCIDRs) == 0 {
		return true
	}
	return addr.IsValid() && slices.ContainsFunc(t.BoundCIDRs, func(p netip.Prefix) bool {
		return p.Contains(addr.Unmap())
	})
}

// Limits are the times a mount sets for the tokens and leases it issues.
type Limits struct {
	Default time.Duration
	Max     time.Duration
}

// Grant sets the token's lifetime at now from what it asks for (TTL, MaxTTL,
// Period, ExplicitMax) and the limits, and returns what had to be cut as
// warnings for the caller.
func (t *Token) Grant(now time.Time, l Limits) (warnings []string) {
	t.Created = now
	limit := l.Max
	if t.MaxTTL > 0 {
		if t.MaxTTL > l.Max {
			warnings = append(warnings, capped("max TTL", t.MaxTTL, l.Max))
		}
		limit = min(limit, t.MaxTTL)
	}
	ttl := t.TTL
	switch {
	case t.Period > 0:
		ttl, limit = min(t.Period, l.Max), l.Max
	case ttl == 0:
		ttl = l.Default
	}
	if t.ExplicitMax > 0 {
		if t.Period == 0 && t.ExplicitMax > l.Max {
			warnings = append(warnings, capped("explicit max TTL", t.ExplicitMax, l.Max))
			t.ExplicitMax = l.Max
		}
		limit = min(limit, t.ExplicitMax)
	}
	if ttl > limit {
		if t.TTL > limit {
			warnings = append(warnings, capped("TTL", t.TTL, limit))
		}
		ttl = limit
	}
	t.TTL = ttl
	t.Expires = now.Add(ttl)
	return warnings
}

func capped(what string, asked, got time.Duration) string {
	return what + " of " + asked.String() + " exceeded the effective limit; " + got.String() + " is used instead"
}

// Renew moves the end of the token's life at now. An increment of zero asks for
// the lifetime it had. It returns an error of kind logical.ErrInvalid if the
// token is not renewable, and warnings if less was given than asked for.
func (t *Token) Renew(now time.Time, increment time.Duration, l Limits) (warnings []string, err error) {
	if !t.Renewable || t.Batch() || t.Expires.IsZero() {
		return nil, logical.Invalid("lease is not renewable")
	}
	ttl := increment
	if t.Period > 0 {
		ttl = min(t.Period, l.Max)
	} else if ttl == 0 {
		if ttl = t.TTL; ttl == 0 {
			ttl = l.Default
		}
	}
	end := now.Add(ttl)
	if t.Period == 0 {
		limit := l.Max
		if t.MaxTTL > 0 {
			limit = min(limit, t.MaxTTL)
		}
		end = earlier(end, t.Created.Add(limit))
	}
	if t.ExplicitMax > 0 {
		end = earlier(end, t.Created.Add(t.ExplicitMax))
	}
	if end.Before(now) {
		return nil, logical.Invalid("past the max TTL, cannot renew")
	}
	if got := end.Sub(now); got < ttl {
		warnings = append(warnings, capped("TTL", ttl, got.Truncate(time.Second)))
	}
	t.Expires = end
	t.LastRenewal = now
	return warnings, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
