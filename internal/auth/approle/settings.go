package approle

import (
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// setting is a field of a role that can be written, read and reset.
type setting struct {
	name    string
	oldName string // deprecated, and still taken; empty: none
	field   logical.Field
	set     func(o *role, r *logical.Request, name string) error // name: of the two
	read    func(o *role) any
	reset   func(o *role)
}

// settings are the fields of a role, but for role_id and local_secret_ids, which
// are not as freely changed.
var settings = []setting{
	flag("bind_secret_id", "A login needs a secret id; true if absent.", func(o *role) *bool { return &o.BindSecretID }),
	networks("secret_id_bound_cidrs", "Where logins may come from.", nullIfEmpty, func(o *role) *[]string { return &o.SecretIDCIDRs }).orOld("bound_cidr_list"),
	number("secret_id_num_uses", "How often a secret id can be used; zero: any number.", func(o *role) *int { return &o.SecretIDNumUses }),
	duration("secret_id_ttl", "How long a secret id lives; zero: for ever.", func(o *role) *time.Duration { return &o.SecretIDTTL }),
	policies("token_policies", "Policies of the tokens.", func(o *role) *[]string { return &o.Policies }).orOld("policies"),
	duration("token_ttl", "How long tokens live before they must be renewed; zero: as the mount says.", func(o *role) *time.Duration { return &o.TTL }),
	duration("token_max_ttl", "How long tokens live at most; zero: as the mount says.", func(o *role) *time.Duration { return &o.MaxTTL }),
	duration("token_explicit_max_ttl", "How long tokens live at most, periodic ones too.", func(o *role) *time.Duration { return &o.ExplicitMaxTTL }),
	duration("token_period", "Tokens are renewable for ever by this time.", func(o *role) *time.Duration { return &o.Period }).orOld("period"),
	number("token_num_uses", "How often tokens can be used; zero: any number.", func(o *role) *int { return &o.NumUses }),
	networks("token_bound_cidrs", "Where tokens may be used from.", listIfEmpty, func(o *role) *[]string { return &o.CIDRs }),
	flag("token_no_default_policy", "Tokens are without the default policy.", func(o *role) *bool { return &o.NoDefaultPolicy }),
	tokenType(),
}

func (s setting) orOld(name string) setting {
	s.oldName = name
	return s
}

// take sets what the request brought and says whether it brought anything. The
// newer name wins.
func (s setting) take(o *role, r *logical.Request) (found bool, err error) {
	for _, name := range []string{s.oldName, s.name} {
		if name == "" || !r.Has(name) {
			continue
		}
		found = true
		if err := s.set(o, r, name); err != nil {
			return true, err
		}
		s.forgetOld(o)
		if name == s.oldName {
			o.OldNames = append(o.OldNames, name)
		}
	}
	return found, nil
}

func (s setting) forgetOld(o *role) {
	o.OldNames = slices.DeleteFunc(o.OldNames, func(name string) bool { return name == s.oldName })
}

// tell adds the setting to data, under its old name too if it was set by that.
func (s setting) tell(o *role, data object) {
	data[s.name] = s.read(o)
	if slices.Contains(o.OldNames, s.oldName) {
		data[s.oldName] = s.read(o)
	}
}

// clear gives the setting back its default.
func (s setting) clear(o *role) {
	s.reset(o)
	s.forgetOld(o)
}

// roleFields are the fields of a request that writes a role.
func roleFields() logical.Fields {
	fields := logical.Fields{
		"role_id":          {Type: logical.Text, Help: "The role id; a random one if absent."},
		"local_secret_ids": {Type: logical.Bool, Help: "Secret ids stay in this cluster; only at creation."},
	}
	for _, s := range settings {
		fields[s.name] = s.field
		if s.oldName != "" {
			fields[s.oldName] = logical.Field{Type: s.field.Type, Help: "Older name of " + s.name + "."}
		}
	}
	return named(fields)
}

// simple is a setting that is kept as it is sent and read as it is kept.
func simple[T any](name string, field logical.Field, value func(*logical.Request, string) T, at func(*role) *T) setting {
	return setting{
		name: name, field: field,
		set: func(o *role, r *logical.Request, name string) error {
			*at(o) = value(r, name)
			return nil
		},
		read:  func(o *role) any { return *at(o) },
		reset: func(o *role) { *at(o) = *at(newRole()) },
	}
}

func flag(name, help string, at func(*role) *bool) setting {
	return simple(name, logical.Field{Type: logical.Bool, Help: help}, (*logical.Request).Bool, at)
}

func number(name, help string, at func(*role) *int) setting {
	return simple(name, logical.Field{Type: logical.Int, Help: help}, (*logical.Request).Int, at)
}

func duration(name, help string, at func(*role) *time.Duration) setting {
	s := simple(name, logical.Field{Type: logical.Duration, Help: help}, (*logical.Request).Duration, at)
	s.read = func(o *role) any { return seconds(*at(o)) }
	return s
}

func policies(name, help string, at func(*role) *[]string) setting {
	s := simple(name, logical.Field{Type: logical.Texts, Help: help}, policyNames, at)
	s.read = func(o *role) any { return orEmpty(*at(o)) }
	return s
}

// policyNames reads names of policies: lower case, sorted, each once.
func policyNames(r *logical.Request, name string) []string {
	var names []string
	for _, text := range r.Texts(name) {
		names = append(names, strings.ToLower(text))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// emptiness says how an empty list is read.
type emptiness bool

const (
	nullIfEmpty emptiness = true
	listIfEmpty emptiness = false
)

func networks(name, help string, empty emptiness, at func(*role) *[]string) setting {
	s := simple(name, logical.Field{Type: logical.Texts, Help: help}, (*logical.Request).Texts, at)
	s.set = func(o *role, r *logical.Request, name string) error {
		if _, err := parseNetworks(r.Texts(name)); err != nil {
			return err
		}
		*at(o) = r.Texts(name)
		return nil
	}
	s.read = func(o *role) any {
		if len(*at(o)) == 0 && empty == nullIfEmpty {
			return nil
		}
		return orEmpty(*at(o))
	}
	return s
}

func tokenType() setting {
	at := func(o *role) *string { return &o.Type }
	s := simple("token_type", logical.Field{Type: logical.Text, Help: "default, service, batch, default-service or default-batch."}, (*logical.Request).Text, at)
	s.set = func(o *role, r *logical.Request, name string) error {
		switch typ := r.Text(name); typ {
		case "", "default":
			o.Type = ""
		case "service", "batch", "default-service", "default-batch":
			o.Type = typ
		default:
			return logical.Invalid("invalid 'token_type' value %q", typ)
		}
		return nil
	}
	s.read = func(o *role) any {
		if o.Type == "" {
			return "default"
		}
		return o.Type
	}
	return s
}
