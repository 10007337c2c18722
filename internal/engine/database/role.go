package database

import (
	"context"
	"encoding/json"
	"time"

	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// role is how dynamic users are made. It is the stored record, too.
type role struct {
	DB         string        `json:"db"`
	Create     []string      `json:"create,omitempty"`
	Renew      []string      `json:"renew,omitempty"`
	Revoke     []string      `json:"revoke,omitempty"`
	Rollback   []string      `json:"rollback,omitempty"`
	DefaultTTL time.Duration `json:"ttl,omitempty"`
	MaxTTL     time.Duration `json:"max,omitempty"`
	credential
}

// credential is what both kinds of role say of passwords.
type credential struct {
	Policy string `json:"policy,omitempty"` // name of a password policy; empty: the connection's
}

func loadRole(ctx context.Context, p storage.Part, name string) (*role, error) {
	return load(ctx, p, roleForm, named(roles, name))
}

func (o *role) statements() dbms.Statements {
	return dbms.Statements{Create: o.Create, Renew: o.Renew, Revoke: o.Revoke, Rollback: o.Rollback}
}

func (*engine) listRoles(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	names, err := r.Part.Children(ctx, storage.Plain(roles))
	return list(names, err)
}

func (*engine) roleExists(ctx context.Context, r *logical.Request) (bool, error) {
	o, err := loadRole(ctx, r.Part, r.Text("name"))
	return o != nil, err
}

func (*engine) readRole(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	o, err := loadRole(ctx, r.Part, r.Text("name"))
	if err != nil {
		return nil, err
	}
	if o == nil {
		return nil, logical.ErrNotFound
	}
	data := object{
		"db_name": o.DB, "creation_statements": texts(o.Create), "renew_statements": texts(o.Renew),
		"revocation_statements": texts(o.Revoke), "rollback_statements": texts(o.Rollback),
		"default_ttl": seconds(o.DefaultTTL), "max_ttl": seconds(o.MaxTTL),
	}
	o.tell(data)
	return &logical.Response{Data: data}, nil
}

func (e *engine) writeRole(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	name := r.Text("name")
	o, err := loadRole(ctx, r.Part, name)
	if err != nil {
		return nil, err
	}
	op := "role-update"
	if o == nil {
		o, op = &role{}, "role-create"
		if s, err := loadStatic(ctx, r.Part, name); s != nil || err != nil {
			return nil, orBoth(err)
		}
	}
	if err := e.takeRole(ctx, r, o); err != nil {
		return nil, err
	}
	resp := &logical.Response{}
	c, err := loadConfig(ctx, r.Part, o.DB)
	switch {
	case err != nil:
		return nil, err
	case c == nil:
		// As in Vault: the connection may come later.
		resp.Warnings = append(resp.Warnings, "there is no connection with the name \""+o.DB+"\" yet")
	default:
		if kind, ok := e.systems.Find(c.Plugin); ok {
			if err := refuseStatements(kind, o.statements()); err != nil {
				return nil, err
			}
		}
	}
	if o.MaxTTL > 0 && o.DefaultTTL > o.MaxTTL {
		resp.Warnings = append(resp.Warnings, "default_ttl is longer than max_ttl, which leases will not outlive")
	}
	emit(r, op, "roles/"+name, name)
	return resp, save(r.Part, roleForm, named(roles, name), o)
}

// orBoth is err, or the refusal of a name that a role of the other kind has.
func orBoth(err error) error {
	if err != nil {
		return err
	}
	return logical.Invalid("Role and Static Role names must be unique")
}

func (e *engine) takeRole(ctx context.Context, r *logical.Request, o *role) error {
	if r.Has("db_name") {
		o.DB = r.Text("db_name")
	}
	if o.DB == "" {
		return logical.Invalid("database name is required")
	}
	if r.Has("default_ttl") {
		o.DefaultTTL = r.Duration("default_ttl")
	}
	if r.Has("max_ttl") {
		o.MaxTTL = r.Duration("max_ttl")
	}
	for name, to := range map[string]*[]string{
		"creation_statements": &o.Create, "renew_statements": &o.Renew,
		"revocation_statements": &o.Revoke, "rollback_statements": &o.Rollback,
	} {
		if err := takeStatements(r, name, to); err != nil {
			return err
		}
	}
	return o.take(ctx, r, e)
}

func (*engine) deleteRole(_ context.Context, r *logical.Request) (*logical.Response, error) {
	name := r.Text("name")
	r.Part.Delete(named(roles, name))
	emit(r, "role-delete", "roles/"+name, name)
	return nil, nil
}

// take reads the settings of the credential.
func (c *credential) take(ctx context.Context, r *logical.Request, e *engine) error {
	if t := r.Text("credential_type"); t != "" && t != passwordField {
		return logical.Invalid("credential_type %q is not supported: there are passwords only", t)
	}
	if !r.Has("credential_config") {
		return nil
	}
	c.Policy = ""
	for name, value := range r.TextMap("credential_config") {
		if name != "password_policy" {
			return logical.Invalid("credential_config: unknown setting %q", name)
		}
		c.Policy = value
	}
	_, err := e.policy(ctx, c.Policy)
	return err
}

func (c *credential) tell(data object) {
	data["credential_type"] = passwordField
	if c.Policy != "" {
		data["credential_config"] = object{"password_policy": c.Policy}
	}
}

// takeStatements reads a field with statements, one text or a list of them: a text is
// not cut at commas.
func takeStatements(r *logical.Request, name string, to *[]string) error {
	if !r.Has(name) {
		return nil
	}
	raw := r.Raw(name)
	var one string
	if json.Unmarshal(raw, &one) == nil {
		if *to = nil; one != "" {
			*to = []string{one}
		}
		return nil
	}
	var all []string
	if json.Unmarshal(raw, &all) != nil {
		return logical.Invalid("error converting input for field %q: expected a text or a list of texts", name)
	}
	*to = all
	return nil
}

func statementsOf(c *config) dbms.Statements { return dbms.Statements{Rotate: c.RootStatements} }

func refuseStatements(kind *dbms.Kind, s dbms.Statements) error { return kind.Refuse(s) }
