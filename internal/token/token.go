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
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// Token is what coffer knows of a token. It is the stored record, too.
type Token struct {
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

	TTL         time.Duration `json:"ttl,omitempty"` // at creation; what a renewal asks for by itself
	MaxTTL      time.Duration `json:"max,omitempty"` // since Created; zero: the mount's
	ExplicitMax time.Duration `json:"xmax,omitempty"`
	Period      time.Duration `json:"per,omitempty"`
	NumUses     int           `json:"uses,omitempty"` // left; zero: any number
	Orphan      bool          `json:"orp,omitempty"`
	Renewable   bool          `json:"rnw,omitempty"`

	BoundCIDRs []netip.Prefix  `json:"cidr,omitempty"`
	State      json.RawMessage `json:"st,omitempty"` // see logical.Auth

	// Spent is when the last of a limited number of uses was taken. The token is of
	// no use any more but to the request that took it.
	Spent time.Time `json:"spent,omitzero"`

	// Dying is when revocation began: the token is of no use any more, but what
	// hangs on it may still be there. Its children die too, unless Spare is set.
	Dying time.Time `json:"dying,omitzero"`
	Spare bool      `json:"spare,omitempty"`
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

// alive says whether the token may be used at now.
func (t *Token) alive(now time.Time) bool {
	return t.Spent.IsZero() && t.Dying.IsZero() && (t.Expires.IsZero() || now.Before(t.Expires))
}

// LeaseID names the token's own lease as Vault does: the path of the request
// that created it, and an opaque id.
func (t *Token) LeaseID() string {
	if t.Expires.IsZero() || t.Batch() {
		return ""
	}
	return strings.TrimSuffix(t.Path, "/") + "/" + leaseMark + t.ID
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
		Role:        t.Role,
		Expires:     t.Expires,
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
