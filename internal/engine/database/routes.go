package database

import (
	"maps"

	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
)

var nameField = logical.Field{Type: logical.Text, Help: "Name of the connection or the role."}

// with returns fields beside the name, which the path has.
func with(fields logical.Fields) logical.Fields {
	all := logical.Fields{"name": nameField}
	maps.Copy(all, fields)
	return all
}

var (
	justName = with(nil)

	deleteFields = with(logical.Fields{
		"force": {Type: logical.Bool, Help: "Delete the connection although users and static roles depend on it, and forget them."},
	})
	roleFields = with(logical.Fields{
		"db_name":               {Type: logical.Text, Help: "Name of the connection that users are made with."},
		"creation_statements":   {Type: logical.Any, Help: "Statements that make a user, one text or a list."},
		"revocation_statements": {Type: logical.Any, Help: "Statements that end a user; by default the user is dropped."},
		"rollback_statements":   {Type: logical.Any, Help: "Statements that take back a user who could not be made."},
		"renew_statements":      {Type: logical.Any, Help: "Statements that let a user live longer."},
		"default_ttl":           {Type: logical.Duration, Help: "How long a lease lasts; 0 means the mount's default."},
		"max_ttl":               {Type: logical.Duration, Help: "How long a lease can be renewed; 0 means the mount's limit."},
		"credential_type":       credentialType,
		"credential_config":     credentialConfig,
	})
	staticFields = with(logical.Fields{
		"db_name":               {Type: logical.Text, Help: "Name of the connection that the password is changed with."},
		"username":              {Type: logical.Text, Help: "The database user, who exists already."},
		"rotation_statements":   {Type: logical.Any, Help: "Statements that change the password, one text or a list."},
		"rotation_period":       {Type: logical.Duration, Help: "Time between rotations, 5 seconds or more; or else rotation_schedule."},
		"rotation_schedule":     {Type: logical.Text, Help: "Cron line of five fields, in UTC, of when to rotate; or else rotation_period."},
		"rotation_window":       {Type: logical.Duration, Help: "How long after its time a scheduled rotation may begin, an hour or more; 0 means any time."},
		"skip_import_rotation":  {Type: logical.Bool, Help: "Do not rotate when the role is created."},
		"password":              {Type: logical.Text, Help: "The password that the user has, with skip_import_rotation."},
		"self_managed_password": {Type: logical.Text, Help: "Not supported."},
		"credential_type":       credentialType,
		"credential_config":     credentialConfig,
	})

	credentialType   = logical.Field{Type: logical.Text, Help: "The type of credential: password."}
	credentialConfig = logical.Field{Type: logical.TextMap, Help: "Settings of the credential: password_policy."}
)

// ownConfigFields are the fields of a connection that are the engine's, beside those
// of the kind of system.
var ownConfigFields = logical.Fields{
	"plugin_name":              {Type: logical.Text, Help: "The kind of database, by the name of Vault's plugin for it."},
	"plugin_version":           {Type: logical.Text, Help: "Must be empty: the kinds are built in."},
	"verify_connection":        {Type: logical.Bool, Help: "Try the connection before it is stored; true if not given."},
	"allowed_roles":            {Type: logical.Texts, Help: "Names of the roles that may use the connection; * stands for any text."},
	"root_rotation_statements": {Type: logical.Any, Help: "Statements that change the password of the connection's own user."},
	"password_policy":          {Type: logical.Text, Help: "Name of the password policy; empty: Vault's default one."},
	"skip_static_role_import_rotation": {
		Type: logical.Bool, Help: "Do not rotate when static roles are created, unless they say otherwise.",
	},
	"rotation_period":   {Type: logical.Duration, Help: "Time between changes of the connection's own password, 10 seconds or more; 0: none."},
	"rotation_schedule": {Type: logical.Text, Help: "Cron line of five fields, in UTC, of when to change it; or else rotation_period."},
	"rotation_window":   {Type: logical.Duration, Help: "How long after its time a scheduled change may begin, an hour or more; 0 means any time."},
	"disable_automated_rotation": {
		Type: logical.Bool, Help: "Do not change it without being asked, whatever the schedule says.",
	},
}

func routesFor(systems dbms.Kinds) logical.Routes[*engine] {
	configFields := with(ownConfigFields)
	maps.Copy(configFields, systems.Fields())
	reloadFields := logical.Fields{"plugin_name": {Type: logical.Text, Help: "The kind of database."}}
	return logical.Routes[*engine]{
		{Op: logical.List, Path: "config", Do: (*engine).listConfigs, Help: "List the names of the connections."},
		{Op: logical.Read, Path: "config/{name}", Do: (*engine).readConfig, Fields: justName, Help: "Read a connection, without its secrets."},
		{Op: logical.Write, Path: "config/{name}", Do: (*engine).writeConfig, Exists: (*engine).configExists, Outside: true, Fields: configFields, Help: "Create or change a connection."},
		{Op: logical.Delete, Path: "config/{name}", Do: (*engine).deleteConfig, Outside: true, Fields: deleteFields, Help: "Delete a connection that nothing depends on."},
		{Op: logical.Write, Path: "reset/{name}", Do: (*engine).reset, Outside: true, Fields: justName, Help: "Close a connection and open it again."},
		{Op: logical.Write, Path: "reload/{plugin_name}", Do: (*engine).reload, Outside: true, Fields: reloadFields, Help: "Reset all connections to one kind of database."},
		{Op: logical.Write, Path: "rotate-root/{name}", Do: (*engine).rotateRoot, Outside: true, Fields: justName, Help: "Change the password of a connection's own user."},

		{Op: logical.List, Path: "roles", Do: (*engine).listRoles, Help: "List the names of the roles."},
		{Op: logical.Read, Path: "roles/{name}", Do: (*engine).readRole, Fields: justName, Help: "Read a role."},
		{Op: logical.Write, Path: "roles/{name}", Do: (*engine).writeRole, Exists: (*engine).roleExists, Fields: roleFields, Help: "Create or change a role."},
		{Op: logical.Delete, Path: "roles/{name}", Do: (*engine).deleteRole, Fields: justName, Help: "Delete a role; its leases stay."},
		{Op: logical.Read, Path: "creds/{name}", Do: (*engine).creds, Outside: true, Fields: justName, Help: "Make a database user for a role."},

		{Op: logical.List, Path: "static-roles", Do: (*engine).listStatics, Help: "List the names of the static roles."},
		{Op: logical.Read, Path: "static-roles/{name}", Do: (*engine).readStatic, Fields: justName, Help: "Read a static role, without its password."},
		{Op: logical.Write, Path: "static-roles/{name}", Do: (*engine).writeStatic, Exists: (*engine).staticExists, Outside: true, Fields: staticFields, Help: "Create a static role, which changes the password of its user, or change its settings."},
		{Op: logical.Delete, Path: "static-roles/{name}", Do: (*engine).deleteStatic, Fields: justName, Help: "Delete a static role; its user keeps the last password."},
		{Op: logical.Read, Path: "static-creds/{name}", Do: (*engine).staticCreds, Outside: true, Fields: justName, Help: "Read name and password of a static role's user."},
		{Op: logical.Write, Path: "rotate-role/{name}", Do: (*engine).rotateRole, Outside: true, Fields: justName, Help: "Change the password of a static role's user now."},
	}
}
