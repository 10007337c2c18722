package sys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/lease"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/token"
)

var leaseFields = logical.Fields{
	"lease_id":     {Type: logical.Text, Help: "The lease."},
	"url_lease_id": {Type: logical.Text, Help: "The lease, in the path."},
	"increment":    {Type: logical.Duration, Help: "Time to add from now on."},
	"sync":         {Type: logical.Bool, Help: "Answer when it is done; coffer always does."},
	"type":         {Type: logical.Text, Help: "irrevocable is the only type there is."},
}

var leaseRoutes = logical.Routes[*system]{
	{Op: logical.Write, Path: "leases/lookup", Do: (*system).lookupLease, Fields: leaseFields, Help: "Tell of a lease."},
	{Op: logical.List, Path: "leases/lookup/{prefix...}", Do: (*system).listLeases, Sudo: true, Help: "List the leases below a path."},
	{Op: logical.Write, Path: "leases/renew", Do: (*system).renewLease, Fields: leaseFields, Help: "Renew a lease."},
	{Op: logical.Write, Path: "leases/renew/{url_lease_id...}", Do: (*system).renewLease, Fields: leaseFields, Help: "Renew a lease."},
	{Op: logical.Write, Path: "leases/revoke", Do: (*system).revokeLease, Fields: leaseFields, Help: "Revoke a lease."},
	{Op: logical.Write, Path: "leases/revoke/{url_lease_id...}", Do: (*system).revokeLease, Fields: leaseFields, Help: "Revoke a lease."},
	{Op: logical.Write, Path: "leases/revoke-prefix/{prefix...}", Do: (*system).revokePrefix, Sudo: true, Fields: leaseFields, Help: "Revoke all leases and tokens below a path."},
	{Op: logical.Write, Path: "leases/revoke-force/{prefix...}", Do: (*system).revokeForce, Outside: true, Sudo: true, Fields: leaseFields, Help: "Revoke all below a path, and forget what can't be revoked."},
	{Op: logical.Write, Path: "leases/tidy", Do: (*system).tidyLeases, Sudo: true, Help: "Does nothing: leases are always tidy here."},
	{Op: logical.Read, Path: "leases/count", Do: (*system).countLeases, Fields: leaseFields, Help: "Count the leases that could not be revoked."},
	{Op: logical.Read, Path: "leases", Do: (*system).irrevocableLeases, Sudo: true, Fields: leaseFields, Help: "List the leases that could not be revoked."},

	{Op: logical.Write, Path: "renew", Do: (*system).renewLease, Fields: leaseFields, Help: "Older path of leases/renew."},
	{Op: logical.Write, Path: "renew/{url_lease_id...}", Do: (*system).renewLease, Fields: leaseFields, Help: "Older path of leases/renew."},
	{Op: logical.Write, Path: "revoke", Do: (*system).revokeLease, Fields: leaseFields, Help: "Older path of leases/revoke."},
	{Op: logical.Write, Path: "revoke/{url_lease_id...}", Do: (*system).revokeLease, Fields: leaseFields, Help: "Older path of leases/revoke."},
	{Op: logical.Write, Path: "revoke-prefix/{prefix...}", Do: (*system).revokePrefix, Sudo: true, Fields: leaseFields, Help: "Older path of leases/revoke-prefix."},
	{Op: logical.Write, Path: "revoke-force/{prefix...}", Do: (*system).revokeForce, Outside: true, Sudo: true, Fields: leaseFields, Help: "Older path of leases/revoke-force."},
}

// leaseID is the lease that the request is about.
func leaseID(r *logical.Request) (string, error) {
	id := r.Text("lease_id")
	if id == "" {
		id = r.Text("url_lease_id")
	}
	if id == "" {
		return "", logical.Invalid("lease_id must be specified")
	}
	return id, nil
}

func (s *system) lookupLease(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	id, err := leaseID(r)
	if err != nil {
		return nil, err
	}
	if l, err := s.Leases.Lookup(ctx, rootNS, id); err == nil {
		return &logical.Response{Data: leaseData(id, l.Issued, l.Expires, l.LastRenewal, l.Renewable, l.Left(r.Now))}, nil
	} else if !errors.Is(err, lease.ErrUnknown) {
		return nil, err
	}
	t, err := s.Tokens.ByLease(ctx, rootNS, id, r.Now)
	if errors.Is(err, token.ErrUnknown) {
		return nil, logical.Invalid("invalid lease")
	}
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: leaseData(id, t.Created, t.Expires, t.LastRenewal, t.Renewable, t.Left(r.Now))}, nil
}

func leaseData(id string, issued, expires, renewed time.Time, renewable bool, left time.Duration) object {
	var last any
	if !renewed.IsZero() {
		last = renewed.Format(time.RFC3339Nano)
	}
	return object{
		"id": id, "issue_time": issued.Format(time.RFC3339Nano), "expire_time": expires.Format(time.RFC3339Nano),
		"last_renewal": last, "renewable": renewable, "ttl": seconds(left),
	}
}

// listLeases lists the next elements below a path, of leases and of tokens.
func (s *system) listLeases(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	prefix := strings.TrimSuffix(r.Text("prefix"), "/")
	if prefix != "" {
		prefix += "/"
	}
	names, err := s.Leases.Children(ctx, rootNS, prefix)
	if err != nil {
		return nil, err
	}
	err = s.Tokens.Each(ctx, rootNS, r.Now, func(t *token.Token) error {
		if rest, ok := strings.CutPrefix(t.LeaseID(), prefix); ok && rest != "" {
			if i := strings.IndexByte(rest, '/'); i >= 0 {
				rest = rest[:i+1]
			}
			names = append(names, rest)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, logical.ErrNotFound
	}
	slices.Sort(names)
	return &logical.Response{Data: object{"keys": slices.Compact(names)}}, nil
}

func (s *system) renewLease(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	id, err := leaseID(r)
	if err != nil {
		return nil, err
	}
	l, err := s.House.RenewLease(ctx, id, r.Duration("increment"))
	if errors.Is(err, lease.ErrUnknown) {
		if _, err := s.Tokens.ByLease(ctx, rootNS, id, r.Now); err == nil {
			return nil, logical.Invalid("tokens cannot be renewed through this endpoint")
		}
		return nil, logical.Invalid("lease not found")
	}
	if err != nil {
		return nil, err
	}
	return &logical.Response{LeaseID: l.ID, TTL: l.Left(r.Now), Renewable: l.Renewable}, nil
}

func (s *system) revokeLease(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	id, err := leaseID(r)
	if err != nil {
		return nil, err
	}
	t, err := s.Tokens.ByLease(ctx, rootNS, id, r.Now)
	if err == nil {
		return nil, s.Tokens.Revoke(ctx, rootNS, t.ID, r.Now)
	}
	if !errors.Is(err, token.ErrUnknown) {
		return nil, err
	}
	return nil, s.Leases.Revoke(ctx, rootNS, id, r.Now)
}

func (s *system) revokePrefix(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return nil, s.revokeBelow(ctx, r, func(_ string, err error) error { return err })
}

// toldLeft bounds how much an answer tells of what was left behind.
const toldLeft = 100

// revokeForce tells what it leaves behind: leases that were forgotten, and what
// engines whose whole mount is meant have forgotten.
func (s *system) revokeForce(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	var left []string
	err := s.revokeBelow(ctx, r, func(id string, _ error) error {
		left = append(left, "what lease "+id+" was about may still be valid")
		return s.Leases.Forget(ctx, rootNS, id)
	})
	if err != nil {
		return nil, err
	}
	more, err := s.House.ForgetOutside(ctx, r.Text("prefix"))
	if err != nil {
		return nil, err
	}
	if left = append(left, more...); len(left) > toldLeft {
		left = append(left[:toldLeft], fmt.Sprintf("and %d more", len(left)-toldLeft))
	}
	if len(left) == 0 {
		return nil, nil
	}
	return &logical.Response{Warnings: left}, nil
}

// revokeBelow revokes all leases and tokens below a path; failed is asked what
// to do about a lease that its engine could not revoke.
func (s *system) revokeBelow(ctx context.Context, r *logical.Request, failed func(id string, err error) error) error {
	prefix := strings.TrimSuffix(r.Text("prefix"), "/")
	if prefix == "" {
		return logical.Invalid("prefix must be specified")
	}
	// First, as there is nothing to find that they have made.
	if err := s.House.VoidBatchTokens(ctx, prefix); err != nil {
		return err
	}
	ids, err := s.Leases.Below(ctx, rootNS, prefix)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.Leases.Revoke(ctx, rootNS, id, r.Now); err != nil {
			if err = failed(id, err); err != nil {
				return err
			}
		}
	}
	return s.House.RevokeTokensOf(ctx, func(t *token.Token) bool {
		return strings.HasPrefix(t.LeaseID(), prefix+"/")
	})
}

func (s *system) tidyLeases(context.Context, *logical.Request) (*logical.Response, error) {
	return nil, nil
}

func (s *system) failedLeases(ctx context.Context) (map[string]int, []object, error) {
	ids, err := s.Leases.Below(ctx, rootNS, "")
	if err != nil {
		return nil, nil, err
	}
	counts, list := map[string]int{}, []object{}
	for _, id := range ids {
		l, err := s.Leases.Lookup(ctx, rootNS, id)
		if errors.Is(err, lease.ErrUnknown) || err == nil && l.Failures == 0 {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		accessor := ""
		if m := s.House.Mounts().ByID(l.MountID); m != nil {
			accessor = m.Accessor
		}
		counts[accessor]++
		list = append(list, object{"lease_id": id, "mount_accessor": accessor, "error": l.LastError})
	}
	return counts, list, nil
}

func (s *system) countLeases(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	if err := onlyIrrevocable(r); err != nil {
		return nil, err
	}
	counts, list, err := s.failedLeases(ctx)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: object{"lease_count": len(list), "counts": counts}}, nil
}

func (s *system) irrevocableLeases(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	if err := onlyIrrevocable(r); err != nil {
		return nil, err
	}
	_, list, err := s.failedLeases(ctx)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: object{"lease_count": len(list), "leases": list}}, nil
}

func onlyIrrevocable(r *logical.Request) error {
	if r.Has("type") && r.Text("type") != "irrevocable" {
		return logical.Invalid("type must be irrevocable")
	}
	return nil
}
