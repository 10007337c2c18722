package userpass

import (
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// setting is a field of a user that can be written and read.
type setting struct {
	name    string
	oldName string // deprecated, and still taken; empty: none
	field   logical.Field
	set     func(u *user, r *logical.Request, name string) error // name: of the two
	read    func(u *user) any
}

var policySetting = policies("token_policies", "Policies of the tokens.", func(u *user) *[]string { return &u.Policies }).orOld("policies")

// settings are the fields of a user, but for the password.
var settings = []setting{
	policySetting,
	duration("token_ttl", "How long tokens live before they must be renewed; zero: as the mount says.", func(u *user) *time.Duration { return &u.TTL }).orOld("ttl"),
	duration("token_max_ttl", "How long tokens live at most; zero: as the mount says.", func(u *user) *time.Duration { return &u.MaxTTL }).orOld("max_ttl"),
	duration("token_explicit_max_ttl", "How long tokens live at most, periodic ones too.", func(u *user) *time.Duration { return &u.ExplicitMaxTTL }),
	duration("token_period", "Tokens are renewable for ever by this time.", func(u *user) *time.Duration { return &u.Period }),
	number("token_num_uses", "How often tokens can be used; zero: any number.", func(u *user) *int { return &u.NumUses }),
	networks("token_bound_cidrs", "Where logins may come from, and where tokens may be used from.", func(u *user) *[]string { return &u.CIDRs }).orOld("bound_cidrs"),
	flag("token_no_default_policy", "Tokens are without the default policy.", func(u *user) *bool { return &u.NoDefaultPolicy }),
	tokenType(),
}

func (s setting) orOld(name string) setting {
	s.oldName = name
	return s
}

// take sets what the request brought and says whether it brought anything. The
// newer name wins.
func (s setting) take(u *user, r *logical.Request) (found bool, err error) {
	for _, name := range []string{s.oldName, s.name} {
		if name == "" || !r.Has(name) {
			continue
		}
		found = true
		if err := s.set(u, r, name); err != nil {
			return true, err
		}
		u.OldNames = slices.DeleteFunc(u.OldNames, func(old string) bool { return old == s.oldName })
		if name == s.oldName {
			u.OldNames = append(u.OldNames, name)
		}
	}
	return found, nil
}

// tell adds the setting to data, under its old name too if it was set by that.
func (s setting) tell(u *user, data object) {
	data[s.name] = s.read(u)
	if slices.Contains(u.OldNames, s.oldName) {
		data[s.oldName] = s.read(u)
	}
}

// userFields are the fields of a request that writes a user.
func userFields() logical.Fields {
	fields := named(passwordFields)
	for _, s := range settings {
		fields[s.name] = s.field
		if s.oldName != "" {
			fields[s.oldName] = logical.Field{Type: s.field.Type, Help: "Older name of " + s.name + "."}
		}
	}
	return fields
}

// simple is a setting that is kept as it is sent and read as it is kept.
func simple[T any](name string, field logical.Field, value func(*logical.Request, string) T, at func(*user) *T) setting {
	return setting{
		name: name, field: field,
		set: func(u *user, r *logical.Request, name string) error {
			*at(u) = value(r, name)
			return nil
		},
		read: func(u *user) any { return *at(u) },
	}
}

func flag(name, help string, at func(*user) *bool) setting {
	return simple(name, logical.Field{Type: logical.Bool, Help: help}, (*logical.Request).Bool, at)
}

func number(name, help string, at func(*user) *int) setting {
	return simple(name, logical.Field{Type: logical.Int, Help: help}, (*logical.Request).Int, at)
}

func duration(name, help string, at func(*user) *time.Duration) setting {
	s := simple(name, logical.Field{Type: logical.Duration, Help: help}, (*logical.Request).Duration, at)
	s.read = func(u *user) any { return seconds(*at(u)) }
	return s
}

func policies(name, help string, at func(*user) *[]string) setting {
	s := simple(name, logical.Field{Type: logical.Texts, Help: help}, policyNames, at)
	s.read = func(u *user) any { return orEmpty(*at(u)) }
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

func networks(name, help string, at func(*user) *[]string) setting {
	s := simple(name, logical.Field{Type: logical.Texts, Help: help}, (*logical.Request).Texts, at)
	s.set = func(u *user, r *logical.Request, name string) error {
		if _, err := parseNetworks(r.Texts(name)); err != nil {
			return err
		}
		*at(u) = r.Texts(name)
		return nil
	}
	s.read = func(u *user) any { return orEmpty(*at(u)) }
	return s
}

func tokenType() setting {
	at := func(u *user) *string { return &u.Type }
	s := simple("token_type", logical.Field{Type: logical.Text, Help: "default, service, batch, default-service or default-batch."}, (*logical.Request).Text, at)
	s.set = func(u *user, r *logical.Request, name string) error {
		switch typ := r.Text(name); typ {
		case "", "default":
			u.Type = ""
		case "service", "batch", "default-service", "default-batch":
			u.Type = typ
		default:
			return logical.Invalid("invalid 'token_type' value %q", typ)
		}
		return nil
	}
	s.read = func(u *user) any {
		if u.Type == "" {
			return "default"
		}
		return u.Type
	}
	return s
}

// orEmpty keeps null out of answers in which clients expect a list.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
