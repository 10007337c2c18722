package sys

import (
	"context"
	"errors"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/policy"
	"github.com/cofferhq/coffer/internal/token"
)

var explainRoutes = logical.Routes[*system]{
	{Op: logical.Write, Path: "coffer/policy/explain", Do: (*system).explain, Fields: logical.Fields{
		"operation":  {Type: logical.Text, Help: "What is asked for: read, list, create, update, patch, delete; write is update."},
		"path":       {Type: logical.Text, Help: "The path that is asked for: secret/data/app."},
		"parameters": {Type: logical.Object, Help: "What the request would send, for policies that restrict parameters."},
		"wrap_ttl":   {Type: logical.Duration, Help: "How long the answer would be wrapped; 0 is not."},
		"accessor":   {Type: logical.Text, Help: "Accessor of the token to ask about. The caller must be allowed to look it up and to read its policies."},
		"entity_id":  {Type: logical.Text, Help: "Entity that fills in the templates of policies. The caller must be allowed to read identity/entity/id/ and the id."},
		"policies":   {Type: logical.Texts, Help: "Policies to ask about. The caller must be allowed to read them."},
	}, Help: "Tell why a request would be allowed or denied: by default one of the caller's."},
}

// asker is whom an explanation is about.
type asker struct {
	policies []string
	entityID string
}

// explained is the answer.
type explained struct {
	*policy.Explanation
	Policies []string `json:"policies"`
}

func (s *system) explain(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	op, err := policy.ParseOp(r.Text("operation"))
	if err != nil {
		return nil, logical.Invalid("operation: want one of %s", strings.Join(policy.OpWords(), ", "))
	}
	path := strings.TrimLeft(r.Text("path"), "/")
	if path == "" {
		return nil, logical.Invalid("missing path")
	}
	acl, err := s.acl(ctx, r)
	if err != nil {
		return nil, err
	}
	who, err := s.askedAbout(ctx, r, acl)
	if err != nil {
		return nil, err
	}
	e, err := s.Policies.Explainer(ctx, who.policies, who.entityID)
	if err != nil {
		return nil, logical.Invalid("%s", err)
	}
	x := e.Explain(policy.Query{
		Op: op, Path: path, Body: r.Raw("parameters"), WrapTTL: r.Duration("wrap_ttl"), Sudo: s.needsSudo(path, op),
	}, s.visibleKV(acl, path))
	resp := &logical.Response{Data: explained{x, who.policies}}
	for _, name := range s.Policies.Missing(who.policies) {
		resp.Warnings = append(resp.Warnings, "policy \""+name+"\" does not exist")
	}
	return resp, nil
}

// askedAbout finds whom r asks about. What the caller may not read by other paths
// it must not learn here either: neither what is in a policy nor that there is one,
// nor what a token has; so the right is looked at before the thing.
func (s *system) askedAbout(ctx context.Context, r *logical.Request, acl *policy.ACL) (asker, error) {
	accessor, entityID, policies := r.Text("accessor"), r.Text("entity_id"), r.Texts("policies")
	who := asker{r.Caller.Policies, r.Caller.EntityID}
	switch {
	case accessor != "" && (entityID != "" || len(policies) > 0):
		return who, logical.Invalid("accessor excludes entity_id and policies")
	case entityID != "" && len(policies) == 0:
		return who, logical.Invalid("entity_id: name the policies as well")
	case accessor != "":
		if err := mayAsk(acl, logical.Update, "auth/token/lookup-accessor"); err != nil {
			return who, err
		}
		t, err := s.Tokens.ByAccessor(ctx, rootNS, accessor, r.Now)
		if errors.Is(err, token.ErrUnknown) {
			return who, logical.Invalid("invalid accessor")
		}
		if err != nil {
			return who, err
		}
		who = asker{t.Policies, t.EntityID}
	case len(policies) > 0:
		who = asker{nil, entityID}
		for _, name := range policies {
			who.policies = append(who.policies, strings.ToLower(name))
		}
		if entityID != "" {
			if err := mayAsk(acl, logical.Read, "identity/entity/id/"+entityID); err != nil {
				return who, err
			}
		}
	default:
		return who, nil
	}
	for _, name := range who.policies {
		if err := mayAsk(acl, logical.Read, "sys/policies/acl/"+name); err != nil {
			return who, err
		}
	}
	return who, nil
}

func mayAsk(acl *policy.ACL, op logical.Op, path string) error {
	if acl.Check(policy.Query{Op: op, Path: path}).Allowed {
		return nil
	}
	return logical.Errorf(logical.ErrDenied, "permission denied").WithHint("to ask about others the token needs %q on %s", op, path)
}

// needsSudo says whether the path has an operation that takes sudo as well.
func (s *system) needsSudo(path string, op logical.Op) bool {
	m, rest := s.House.Mounts().Find(path)
	if m == nil {
		return false
	}
	endpoint, _ := m.Engine.Endpoints.Find(rest)
	if endpoint == nil {
		return false
	}
	action := endpoint.Action(op)
	return action != nil && action.Sudo
}

// visibleKV is the KV v2 mount that path lies in, if the caller may know of it.
func (s *system) visibleKV(acl *policy.ACL, path string) string {
	m, _ := s.House.Mounts().Find(path)
	if m == nil || !versioned(m) || !acl.AnyBelow(m.Path) {
		return ""
	}
	return m.Path
}
