package sys

import (
	"context"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/policy"
)

// The routes about mounts are open because they decide themselves: by whether
// the caller has any right below a mount.
var uiRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "internal/ui/mounts", Do: (*system).visibleMounts, Open: true, Help: "List the mounts that the caller may see."},
	{Op: logical.Read, Path: "internal/ui/mounts/{path...}", Do: (*system).visibleMount, Open: true, Help: "Tell which mount a path is below, if the caller has any right there."},
	{Op: logical.Read, Path: "internal/ui/resultant-acl", Do: (*system).resultantACL, Help: "Tell all that the caller may do."},
	{Op: logical.Read, Path: "internal/ui/namespaces", Do: (*system).visibleNamespaces, Open: true, Help: "List the namespaces that the caller may see."},
	{Op: logical.Read, Path: "internal/ui/feature-flags", Do: (*system).featureFlags, Open: true, Help: "List the flags of Vault's web interface."},
}

func (s *system) visibleMounts(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	acl, err := s.acl(ctx, r)
	if err != nil {
		return nil, err
	}
	secret, auth := object{}, object{}
	for _, m := range s.House.Mounts().All() {
		if !mayList(acl, m) {
			continue
		}
		about := object{"type": m.Type, "description": m.Description, "options": optionsOf(m)}
		if acl != nil {
			about = describe(m)
		}
		if m.Auth() {
			auth[authMounts.name(m)] = about
		} else {
			secret[m.Path] = about
		}
	}
	return &logical.Response{Data: object{"secret": secret, "auth": auth}}, nil
}

func optionsOf(m *mount.Mounted) any {
	if m.Options == nil {
		return nil
	}
	return m.Options
}

// mayList says whether a mount stands in the caller's list. acl is nil without a
// caller.
func mayList(acl *policy.ACL, m *mount.Mounted) bool {
	if m.Config.ListingVisibility == "unauth" {
		return true
	}
	return acl != nil && acl.AnyBelow(m.Path)
}

func (s *system) visibleMount(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	path := r.Text("path")
	if path == "" {
		return s.visibleMounts(ctx, r)
	}
	acl, err := s.acl(ctx, r)
	if err != nil {
		return nil, err
	}
	m, _ := s.House.Mounts().Find(path)
	if acl == nil || m == nil || !acl.AnyBelow(m.Path) {
		return nil, logical.ErrDenied
	}
	data := describe(m)
	data["path"] = m.Path
	return &logical.Response{Data: data}, nil
}

func (s *system) resultantACL(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	acl, err := s.acl(ctx, r)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: acl.Resultant()}, nil
}

// visibleNamespaces lists what is below the root, of which there is nothing.
func (s *system) visibleNamespaces(context.Context, *logical.Request) (*logical.Response, error) {
	return &logical.Response{Data: object{"keys": []string{}}}, nil
}

func (s *system) featureFlags(context.Context, *logical.Request) (*logical.Response, error) {
	return &logical.Response{Data: object{"feature_flags": []string{}}, TopLevel: true}, nil
}
