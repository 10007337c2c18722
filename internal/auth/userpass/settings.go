package userpass

import (
	"maps"

	"github.com/cofferhq/coffer/internal/grant"
	"github.com/cofferhq/coffer/internal/logical"
)

// settings are the fields of a user, but for the password.
var settings = func() grant.Settings[user] {
	all := grant.TokenSettings(func(u *user) *grant.Token { return &u.Token }, map[string]string{
		"token_policies": "policies", "token_ttl": "ttl", "token_max_ttl": "max_ttl", "token_bound_cidrs": "bound_cidrs",
	})
	all.Named("token_bound_cidrs").Field.Help = "Where logins may come from, and where tokens may be used from."
	return all
}()

var policySetting = settings.Named("token_policies")

// userFields are the fields of a request that writes a user.
func userFields() logical.Fields {
	fields := named(passwordFields)
	maps.Copy(fields, settings.Fields())
	return fields
}
