package approle

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/grant"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/uuid"
)

const maxNameBytes = 4095

var roleForm = storage.Form[role]{Name: "approle role record", Version: 1}

// role says how a program logs in and what it gets. It is the stored record,
// too. Networks are kept as they were written, and are valid.
type role struct {
	Name   string `json:"-"`   // lower case
	ID     string `json:"id"`  // UUID, never changes and never leaves the server
	RoleID string `json:"rid"` // what programs log in with; can be changed

	BindSecretID    bool          `json:"bind,omitempty"`
	SecretIDCIDRs   []string      `json:"scidr,omitempty"`
	SecretIDNumUses int           `json:"suses,omitempty"` // zero: any number
	SecretIDTTL     time.Duration `json:"sttl,omitempty"`  // zero: for ever
	LocalSecretIDs  bool          `json:"local,omitempty"` // kept for clients: there is one cluster

	grant.Token
}

// newRole returns a role with Vault's defaults.
func newRole() *role { return &role{BindSecretID: true} }

func roleKey(name string) string     { return storage.Plain("role") + storage.Name(name) }
func roleIDKey(roleID string) string { return storage.Plain("rid") + storage.Name(roleID) }

// loadRole returns nil without an error if there is no such role.
func loadRole(ctx context.Context, part storage.Part, name string) (*role, error) {
	e, err := part.Get(ctx, roleKey(name))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	o := &role{Name: name}
	if err := roleForm.Decode(e.Value, o); err != nil {
		return nil, err
	}
	return o, nil
}

// loadByRoleID returns nil without an error if no role has that role id.
func loadByRoleID(ctx context.Context, part storage.Part, roleID string) (*role, error) {
	e, err := part.Get(ctx, roleIDKey(roleID))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return loadRole(ctx, part, string(e.Value))
}

// save checks the role and writes it. It does not touch the row of the role id.
func (o *role) save(part storage.Part) error {
	if err := o.check(); err != nil {
		return err
	}
	value, err := roleForm.Encode(o)
	if err != nil {
		return err
	}
	part.Put(roleKey(o.Name), value)
	return nil
}

// check refuses what cannot stand together.
func (o *role) check() error {
	switch {
	case !o.BindSecretID && len(o.SecretIDCIDRs) == 0 && len(o.CIDRs) == 0:
		return logical.Invalid("at least one constraint should be enabled on the role")
	case o.SecretIDNumUses < 0:
		return logical.Invalid("secret_id_num_uses cannot be negative")
	}
	return o.Token.Check()
}

// setRoleID gives the role a role id, which no other role may have.
func (o *role) setRoleID(ctx context.Context, part storage.Part, roleID string) error {
	if roleID == o.RoleID {
		return nil
	}
	switch _, err := part.Get(ctx, roleIDKey(roleID)); {
	case err == nil:
		return logical.Invalid("role_id already in use")
	case !errors.Is(err, storage.ErrNotFound):
		return err
	}
	if o.RoleID != "" {
		part.Delete(roleIDKey(o.RoleID))
	}
	part.Put(roleIDKey(roleID), []byte(o.Name))
	o.RoleID = roleID
	return nil
}

// checkName refuses what Vault does not take as the name of a role.
func checkName(name string) error {
	if len(name) > maxNameBytes {
		return logical.Invalid("the name of a role must be less than %d bytes", maxNameBytes+1)
	}
	odd := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.ContainsRune(" -_.", c))
	}
	if strings.ContainsFunc(name, odd) {
		return logical.Invalid("the name of a role consists of letters, digits, spaces, hyphens, underscores and periods")
	}
	return nil
}

func (method) listRoles(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	names, err := r.Part.Children(ctx, storage.Plain("role"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, logical.ErrNotFound
	}
	return &logical.Response{Data: object{"keys": names}}, nil
}

func (method) roleExists(ctx context.Context, r *logical.Request) (bool, error) {
	o, err := loadRole(ctx, r.Part, r.Text("role_name"))
	return o != nil, err
}

func (method) readRole(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	o, err := present(ctx, r)
	if err != nil {
		return nil, err
	}
	data := object{"local_secret_ids": o.LocalSecretIDs}
	settings.Tell(o, data)
	return &logical.Response{Data: data}, nil
}

func (method) writeRole(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	name := r.Text("role_name")
	o, err := loadRole(ctx, r.Part, name)
	if err != nil {
		return nil, err
	}
	isNew := o == nil
	if isNew {
		if err := checkName(name); err != nil {
			return nil, err
		}
		o = newRole()
		o.Name, o.ID = name, uuid.New()
		o.LocalSecretIDs = r.Bool("local_secret_ids")
	} else if r.Has("local_secret_ids") && r.Bool("local_secret_ids") != o.LocalSecretIDs {
		return nil, logical.Invalid("local_secret_ids can only be modified during role creation")
	}
	if err := settings.Take(o, r); err != nil {
		return nil, err
	}
	roleID := strings.TrimSpace(r.Text("role_id"))
	if roleID == "" && isNew {
		roleID = uuid.New()
	}
	if roleID != "" {
		if err := o.setRoleID(ctx, r.Part, roleID); err != nil {
			return nil, err
		}
	}
	if err := o.save(r.Part); err != nil {
		return nil, err
	}
	if warnings := o.Warnings(r.Mount); len(warnings) > 0 {
		return &logical.Response{Warnings: warnings}, nil
	}
	return nil, nil
}

func (method) deleteRole(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	o, err := loadRole(ctx, r.Part, r.Text("role_name"))
	if err != nil || o == nil {
		return nil, err
	}
	r.Part.Delete(roleKey(o.Name))
	r.Part.Delete(roleIDKey(o.RoleID))
	// The mark stays also if all secret ids go now: one more may be issued
	// before this commit, unseen by it.
	r.Part.Put(goneKey(o.ID), []byte{})
	s := &sweeper{broom: atTidy, part: r.Part, now: r.Now}
	return nil, s.role(ctx, o.ID)
}

func (method) readRoleID(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	o, err := present(ctx, r)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: object{"role_id": o.RoleID}}, nil
}

func (method) writeRoleID(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	o, err := existing(ctx, r)
	if err != nil {
		return nil, err
	}
	roleID := strings.TrimSpace(r.Text("role_id"))
	if roleID == "" {
		return nil, logical.Invalid("missing role_id")
	}
	if err := o.setRoleID(ctx, r.Part, roleID); err != nil {
		return nil, err
	}
	return nil, o.save(r.Part)
}

func (method) readLocal(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	o, err := present(ctx, r)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: object{"local_secret_ids": o.LocalSecretIDs}}, nil
}
