package approle

import (
	"context"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/uuid"
)

// origin says who has chosen a secret id.
type origin bool

const (
	random origin = false // we have
	custom origin = true  // the caller has, maybe not for the first time
)

func (m method) issueRandom(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return m.issue(ctx, r, uuid.New(), random)
}

func (m method) issueCustom(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	text := strings.TrimSpace(r.Text("secret_id"))
	if text == "" {
		return nil, logical.Invalid("missing secret_id")
	}
	return m.issue(ctx, r, text, custom)
}

// issue makes text a secret id of the role.
func (method) issue(ctx context.Context, r *logical.Request, text string, from origin) (*logical.Response, error) {
	o, err := existing(ctx, r)
	if err != nil {
		return nil, err
	}
	if !o.BindSecretID {
		return nil, logical.Invalid("bind_secret_id is not set on the role")
	}
	s, err := o.newSecretID(r)
	if err != nil {
		return nil, err
	}
	s.Hash, s.Custom = hashOf(o.ID, text), from == custom
	old, err := loadSecretID(ctx, r.Part, o.ID, s.Hash)
	if err != nil {
		return nil, err
	}
	if old != nil {
		if !expired(old.Expires, r.Now) {
			return nil, logical.Invalid("SecretID is already registered")
		}
		old.remove(r.Part)
	}
	if err := s.create(r.Part); err != nil {
		return nil, err
	}
	// As many as are issued go, and more: the rows of expired ones never pile up.
	if _, err := sweep(ctx, r, atIssue); err != nil {
		return nil, err
	}
	return &logical.Response{Data: object{
		"secret_id": text, "secret_id_accessor": s.Accessor,
		"secret_id_ttl": seconds(s.TTL), "secret_id_num_uses": s.Left,
	}}, nil
}

// newSecretID returns a secret id as the request wants and the role allows, still
// without a text.
func (o *role) newSecretID(r *logical.Request) (*secretID, error) {
	uses, ttl := o.SecretIDNumUses, o.SecretIDTTL
	if r.Has("num_uses") {
		uses = r.Int("num_uses")
	}
	if r.Has("ttl") {
		ttl = r.Duration("ttl")
	}
	switch {
	case uses < 0:
		return nil, logical.Invalid("num_uses cannot be negative")
	case o.SecretIDNumUses > 0 && (uses == 0 || uses > o.SecretIDNumUses):
		return nil, logical.Invalid("num_uses cannot be higher than the role's secret_id_num_uses")
	case o.SecretIDTTL > 0 && (ttl == 0 || ttl > o.SecretIDTTL):
		return nil, logical.Invalid("ttl cannot be longer than the role's secret_id_ttl")
	}
	if _, err := narrow(r.Texts("cidr_list"), o.SecretIDCIDRs); err != nil {
		return nil, err
	}
	if _, err := narrow(r.Texts("token_bound_cidrs"), o.CIDRs); err != nil {
		return nil, err
	}
	s := &secretID{
		RoleID: o.ID, Accessor: uuid.New(), Left: uses, Created: r.Now, Updated: r.Now,
		Metadata: r.TextMap("metadata"), CIDRs: r.Texts("cidr_list"), TokenCIDRs: r.Texts("token_bound_cidrs"),
	}
	if ttl > 0 {
		s.TTL = min(ttl, r.Mount.MaxLeaseTTL)
		s.Expires = r.Now.Add(s.TTL)
	}
	return s, nil
}
