package sys

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/grant"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/token"
)

// role says what tokens may be created by its name. It is the stored record, too.
type role struct {
	Allowed         []string       `json:"pol,omitempty"`
	Disallowed      []string       `json:"npol,omitempty"`
	AllowedGlobs    []string       `json:"gpol,omitempty"`
	DisallowedGlobs []string       `json:"ngpol,omitempty"`
	EntityAliases   []string       `json:"ents,omitempty"`
	Orphan          bool           `json:"orp,omitempty"`
	NotRenewable    bool           `json:"norenew,omitempty"`
	PathSuffix      string         `json:"suffix,omitempty"`
	Period          time.Duration  `json:"per,omitempty"`
	ExplicitMax     time.Duration  `json:"xmax,omitempty"`
	BoundCIDRs      []netip.Prefix `json:"cidr,omitempty"`
	NoDefaultPolicy bool           `json:"nodef,omitempty"`
	NumUses         int            `json:"uses,omitempty"`
	Type            string         `json:"type,omitempty"`
}

var roleForm = storage.Form[role]{Name: "token role record", Version: 1}

var roleFields = logical.Fields{
	"allowed_policies":         {Type: logical.Texts, Help: "Policies that tokens may have; empty: the caller's own."},
	"disallowed_policies":      {Type: logical.Texts, Help: "Policies that tokens may not have."},
	"allowed_policies_glob":    {Type: logical.Texts, Help: "As allowed_policies, with * for any text."},
	"disallowed_policies_glob": {Type: logical.Texts, Help: "As disallowed_policies, with * for any text."},
	"allowed_entity_aliases":   {Type: logical.Texts, Help: "Entity aliases that tokens may name."},
	"orphan":                   {Type: logical.Bool, Help: "Tokens have no parent."},
	"renewable":                {Type: logical.Bool, Help: "Tokens may be renewed; true if absent."},
	"path_suffix":              {Type: logical.Text, Help: "Added to the path by which tokens can be revoked."},
	"period":                   {Type: logical.Duration, Help: "Older name of token_period."},
	"explicit_max_ttl":         {Type: logical.Duration, Help: "Older name of token_explicit_max_ttl."},
	"bound_cidrs":              {Type: logical.Texts, Help: "Older name of token_bound_cidrs."},
	"token_period":             {Type: logical.Duration, Help: "Tokens are renewable for ever by this time."},
	"token_explicit_max_ttl":   {Type: logical.Duration, Help: "How long tokens live at most."},
	"token_bound_cidrs":        {Type: logical.Texts, Help: "Where tokens may be used from."},
	"token_no_default_policy":  {Type: logical.Bool, Help: "Tokens are without the default policy."},
	"token_num_uses":           {Type: logical.Int, Help: "How often tokens can be used."},
	"token_type":               {Type: logical.Text, Help: "service, batch, default-service or default-batch."},
}

var tokenRoleRoutes = logical.Routes[*tokens]{
	{Op: logical.List, Path: "roles", Do: (*tokens).listRoles, Help: "List the names of the roles."},
	{Op: logical.Read, Path: "roles/{role_name}", Do: (*tokens).readRole, Help: "Read a role."},
	{Op: logical.Write, Path: "roles/{role_name}", Do: (*tokens).writeRole, Exists: (*tokens).roleExists, Fields: roleFields, Help: "Create or change a role."},
	{Op: logical.Delete, Path: "roles/{role_name}", Do: (*tokens).deleteRole, Help: "Delete a role."},
}

func roleKey(name string) string { return storage.Plain("role") + storage.Name(name) }

// loadRole returns nil without an error if there is no such role.
func loadRole(ctx context.Context, r *logical.Request) (*role, error) {
	e, err := r.Part.Get(ctx, roleKey(r.Text("role_name")))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := &role{}
	if err := roleForm.Decode(e.Value, found); err != nil {
		return nil, err
	}
	return found, nil
}

func (t *tokens) roleExists(ctx context.Context, r *logical.Request) (bool, error) {
	found, err := loadRole(ctx, r)
	return found != nil, err
}

func (t *tokens) listRoles(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	names, err := r.Part.Children(ctx, storage.Plain("role"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, logical.ErrNotFound
	}
	return &logical.Response{Data: object{"keys": names}}, nil
}

func (t *tokens) readRole(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	found, err := loadRole(ctx, r)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, logical.ErrNotFound
	}
	data := object{
		"name": r.Text("role_name"), "orphan": found.Orphan, "renewable": !found.NotRenewable,
		"path_suffix":      found.PathSuffix,
		"allowed_policies": orEmpty(found.Allowed), "disallowed_policies": orEmpty(found.Disallowed),
		"allowed_policies_glob": orEmpty(found.AllowedGlobs), "disallowed_policies_glob": orEmpty(found.DisallowedGlobs),
		"allowed_entity_aliases": orEmpty(found.EntityAliases),
		"explicit_max_ttl":       seconds(found.ExplicitMax), "period": seconds(found.Period),
		"token_explicit_max_ttl": seconds(found.ExplicitMax), "token_period": seconds(found.Period),
		"token_bound_cidrs": orEmpty(found.BoundCIDRs), "token_no_default_policy": found.NoDefaultPolicy,
		"token_num_uses": found.NumUses, "token_type": found.Type,
	}
	if found.Type == "" {
		data["token_type"] = "default-service"
	}
	return &logical.Response{Data: data}, nil
}

// orEmpty keeps null out of answers in which clients expect a list.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (t *tokens) writeRole(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	found, err := loadRole(ctx, r)
	if err != nil {
		return nil, err
	}
	if found == nil {
		found = &role{}
	}
	if err := found.change(r); err != nil {
		return nil, err
	}
	value, err := roleForm.Encode(found)
	if err != nil {
		return nil, err
	}
	r.Part.Put(roleKey(r.Text("role_name")), value)
	return nil, nil
}

// change sets what the request brought and checks the whole.
func (o *role) change(r *logical.Request) error {
	setTexts(r, "allowed_policies", &o.Allowed)
	setTexts(r, "disallowed_policies", &o.Disallowed)
	setTexts(r, "allowed_policies_glob", &o.AllowedGlobs)
	setTexts(r, "disallowed_policies_glob", &o.DisallowedGlobs)
	setTexts(r, "allowed_entity_aliases", &o.EntityAliases)
	setText(r, "path_suffix", &o.PathSuffix)
	setText(r, "token_type", &o.Type)
	for _, name := range []string{"period", "token_period"} {
		if r.Has(name) {
			o.Period = r.Duration(name)
		}
	}
	for _, name := range []string{"explicit_max_ttl", "token_explicit_max_ttl"} {
		if r.Has(name) {
			o.ExplicitMax = r.Duration(name)
		}
	}
	if r.Has("orphan") {
		o.Orphan = r.Bool("orphan")
	}
	if r.Has("renewable") {
		o.NotRenewable = !r.Bool("renewable")
	}
	if r.Has("token_no_default_policy") {
		o.NoDefaultPolicy = r.Bool("token_no_default_policy")
	}
	if r.Has("token_num_uses") {
		o.NumUses = r.Int("token_num_uses")
	}
	for _, name := range []string{"bound_cidrs", "token_bound_cidrs"} {
		if r.Has(name) {
			var err error
			if o.BoundCIDRs, err = grant.ParseNetworks(r.Texts(name)); err != nil {
				return err
			}
		}
	}
	return o.check()
}

func (o *role) check() error {
	switch {
	case !slices.Contains([]string{"", "default", "service", "batch", "default-service", "default-batch"}, o.Type):
		return logical.Invalid("invalid 'token_type' value %q", o.Type)
	case o.NumUses < 0:
		return logical.Invalid("'token_num_uses' cannot be negative")
	case strings.ContainsFunc(o.PathSuffix, func(c rune) bool { return c == '/' || c <= ' ' }):
		return logical.Invalid("given role path suffix contains invalid characters")
	case o.Type == "batch" && !o.Orphan && o.ExplicitMax > 0:
		return logical.Invalid("'token_type' cannot be 'batch' when role is set to have an explicit max TTL")
	case o.Type == "batch" && (o.Period > 0 || o.NumUses > 0):
		return logical.Invalid("'token_type' cannot be 'batch' when role is set to generate periodic or limited tokens")
	}
	return nil
}

func (t *tokens) deleteRole(_ context.Context, r *logical.Request) (*logical.Response, error) {
	r.Part.Delete(roleKey(r.Text("role_name")))
	return nil, nil
}

func (t *tokens) createByRole(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	found, err := loadRole(ctx, r)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, logical.Invalid("unknown role %s", r.Text("role_name"))
	}
	if r.Text("id") != "" {
		if sudo, err := t.sudo(ctx, r); err != nil || !sudo {
			return nil, cmp.Or(err, error(errNeedsSudo))
		}
	}
	// no_parent is the role's to decide.
	auth, err := t.auth(ctx, r, orphanage(found.Orphan))
	if err != nil {
		return nil, err
	}
	found.apply(auth, r)
	if alias := strings.ToLower(r.Text("entity_alias")); alias != "" {
		if !found.allowsAlias(alias) {
			return nil, logical.Invalid("invalid 'entity_alias' value")
		}
		auth.Alias = logical.Alias{Name: alias}
	}
	if err := found.choosePolicies(r, auth); err != nil {
		return nil, err
	}
	return t.finish(r, auth)
}

func (o *role) allowsAlias(alias string) bool {
	return slices.ContainsFunc(o.EntityAliases, func(allowed string) bool {
		return matchesAny([]string{strings.ToLower(allowed)}, alias)
	})
}

// apply sets what the role decides.
func (o *role) apply(auth *logical.Auth, r *logical.Request) {
	auth.Role = r.Text("role_name")
	auth.PathSuffix = o.PathSuffix
	auth.BoundCIDRs = o.BoundCIDRs
	auth.Period = o.Period
	auth.NoDefaultPolicy = auth.NoDefaultPolicy || o.NoDefaultPolicy
	if o.NotRenewable {
		auth.Renewable = false
	}
	if o.ExplicitMax > 0 && (auth.ExplicitMaxTTL == 0 || auth.ExplicitMaxTTL > o.ExplicitMax) {
		auth.ExplicitMaxTTL = o.ExplicitMax
	}
	if o.NumUses > 0 && (auth.NumUses == 0 || auth.NumUses > o.NumUses) {
		auth.NumUses = o.NumUses
	}
	switch o.Type {
	case "service":
		auth.Type = logical.TokenService
	case "batch":
		auth.Type = logical.TokenBatch
	case "default-batch":
		if !r.Has("type") {
			auth.Type = logical.TokenBatch
		}
	}
}

// choosePolicies sets the policies of a token that the role speaks of.
func (o *role) choosePolicies(r *logical.Request, auth *logical.Auth) error {
	auth.Policies = r.Texts("policies")
	limited := len(o.Allowed) > 0 || len(o.AllowedGlobs) > 0
	if len(auth.Policies) == 0 {
		if auth.Policies = o.Allowed; !limited {
			auth.Policies = r.Caller.Policies
		}
	}
	auth.Policies = slices.DeleteFunc(slices.Clone(auth.Policies), func(name string) bool {
		return !r.Has("policies") && name == logical.DefaultPolicy && auth.NoDefaultPolicy
	})
	for _, name := range auth.TokenPolicies() {
		switch {
		case name == unassignable:
			return logical.Invalid("cannot assign policy %q", unassignable)
		case name == token.RootPolicy && !slices.Contains(o.Allowed, name):
			return logical.Invalid("root tokens may not be created by a role that does not allow them")
		case slices.Contains(o.Disallowed, name) || matchesAny(o.DisallowedGlobs, name):
			return logical.Invalid("token policy %q is disallowed by this role", name)
		case name == logical.DefaultPolicy:
		case limited && !slices.Contains(o.Allowed, name) && !matchesAny(o.AllowedGlobs, name):
			return logical.Invalid("token policies (%q) must be subset of the role's allowed policies", name)
		case !limited && len(o.Disallowed)+len(o.DisallowedGlobs) == 0 && !r.Caller.Root && !slices.Contains(r.Caller.Policies, name):
			return logical.Invalid("child policies must be subset of parent")
		}
	}
	return nil
}

// matchesAny says whether a name fits one of the patterns, in which * is any
// text.
func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		// Names of policies have no slash that Match would treat apart.
		ok, err := path.Match(p, name)
		return err == nil && ok
	})
}
