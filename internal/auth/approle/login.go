package approle

import (
	"context"
	"maps"
	"net/netip"
	"strings"

	"github.com/cofferhq/coffer/internal/grant"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// errCredentials is one for all that can be wrong with them.
var errCredentials = logical.Invalid("invalid role or secret ID")

// state is what a token keeps for its renewal.
type state struct {
	Role string `json:"role"`
	ID   string `json:"id"`
}

var stateForm = storage.Form[state]{Name: "approle token state"}

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

// loginRole names the role that a login would be for.
func (method) loginRole(ctx context.Context, r *logical.Request) (string, error) {
	roleID := strings.TrimSpace(r.Text("role_id"))
	if roleID == "" {
		return "", nil
	}
	o, err := loadByRoleID(ctx, r.Part, roleID)
	if err != nil || o == nil {
		return "", err
	}
	return o.Name, nil
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
	parsed, err := grant.ParseNetworks(networks)
	if err != nil {
		return err
	}
	if !grant.Inside(addr, parsed) {
		return logical.Invalid("source address %q unauthorized by CIDR restrictions on the %s", addr, where)
	}
	return nil
}

// auth is what a login with s earns.
func (o *role) auth(s *secretID) (*logical.Auth, error) {
	auth, err := o.Token.Auth()
	if err != nil {
		return nil, err
	}
	// The role may have become narrower since the secret id was issued.
	own, err := narrow(s.TokenCIDRs, o.CIDRs)
	if err != nil {
		return nil, err
	}
	if len(own) > 0 {
		auth.BoundCIDRs = own
	}
	auth.Metadata = map[string]string{}
	maps.Copy(auth.Metadata, s.Metadata)
	auth.Metadata["role_name"] = o.Name
	// The secret id's metadata stay out of the alias, which all logins of the
	// role share: policies could not rely on them, and logins would conflict.
	auth.Alias = logical.Alias{Name: o.RoleID, Metadata: map[string]string{"role_name": o.Name}}
	auth.State, err = stateForm.Encode(&state{Role: o.Name, ID: o.ID})
	return auth, err
}

// renewLogin gives a token the times that its role has now. A role of the same
// name that was created later is another role.
func (method) renewLogin(ctx context.Context, r *logical.Request, auth *logical.Auth) error {
	var kept state
	if err := stateForm.Decode(auth.State, &kept); err != nil {
		return err
	}
	o, err := loadRole(ctx, r.Part, kept.Role)
	if err != nil {
		return err
	}
	if o == nil || o.ID != kept.ID {
		return logical.Invalid("role %q does not exist during renewal", kept.Role)
	}
	o.Renew(auth)
	return nil
}
