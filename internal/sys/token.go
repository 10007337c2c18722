package sys

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/token"
)

// tokens answers below auth/token/.
type tokens struct {
	Deps
	mount logical.MountPoint
}

var tokenFields = logical.Fields{
	"token":     {Type: logical.Text, Help: "The token."},
	"accessor":  {Type: logical.Text, Help: "Accessor of the token."},
	"increment": {Type: logical.Duration, Help: "Time to add from now on."},
}

var createFields = logical.Fields{
	"id":                {Type: logical.Text, Help: "The token itself; for those with sudo."},
	"policies":          {Type: logical.Texts, Help: "Policies; the caller's if absent."},
	"meta":              {Type: logical.TextMap, Help: "Shown in lookups and in the audit."},
	"metadata":          {Type: logical.TextMap, Help: "Other name of meta."},
	"no_parent":         {Type: logical.Bool, Help: "The token does not go when its creator's goes; needs sudo."},
	"no_default_policy": {Type: logical.Bool, Help: "Without the default policy."},
	"renewable":         {Type: logical.Bool, Help: "May be renewed; true if absent."},
	"lease":             {Type: logical.Duration, Help: "Older name of ttl."},
	"ttl":               {Type: logical.Duration, Help: "How long it lives."},
	"explicit_max_ttl":  {Type: logical.Duration, Help: "How long it lives at most, whatever is renewed."},
	"display_name":      {Type: logical.Text, Help: "Name in lookups and in the audit."},
	"num_uses":          {Type: logical.Int, Help: "How often it can be used; zero: any number."},
	"period":            {Type: logical.Duration, Help: "Renewable for ever by this time; needs sudo."},
	"type":              {Type: logical.Text, Help: "service or batch."},
	"entity_alias":      {Type: logical.Text, Help: "Kept for clients; only with a role that allows it."},
}

var tokenRoutes = slices.Concat(logical.Routes[*tokens]{
	{Op: logical.Write, Path: "create", Do: (*tokens).create, Fields: createFields, Help: "Create a token below the caller's."},
	{Op: logical.Write, Path: "create-orphan", Do: (*tokens).createOrphan, Fields: createFields, Help: "Create a token without a parent."},
	{Op: logical.Write, Path: "create/{role_name}", Do: (*tokens).createByRole, Fields: createFields, Help: "Create a token as a role says."},
	{Op: logical.Write, Path: "lookup", Do: (*tokens).lookup, Fields: tokenFields, Help: "Tell of a token."},
	{Op: logical.Read, Path: "lookup", Do: (*tokens).lookup, Fields: tokenFields, Help: "Tell of the caller's token."},
	{Op: logical.Read, Path: "lookup-self", Do: (*tokens).lookupSelf, Help: "Tell of the caller's token."},
	{Op: logical.Write, Path: "lookup-self", Do: (*tokens).lookupSelf, Help: "Tell of the caller's token."},
	{Op: logical.Write, Path: "lookup-accessor", Do: (*tokens).lookupAccessor, Fields: tokenFields, Help: "Tell of the token with an accessor."},
	{Op: logical.Write, Path: "renew", Do: (*tokens).renew, Fields: tokenFields, Help: "Renew a token."},
	{Op: logical.Write, Path: "renew-self", Do: (*tokens).renewSelf, Fields: tokenFields, Help: "Renew the caller's token."},
	{Op: logical.Write, Path: "renew-accessor", Do: (*tokens).renewAccessor, Fields: tokenFields, Help: "Renew the token with an accessor."},
	{Op: logical.Write, Path: "revoke", Do: (*tokens).revoke, Fields: tokenFields, Help: "Revoke a token and its descendants."},
	{Op: logical.Write, Path: "revoke-self", Do: (*tokens).revokeSelf, Help: "Revoke the caller's token and its descendants."},
	{Op: logical.Write, Path: "revoke-accessor", Do: (*tokens).revokeAccessor, Fields: tokenFields, Help: "Revoke the token with an accessor and its descendants."},
	{Op: logical.Write, Path: "revoke-orphan", Do: (*tokens).revokeOrphan, Sudo: true, Fields: tokenFields, Help: "Revoke a token; its children live on."},
	{Op: logical.List, Path: "accessors", Do: (*tokens).accessors, Sudo: true, Help: "List the accessors of all tokens."},
	{Op: logical.Write, Path: "tidy", Do: (*tokens).tidy, Help: "Does nothing: tokens are always tidy here."},
}, tokenRoleRoutes)

// orphanage says whether a new token gets the caller as its parent.
type orphanage bool

const (
	child  orphanage = false
	orphan orphanage = true
)

func (t *tokens) create(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	how := child
	if r.Bool("no_parent") {
		how = orphan
	}
	return t.make(ctx, r, how)
}

func (t *tokens) createOrphan(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return t.make(ctx, r, orphan)
}

var errNeedsSudo = logical.Invalid("root or sudo privileges required to create tokens with an id, without a parent or with a period")

// make creates a token without a role.
func (t *tokens) make(ctx context.Context, r *logical.Request, how orphanage) (*logical.Response, error) {
	sudo, err := t.sudo(ctx, r)
	if err != nil {
		return nil, err
	}
	// Who may use create-orphan needs no sudo for what it is there for.
	if !sudo && (r.Text("id") != "" || r.Bool("no_parent") && r.Path == "create" || r.Duration("period") > 0) {
		return nil, errNeedsSudo
	}
	auth, err := t.auth(ctx, r, how)
	if err != nil {
		return nil, err
	}
	if r.Text("entity_alias") != "" {
		return nil, logical.Invalid("'entity_alias' is only allowed in combination with token role")
	}
	if err := t.choosePolicies(r, auth, sudo); err != nil {
		return nil, err
	}
	if auth.Endless && r.Caller.Root {
		if err := t.mayBeEndless(ctx, r); err != nil {
			return nil, err
		}
	}
	auth.Period = r.Duration("period")
	return t.finish(r, auth)
}

// mayBeEndless refuses a root token that outlives the root token that asks.
func (t *tokens) mayBeEndless(ctx context.Context, r *logical.Request) error {
	parent, err := t.Tokens.ByID(ctx, rootNS, r.Caller.TokenID, r.Now)
	if err == nil && !parent.Expires.IsZero() {
		return logical.Invalid("expiring root tokens cannot create non-expiring root tokens")
	}
	return err
}

// sudo says whether the caller has it on the path of the request.
func (t *tokens) sudo(ctx context.Context, r *logical.Request) (bool, error) {
	acl, err := t.acl(ctx, r)
	if err != nil {
		return false, err
	}
	rights := acl.Capabilities(r.Mount.Path + r.Path)
	return slices.Contains(rights, "sudo") || slices.Contains(rights, "root"), nil
}

// auth is what all ways of creating a token have in common.
func (t *tokens) auth(ctx context.Context, r *logical.Request, how orphanage) (*logical.Auth, error) {
	if r.Caller.TokenType == logical.TokenBatch {
		return nil, logical.Invalid("batch tokens cannot create more tokens")
	}
	parent, err := t.Tokens.ByID(ctx, rootNS, r.Caller.TokenID, r.Now)
	if errors.Is(err, token.ErrUnknown) || err == nil && parent.NumUses > 0 {
		return nil, logical.Invalid("restricted use token cannot generate child tokens")
	}
	if err != nil {
		return nil, err
	}
	auth := &logical.Auth{
		DisplayName: "token", Metadata: r.TextMap("meta"), NoDefaultPolicy: r.Bool("no_default_policy"),
		TTL: r.Duration("ttl"), ExplicitMaxTTL: r.Duration("explicit_max_ttl"), NumUses: r.Int("num_uses"),
		Renewable: !r.Has("renewable") || r.Bool("renewable"), Token: r.Text("id"), Type: logical.TokenService,
	}
	if auth.TTL == 0 {
		auth.TTL = r.Duration("lease")
	}
	if auth.Metadata == nil {
		auth.Metadata = r.TextMap("metadata")
	}
	if name := r.Text("display_name"); name != "" {
		auth.DisplayName = "token-" + displayChars(name)
	}
	switch {
	case auth.NumUses < 0:
		return nil, logical.Invalid("number of uses cannot be negative")
	case strings.HasPrefix(auth.Token, "cf") && strings.ContainsRune(auth.Token, '.'):
		return nil, logical.Invalid("custom token ID cannot look like one that coffer makes")
	case strings.ContainsAny(auth.Token, "\r\n\t ") || len(auth.Token) > 512:
		return nil, logical.Invalid("custom token ID cannot contain white space or be longer than 512 bytes")
	}
	switch typ := r.Text("type"); typ {
	case "", "default", "service":
	case "batch":
		auth.Type = logical.TokenBatch
	default:
		return nil, logical.Invalid("invalid 'type' value %q", typ)
	}
	if how == child {
		auth.Parent, auth.EntityID = r.Caller.TokenID, r.Caller.EntityID
	}
	return auth, nil
}

// displayChars replaces what would make names of tokens hard to read.
func displayChars(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, name)
}

// unassignable is the policy of wrapping tokens, which only the core makes.
const unassignable = "response-wrapping"

// choosePolicies sets the policies of a token that no role speaks of: those asked
// for, which must be the caller's own unless it has sudo, or all of the caller's.
func (t *tokens) choosePolicies(r *logical.Request, auth *logical.Auth, sudo bool) error {
	auth.Policies = r.Texts("policies")
	if len(auth.Policies) == 0 {
		auth.Policies = slices.DeleteFunc(slices.Clone(r.Caller.Policies), func(name string) bool {
			return name == logical.DefaultPolicy && auth.NoDefaultPolicy
		})
		if !slices.Contains(r.Caller.Policies, logical.DefaultPolicy) && !r.Caller.Root {
			auth.NoDefaultPolicy = true
		}
	}
	wanted := auth.TokenPolicies()
	if slices.Contains(wanted, unassignable) {
		return logical.Invalid("cannot assign policy %q", unassignable)
	}
	if slices.Contains(wanted, token.RootPolicy) {
		if !r.Caller.Root {
			return logical.Invalid("root tokens may not be created without parent token being root")
		}
		auth.Endless = auth.TTL == 0 && auth.ExplicitMaxTTL == 0
		auth.Renewable = auth.Renewable && !auth.Endless
	}
	if sudo {
		return nil
	}
	for _, name := range wanted {
		if !slices.Contains(r.Caller.Policies, name) && name != logical.DefaultPolicy {
			return logical.Invalid("child policies must be subset of parent")
		}
	}
	return nil
}

// finish checks what the parts of a new token's description make together.
func (t *tokens) finish(r *logical.Request, auth *logical.Auth) (*logical.Response, error) {
	if auth.Type == logical.TokenBatch {
		switch {
		case auth.Token != "":
			return nil, logical.Invalid("batch tokens cannot have a custom id")
		case auth.ExplicitMaxTTL > 0:
			return nil, logical.Invalid("batch tokens cannot have an explicit max TTL set")
		case auth.NumUses > 0:
			return nil, logical.Invalid("batch tokens cannot have a use count")
		case auth.Period > 0:
			return nil, logical.Invalid("batch tokens cannot be periodic")
		case auth.Endless:
			return nil, logical.Invalid("batch tokens cannot be root tokens")
		}
	}
	return &logical.Response{Auth: auth}, nil
}

// find returns the token that the request names.
func (t *tokens) find(ctx context.Context, r *logical.Request, text string) (*token.Token, error) {
	found, err := t.Tokens.Lookup(ctx, rootNS, text, r.Now)
	if errors.Is(err, token.ErrUnknown) {
		return nil, logical.Errorf(logical.ErrDenied, "bad token")
	}
	return found, err
}

func (t *tokens) findAccessor(ctx context.Context, r *logical.Request) (*token.Token, error) {
	if r.Text("accessor") == "" {
		return nil, logical.Invalid("missing accessor")
	}
	found, err := t.Tokens.ByAccessor(ctx, rootNS, r.Text("accessor"), r.Now)
	if errors.Is(err, token.ErrUnknown) {
		return nil, logical.Invalid("invalid accessor")
	}
	return found, err
}

func (t *tokens) lookup(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	text := r.Text("token")
	if text == "" {
		text = r.Token
	}
	found, err := t.find(ctx, r, text)
	if err != nil {
		return nil, err
	}
	return about(r, found, text), nil
}

func (t *tokens) lookupSelf(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	found, err := t.Tokens.Self(ctx, rootNS, r.Token, r.Now)
	if err != nil {
		return nil, err
	}
	return about(r, found, r.Token), nil
}

func (t *tokens) lookupAccessor(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	found, err := t.findAccessor(ctx, r)
	if err != nil {
		return nil, err
	}
	return about(r, found, ""), nil
}

// about is a token as lookups tell it. text may be empty if the caller must not
// learn it.
func about(r *logical.Request, t *token.Token, text string) *logical.Response {
	data := object{
		"accessor": t.Accessor, "creation_time": t.Created.Unix(), "creation_ttl": seconds(t.TTL),
		"display_name": t.Display, "entity_id": t.EntityID, "expire_time": nil,
		"explicit_max_ttl": seconds(t.ExplicitMax), "id": text, "meta": nil, "num_uses": t.NumUses,
		"orphan": t.Orphan, "path": t.Path, "policies": orEmpty(t.Policies), "ttl": seconds(t.Left(r.Now)),
		"type": t.Type, "renewable": t.Renewable,
	}
	if t.Meta != nil {
		data["meta"] = t.Meta
	}
	if !t.Expires.IsZero() {
		data["expire_time"] = t.Expires.Format(time.RFC3339Nano)
	}
	if !t.Batch() {
		data["issue_time"] = t.Created.Format(time.RFC3339Nano)
	}
	if !t.LastRenewal.IsZero() {
		data["last_renewal"] = t.LastRenewal.Format(time.RFC3339Nano)
		data["last_renewal_time"] = t.LastRenewal.Unix()
	}
	if t.Period > 0 {
		data["period"] = seconds(t.Period)
	}
	if t.Role != "" {
		data["role"] = t.Role
	}
	if len(t.BoundCIDRs) > 0 {
		data["bound_cidrs"] = t.BoundCIDRs
	}
	return &logical.Response{Data: data}
}

func (t *tokens) renew(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	if r.Text("token") == "" {
		return nil, logical.Invalid("missing token ID")
	}
	found, err := t.find(ctx, r, r.Text("token"))
	if err != nil {
		return nil, err
	}
	return t.renewed(ctx, r, found, r.Text("token"))
}

func (t *tokens) renewSelf(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	found, err := t.find(ctx, r, r.Token)
	if err != nil {
		return nil, err
	}
	return t.renewed(ctx, r, found, r.Token)
}

func (t *tokens) renewAccessor(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	found, err := t.findAccessor(ctx, r)
	if err != nil {
		return nil, err
	}
	return t.renewed(ctx, r, found, "")
}

func (t *tokens) renewed(ctx context.Context, r *logical.Request, found *token.Token, text string) (*logical.Response, error) {
	if found.Batch() {
		return nil, logical.Invalid("batch tokens cannot be renewed")
	}
	warnings, err := t.House.RenewToken(ctx, found.ID, r.Duration("increment"))
	if err != nil {
		return nil, err
	}
	return &logical.Response{Auth: &logical.Auth{Existing: found.ID, Token: text}, Warnings: warnings}, nil
}

func (t *tokens) accessors(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	var keys []string
	err := t.Tokens.Each(ctx, rootNS, r.Now, func(found *token.Token) error {
		keys = append(keys, found.Accessor)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(keys)
	return &logical.Response{Data: object{"keys": orEmpty(keys)}}, nil
}

func (t *tokens) tidy(context.Context, *logical.Request) (*logical.Response, error) {
	return &logical.Response{Accepted: true, Warnings: []string{"Nothing to do: tokens and all that hangs on them are removed together."}}, nil
}
