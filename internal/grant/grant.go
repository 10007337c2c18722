// Package grant is what a login may earn, and the fields by which operators set
// it. The roles and users of auth methods have the token_* fields in common:
// their names, their limits, the form in which they are stored, and what they
// mean for the token. An auth method embeds [Token] in its record and declares
// the other fields of the record in the same way.
//
// It does not decide who may log in, and makes no tokens.
//
// Start reading at [Token], then [Setting].
package grant

import (
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// Token is what the tokens of a login are to be. It is part of stored records,
// which embed it: the names in JSON are those of the rows, and may not change.
// The zero value is a token as the mount says.
type Token struct {
	Policies        []string      `json:"pol,omitempty"`  // lower case, sorted
	TTL             time.Duration `json:"ttl,omitempty"`  // zero: the mount's default
	MaxTTL          time.Duration `json:"max,omitempty"`  // zero: the mount's
	ExplicitMaxTTL  time.Duration `json:"xmax,omitempty"` // hard limit also for periodic tokens; zero: none
	Period          time.Duration `json:"per,omitempty"`  // above zero: renewable for ever
	NumUses         int           `json:"uses,omitempty"` // zero: any number
	CIDRs           []string      `json:"cidr,omitempty"` // as they were written, and valid
	NoDefaultPolicy bool          `json:"nodef,omitempty"`
	Type            string        `json:"type,omitempty"` // empty: default

	// OldNames are the deprecated names by which fields were set, those of the
	// whole record: they are read back under these as well.
	OldNames []string `json:"old,omitempty"`
}

// TokenSettings are the token_* fields of a record T that holds a [Token], which
// at returns. deprecated maps names of them to older ones that are still taken.
// It panics if deprecated has a name that is none, which any test that mounts the
// auth method finds.
func TokenSettings[T any](at func(*T) *Token, deprecated map[string]string) Settings[T] {
	all := Settings[T]{
		Policies("token_policies", "Policies of the tokens.", func(o *T) *[]string { return &at(o).Policies }),
		Duration("token_ttl", "How long tokens live before they must be renewed; zero: as the mount says.", func(o *T) *time.Duration { return &at(o).TTL }),
		Duration("token_max_ttl", "How long tokens live at most; zero: as the mount says.", func(o *T) *time.Duration { return &at(o).MaxTTL }),
		Duration("token_explicit_max_ttl", "How long tokens live at most, periodic ones too.", func(o *T) *time.Duration { return &at(o).ExplicitMaxTTL }),
		Duration("token_period", "Tokens are renewable for ever by this time.", func(o *T) *time.Duration { return &at(o).Period }),
		Number("token_num_uses", "How often tokens can be used; zero: any number.", func(o *T) *int { return &at(o).NumUses }),
		Networks("token_bound_cidrs", "Where tokens may be used from.", func(o *T) *[]string { return &at(o).CIDRs }),
		Flag("token_no_default_policy", "Tokens are without the default policy.", func(o *T) *bool { return &at(o).NoDefaultPolicy }),
		TokenType("token_type", "default, service, batch, default-service or default-batch.", func(o *T) *string { return &at(o).Type }),
	}
	for name, old := range deprecated {
		s := all.Named(name)
		*s = s.OrOld(old, func(o *T) *[]string { return &at(o).OldNames })
	}
	return all
}

// Check refuses what cannot stand together. What a single field cannot be was
// refused when it was set.
func (t *Token) Check() error {
	switch {
	case t.NumUses < 0:
		return logical.Invalid("'token_num_uses' cannot be negative")
	case t.MaxTTL > 0 && t.TTL > t.MaxTTL:
		return logical.Invalid("'token_ttl' cannot be greater than 'token_max_ttl'")
	}
	if t.tokenType() == logical.TokenBatch {
		switch {
		case t.Period > 0:
			return logical.Invalid("'token_type' cannot be 'batch' or 'default_batch' when set to generate periodic tokens")
		case t.NumUses > 0:
			return logical.Invalid("'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens with limited use count")
		}
	}
	return nil
}

// Warnings are what an operator who sets this at mount m should hear.
func (t *Token) Warnings(m logical.MountPoint) []string {
	if t.MaxTTL <= m.MaxLeaseTTL {
		return nil
	}
	return []string{
		"token_max_ttl is greater than the backend mount's maximum TTL value; issued tokens' max TTL value will be truncated",
	}
}

// Auth returns what a login earns. Who it is, and what the auth method wants to
// see again at a renewal, is for the caller to add. The policies are those of t,
// not a copy.
func (t *Token) Auth() (*logical.Auth, error) {
	bound, err := ParseNetworks(t.CIDRs)
	if err != nil {
		return nil, err
	}
	return &logical.Auth{
		Policies:        t.Policies,
		TTL:             t.TTL,
		MaxTTL:          t.MaxTTL,
		ExplicitMaxTTL:  t.ExplicitMaxTTL,
		Period:          t.Period,
		NumUses:         t.NumUses,
		Renewable:       true,
		Type:            t.tokenType(),
		NoDefaultPolicy: t.NoDefaultPolicy,
		BoundCIDRs:      bound,
	}, nil
}

// Renew gives a token that was earned earlier the times that are set now.
func (t *Token) Renew(auth *logical.Auth) {
	auth.TTL, auth.MaxTTL, auth.Period = t.TTL, t.MaxTTL, t.Period
}

func (t *Token) tokenType() logical.TokenType {
	switch t.Type {
	case "service", "default-service":
		return logical.TokenService
	case "batch", "default-batch":
		return logical.TokenBatch
	}
	return logical.TokenDefault
}
