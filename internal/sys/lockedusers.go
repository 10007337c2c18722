package sys

import (
	"cmp"
	"context"
	"slices"

	"github.com/cofferhq/coffer/internal/logical"
)

var lockedFields = logical.Fields{
	"mount_accessor":   {Type: logical.Text, Help: "Accessor of the auth method; empty: of all."},
	"alias_identifier": {Type: logical.Text, Help: "Name of the user."},
}

var lockedRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "locked-users", Do: (*system).lockedUsers, Fields: lockedFields, Help: "List the users who are locked out."},
	{Op: logical.Write, Path: "locked-users/{mount_accessor}/unlock/{alias_identifier}", Do: (*system).unlockUser, Fields: lockedFields, Help: "Let a user in again who was locked out."},
}

// lockedAt is who is locked out of one auth method, as the answer tells it.
type lockedAt struct {
	Accessor string   `json:"mount_accessor"`
	Count    int      `json:"counts"`
	Names    []string `json:"alias_identifiers"`
}

// lockedIn is who is locked out in one namespace.
type lockedIn struct {
	ID     string     `json:"namespace_id"`
	Path   string     `json:"namespace_path"`
	Count  int        `json:"counts"`
	Mounts []lockedAt `json:"mount_accessors"`
}

func (s *system) lockedUsers(_ context.Context, r *logical.Request) (*logical.Response, error) {
	in := lockedIn{ID: rootNS}
	for _, m := range s.House.Mounts().All() {
		if m.Engine.Lockout == nil || r.Has("mount_accessor") && r.Text("mount_accessor") != m.Accessor {
			continue
		}
		names := m.Engine.Lockout.Locked(r.Now)
		if len(names) == 0 {
			continue
		}
		in.Mounts = append(in.Mounts, lockedAt{Accessor: m.Accessor, Count: len(names), Names: names})
		in.Count += len(names)
	}
	// As documented, most first.
	slices.SortStableFunc(in.Mounts, func(a, b lockedAt) int { return cmp.Compare(b.Count, a.Count) })
	all := []lockedIn{}
	if in.Count > 0 {
		all = append(all, in)
	}
	return &logical.Response{Data: object{"by_namespace": all, "total": in.Count}}, nil
}

// unlockUser is no error for a user who is not locked out, nor for a method that
// is not there.
func (s *system) unlockUser(_ context.Context, r *logical.Request) (*logical.Response, error) {
	for _, m := range s.House.Mounts().All() {
		if m.Engine.Lockout != nil && m.Accessor == r.Text("mount_accessor") {
			return &logical.Response{After: func() { m.Engine.Lockout.Unlock(r.Text("alias_identifier")) }}, nil
		}
	}
	return nil, nil
}
