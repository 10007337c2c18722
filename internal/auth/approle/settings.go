package approle

import (
	"slices"
	"time"

	"github.com/cofferhq/coffer/internal/grant"
	"github.com/cofferhq/coffer/internal/logical"
)

// settings are the fields of a role, but for role_id and local_secret_ids, which
// are not as freely changed.
var settings = slices.Concat(secretIDSettings(), grant.TokenSettings(
	func(o *role) *grant.Token { return &o.Token },
	map[string]string{"token_policies": "policies", "token_period": "period"},
))

func secretIDSettings() grant.Settings[role] {
	bind := grant.Flag("bind_secret_id", "A login needs a secret id; true if absent.", func(o *role) *bool { return &o.BindSecretID })
	bind.Reset = func(o *role) { o.BindSecretID = true }

	bound := grant.Networks("secret_id_bound_cidrs", "Where logins may come from.", func(o *role) *[]string { return &o.SecretIDCIDRs })
	bound = bound.OrOld("bound_cidr_list", func(o *role) *[]string { return &o.OldNames })
	bound.Read = func(o *role) any {
		if len(o.SecretIDCIDRs) == 0 {
			return nil // as Vault reads it, unlike token_bound_cidrs
		}
		return o.SecretIDCIDRs
	}
	return grant.Settings[role]{
		bind,
		bound,
		grant.Number("secret_id_num_uses", "How often a secret id can be used; zero: any number.", func(o *role) *int { return &o.SecretIDNumUses }),
		grant.Duration("secret_id_ttl", "How long a secret id lives; zero: for ever.", func(o *role) *time.Duration { return &o.SecretIDTTL }),
	}
}

// roleFields are the fields of a request that writes a role.
func roleFields() logical.Fields {
	fields := named(settings.Fields())
	fields["role_id"] = logical.Field{Type: logical.Text, Help: "The role id; a random one if absent."}
	fields["local_secret_ids"] = logical.Field{Type: logical.Bool, Help: "Secret ids stay in this cluster; only at creation."}
	return fields
}
