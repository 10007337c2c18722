package sys

import (
	"context"
	"errors"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/token"
)

var capabilityFields = logical.Fields{
	"path":     {Type: logical.Texts, Help: "Paths to ask for; older name of paths."},
	"paths":    {Type: logical.Texts, Help: "Paths to ask for."},
	"token":    {Type: logical.Text, Help: "The token to ask about."},
	"accessor": {Type: logical.Text, Help: "Accessor of the token to ask about."},
}

var capabilityRoutes = logical.Routes[*system]{
	{Op: logical.Write, Path: "capabilities", Do: (*system).capabilities, Fields: capabilityFields, Help: "Tell what a token may do on paths."},
	{Op: logical.Write, Path: "capabilities-self", Do: (*system).capabilitiesSelf, Fields: capabilityFields, Help: "Tell what the caller may do on paths."},
	{Op: logical.Write, Path: "capabilities-accessor", Do: (*system).capabilitiesAccessor, Fields: capabilityFields, Help: "Tell what the token of an accessor may do on paths."},
}

func (s *system) capabilities(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	if r.Text("token") == "" {
		return nil, logical.Invalid("missing token")
	}
	t, err := s.Tokens.Lookup(ctx, rootNS, r.Text("token"), r.Now)
	if errors.Is(err, token.ErrUnknown) {
		return nil, logical.Invalid("invalid token")
	}
	if err != nil {
		return nil, err
	}
	return s.capabilitiesOf(ctx, r, t.Policies, t.EntityID)
}

func (s *system) capabilitiesSelf(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return s.capabilitiesOf(ctx, r, r.Caller.Policies, r.Caller.EntityID)
}

func (s *system) capabilitiesAccessor(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	if r.Text("accessor") == "" {
		return nil, logical.Invalid("missing accessor")
	}
	t, err := s.Tokens.ByAccessor(ctx, rootNS, r.Text("accessor"), r.Now)
	if errors.Is(err, token.ErrUnknown) {
		return nil, logical.Invalid("invalid accessor")
	}
	if err != nil {
		return nil, err
	}
	return s.capabilitiesOf(ctx, r, t.Policies, t.EntityID)
}

func (s *system) capabilitiesOf(ctx context.Context, r *logical.Request, policies []string, entityID string) (*logical.Response, error) {
	paths := r.Texts("paths")
	if len(paths) == 0 {
		paths = r.Texts("path")
	}
	if len(paths) == 0 {
		return nil, logical.Invalid("paths must be supplied")
	}
	acl, err := s.Policies.ACL(ctx, policies, entityID)
	if err != nil {
		return nil, err
	}
	data := object{}
	for _, path := range paths {
		data[path] = acl.Capabilities(path)
	}
	if len(paths) == 1 {
		data["capabilities"] = data[paths[0]]
	}
	return &logical.Response{Data: data, TopLevel: true}, nil
}
