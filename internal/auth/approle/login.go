package approle

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
)

// errCredentials is one for all that can be wrong with them.
var errCredentials = logical.Invalid("invalid role or secret ID")

// state is what a token keeps for its renewal.
type state struct {
	Role string `json:"role"`
	ID   string `json:"id"`
}

func (method) login(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	roleID := strings.TrimSpace(r.Text("role_id"))
	if roleID == "" {
		return nil, logical.Invalid("missing role_id")
	}
	o, err := loadByRoleID(ctx, r.Part, roleID)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return nil, errCredentials
	}
	s := &secretID{} // of a role that needs none
	if o.BindSecretID {
		if s, err = o.prove(ctx, r); err != nil {
			return nil, err
		}
	}
	if err := allowed(r.RemoteAddr, o.SecretIDCIDRs, "role"); err != nil {
		return nil, err
	}
	auth, err := o.auth(s)
	if err != nil {
		return nil, err
	}
	if err := s.use(r.Part, r.Now); err != nil {
		return nil, err
	}
	if _, err := sweep(ctx, r, atLogin); err != nil {
		return nil, err
	}
	return &logical.Response{Auth: auth}, nil
}

// prove returns the secret id that the login shows, if it is good.
func (o *role) prove(ctx context.Context, r *logical.Request) (*secretID, error) {
	text := strings.TrimSpace(r.Text("secret_id"))
	if text == "" {
		return nil, logical.Invalid("missing secret_id")
	}
	s, err := loadSecretID(ctx, r.Part, o.ID, hashOf(o.ID, text))
	if err != nil {
		return nil, err
	}
	if s == nil || expired(s.Expires, r.Now) {
		return nil, errCredentials
	}
	return s, allowed(r.RemoteAddr, s.CIDRs, "secret ID")
}

// allowed refuses logins from outside of networks, if there are any.
func allowed(addr netip.Addr, networks []string, where string) error {
	if len(networks) == 0 {
		return nil
	}
	parsed, err := parseNetworks(networks)
	if err != nil {
		return err
	}
	if !inside(addr, parsed) {
		return logical.Invalid("source address %q unauthorized by CIDR restrictions on the %s", addr, where)
	}
	return nil
}

// auth is what a login with s earns.
func (o *role) auth(s *secretID) (*logical.Auth, error) {
	// The role may have become narrower since the secret id was issued.
	bound, err := narrow(s.TokenCIDRs, o.CIDRs)
	if err != nil {
		return nil, err
	}
	if len(bound) == 0 {
		if bound, err = parseNetworks(o.CIDRs); err != nil {
			return nil, err
		}
	}
	kept, err := json.Marshal(state{Role: o.Name, ID: o.ID})
	if err != nil {
		return nil, err
	}
	metadata := map[string]string{}
	maps.Copy(metadata, s.Metadata)
	metadata["role_name"] = o.Name
	return &logical.Auth{
		Policies: o.Policies,
		Metadata: metadata,
		// The secret id's metadata stay out of the alias, which all logins of the
		// role share: policies could not rely on them, and logins would conflict.
		Alias:           logical.Alias{Name: o.RoleID, Metadata: map[string]string{"role_name": o.Name}},
		TTL:             o.TTL,
		MaxTTL:          o.MaxTTL,
		ExplicitMaxTTL:  o.ExplicitMaxTTL,
		Period:          o.Period,
		NumUses:         o.NumUses,
		Renewable:       true,
		Type:            o.tokenType(),
		NoDefaultPolicy: o.NoDefaultPolicy,
		BoundCIDRs:      bound,
		State:           kept,
	}, nil
}

// renewLogin gives a token the times that its role has now. A role of the same
// name that was created later is another role.
func (method) renewLogin(ctx context.Context, r *logical.Request, auth *logical.Auth) error {
	var kept state
	if err := json.Unmarshal(auth.State, &kept); err != nil {
		return fmt.Errorf("approle token state: %w", err)
	}
	o, err := loadRole(ctx, r.Part, kept.Role)
	if err != nil {
		return err
	}
	if o == nil || o.ID != kept.ID {
		return logical.Invalid("role %q does not exist during renewal", kept.Role)
	}
	auth.TTL, auth.MaxTTL, auth.Period = o.TTL, o.MaxTTL, o.Period
	return nil
}
