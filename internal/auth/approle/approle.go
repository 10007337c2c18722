// Package approle is the auth method for programs: a role says what a program
// may do, its role id names it, and a secret id, which can be limited in time,
// uses and place, proves it.
//
// Secret ids are stored as keyed hashes only. They hang on the immutable id of
// their role, so that a deleted role's are void from that commit on, however
// many there are, and a new role of the same name has none of them. The rows
// that are left behind, and those of expired secret ids, are removed bit by bit,
// see tidy.go.
//
// Start reading at [role], then method.login.
package approle

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// Kind is the auth method.
var Kind = logical.Kind{
	Type:        "approle",
	Auth:        true,
	Description: "programs log in with a role id and a secret id",
	New: func(logical.MountPoint) (*logical.Engine, error) {
		m := method{}
		return &logical.Engine{Endpoints: logical.Bind(m, routes), RenewLogin: m.renewLogin, LoginRole: m.loginRole}, nil
	},
}

// method has no state: all is in the rows.
type method struct{}

// named is what routes of one role take: its name, in lower case, and fields.
func named(fields logical.Fields) logical.Fields {
	all := logical.Fields{"role_name": {Type: logical.Lower, Help: "Name of the role."}}
	maps.Copy(all, fields)
	return all
}

var (
	issueFields = named(logical.Fields{
		"metadata":          {Type: logical.TextMap, Help: "JSON text of an object of texts; given to the tokens, and not hidden in the audit."},
		"cidr_list":         {Type: logical.Texts, Help: "Where the secret id may be used from; inside the role's secret_id_bound_cidrs."},
		"token_bound_cidrs": {Type: logical.Texts, Help: "Where its tokens may be used from; inside the role's token_bound_cidrs."},
		"num_uses":          {Type: logical.Int, Help: "How often it can be used; the role's secret_id_num_uses if absent."},
		"ttl":               {Type: logical.Duration, Help: "How long it lives; the role's secret_id_ttl if absent."},
	})
	customFields = func() logical.Fields {
		fields := named(issueFields)
		fields["secret_id"] = logical.Field{Type: logical.Text, Help: "The secret id."}
		return fields
	}()
	roleIDFields   = named(logical.Fields{"role_id": {Type: logical.Text, Help: "The role id."}})
	secretIDFields = named(logical.Fields{"secret_id": {Type: logical.Text, Help: "The secret id."}})
	accessorFields = named(logical.Fields{"secret_id_accessor": {Type: logical.Text, Help: "Accessor of the secret id."}})
	loginFields    = logical.Fields{
		"role_id":   {Type: logical.Text, Help: "The role id."},
		"secret_id": {Type: logical.Text, Help: "The secret id, unless the role needs none."},
	}
)

var routes = slices.Concat(logical.Routes[method]{
	{Op: logical.List, Path: "role", Do: method.listRoles, Help: "List the names of the roles."},
	{Op: logical.Read, Path: "role/{role_name}", Do: method.readRole, Fields: named(nil), Help: "Read a role."},
	{Op: logical.Write, Path: "role/{role_name}", Do: method.writeRole, Exists: method.roleExists, Fields: roleFields(), Help: "Create or change a role."},
	{Op: logical.Delete, Path: "role/{role_name}", Do: method.deleteRole, Fields: named(nil), Help: "Delete a role and its secret ids."},
	{Op: logical.Read, Path: "role/{role_name}/role-id", Do: method.readRoleID, Fields: named(nil), Help: "Read the role id of a role."},
	{Op: logical.Write, Path: "role/{role_name}/role-id", Do: method.writeRoleID, Fields: roleIDFields, Help: "Choose the role id of a role."},
	{Op: logical.Read, Path: "role/{role_name}/local-secret-ids", Do: method.readLocal, Fields: named(nil), Help: "Read local_secret_ids of a role."},

	{Op: logical.Write, Path: "role/{role_name}/secret-id", Do: method.issueRandom, Fields: issueFields, Help: "Issue a new secret id."},
	{Op: logical.List, Path: "role/{role_name}/secret-id", Do: method.listSecretIDs, Fields: named(nil), Help: "List the accessors of the secret ids of a role."},
	{Op: logical.Write, Path: "role/{role_name}/custom-secret-id", Do: method.issueCustom, Fields: customFields, Help: "Issue a secret id that the caller chooses."},
	{Op: logical.Write, Path: "role/{role_name}/secret-id/lookup", Do: method.lookup, Fields: secretIDFields, Help: "Tell of a secret id."},
	{Op: logical.Write, Path: "role/{role_name}/secret-id/destroy", Do: method.destroy, Fields: secretIDFields, Help: "Destroy a secret id."},
	{Op: logical.Delete, Path: "role/{role_name}/secret-id/destroy", Do: method.destroy, Fields: secretIDFields, Help: "Destroy a secret id."},
	{Op: logical.Write, Path: "role/{role_name}/secret-id-accessor/lookup", Do: method.lookupAccessor, Fields: accessorFields, Help: "Tell of the secret id with an accessor."},
	{Op: logical.Write, Path: "role/{role_name}/secret-id-accessor/destroy", Do: method.destroyAccessor, Fields: accessorFields, Help: "Destroy the secret id with an accessor."},
	{Op: logical.Delete, Path: "role/{role_name}/secret-id-accessor/destroy", Do: method.destroyAccessor, Fields: accessorFields, Help: "Destroy the secret id with an accessor."},

	{Op: logical.Write, Path: "login", Do: method.login, Fields: loginFields, Open: true, Help: "Log in with a role id and a secret id."},
	{Op: logical.Write, Path: "tidy/secret-id", Do: method.tidy, Help: "Remove what expired secret ids and deleted roles have left."},
}, propertyRoutes())

// object is data of an answer.
type object = map[string]any

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// existing returns the role that the request names, or an error for the caller
// that there is none.
func existing(ctx context.Context, r *logical.Request) (*role, error) {
	o, err := loadRole(ctx, r.Part, r.Text("role_name"))
	if err == nil && o == nil {
		return nil, logical.Invalid("role %q does not exist", r.Text("role_name"))
	}
	return o, err
}

// present is existing for reads, where what is absent is not found.
func present(ctx context.Context, r *logical.Request) (*role, error) {
	o, err := loadRole(ctx, r.Part, r.Text("role_name"))
	if err == nil && o == nil {
		return nil, logical.ErrNotFound
	}
	return o, err
}

// orEmpty keeps null out of answers in which clients expect a list.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
