package sys

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
)

var policyFields = logical.Fields{
	"name":   {Type: logical.Lower, Help: "Name of the policy."},
	"policy": {Type: logical.Text, Help: "The policy, in HCL or JSON, or that in base64."},
	"rules":  {Type: logical.Text, Help: "Older name of the field policy."},
}

var policyRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "policy", Do: (*system).listPoliciesOld, Help: "List the names of the policies."},
	{Op: logical.List, Path: "policy", Do: (*system).listPoliciesOld, Help: "List the names of the policies."},
	{Op: logical.Read, Path: "policy/{name...}", Do: (*system).readPolicyOld, Fields: policyFields, Help: "Read a policy."},
	{Op: logical.Write, Path: "policy/{name...}", Do: (*system).writePolicy, Fields: policyFields, Help: "Create or replace a policy."},
	{Op: logical.Delete, Path: "policy/{name...}", Do: (*system).deletePolicy, Fields: policyFields, Help: "Delete a policy."},
	{Op: logical.List, Path: "policies/acl", Do: (*system).listPolicies, Help: "List the names of the policies."},
	{Op: logical.Read, Path: "policies/acl/{name...}", Do: (*system).readPolicy, Fields: policyFields, Help: "Read a policy."},
	{Op: logical.Write, Path: "policies/acl/{name...}", Do: (*system).writePolicy, Fields: policyFields, Help: "Create or replace a policy."},
	{Op: logical.Delete, Path: "policies/acl/{name...}", Do: (*system).deletePolicy, Fields: policyFields, Help: "Delete a policy."},
}

// policyName is the policy that the path names; names may have slashes inside.
func policyName(r *logical.Request) string { return strings.TrimSuffix(r.Text("name"), "/") }

func (s *system) listPolicies(context.Context, *logical.Request) (*logical.Response, error) {
	return &logical.Response{Data: object{"keys": s.Policies.Names()}}, nil
}

func (s *system) listPoliciesOld(context.Context, *logical.Request) (*logical.Response, error) {
	names := s.Policies.Names()
	return &logical.Response{Data: object{"keys": names, "policies": names}, TopLevel: true}, nil
}

func (s *system) readPolicy(_ context.Context, r *logical.Request) (*logical.Response, error) {
	text, ok := s.Policies.Text(policyName(r))
	if !ok {
		return nil, logical.ErrNotFound
	}
	return &logical.Response{Data: object{"name": policyName(r), "policy": text}}, nil
}

func (s *system) readPolicyOld(_ context.Context, r *logical.Request) (*logical.Response, error) {
	text, ok := s.Policies.Text(policyName(r))
	if !ok {
		return nil, logical.ErrNotFound
	}
	return &logical.Response{Data: object{"name": policyName(r), "rules": text}, TopLevel: true}, nil
}

func (s *system) writePolicy(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	text := r.Text("policy")
	if text == "" {
		text = r.Text("rules")
	}
	if text == "" {
		return nil, logical.Invalid("'policy' parameter not supplied or empty")
	}
	if plain, err := base64.StdEncoding.DecodeString(text); err == nil {
		text = string(plain)
	}
	rev, err := s.Policies.Put(ctx, policyName(r), text)
	if err != nil {
		return nil, err
	}
	return nil, s.House.Await(ctx, rev)
}

func (s *system) deletePolicy(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	rev, err := s.Policies.Delete(ctx, policyName(r))
	if err != nil {
		return nil, err
	}
	return nil, s.House.Await(ctx, rev)
}
