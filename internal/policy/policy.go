// Package policy is Vault's access control: policies are parsed ([Parse]),
// compiled for the set that a token has ([Compile]) and asked for verdicts
// ([ACL.Check]). It holds no policies and knows no tokens; the matching rules are
// those of Vault's documentation ("Policies", "Policy syntax", "Templated
// policies").
package policy

import "time"

// RootName is the policy that allows everything. It has no text.
const RootName = "root"

// Policy is one policy, parsed. It is immutable and safe for concurrent use.
type Policy struct {
	name  string
	paths []pathRule
}

// pathRule is one path stanza of a policy.
type pathRule struct {
	path     string    // as written, without a leading slash
	template *template // nil: the path is not templated
	line     int       // where it begins, from 1

	can      capability
	allowed  map[string][]any // as in rule
	denied   map[string][]any
	required []string

	minWrapTTL, maxWrapTTL time.Duration
	eventTypes             []string
}

// Root returns the policy that allows everything.
func Root() *Policy { return &Policy{name: RootName} }

// Name returns the name under which the policy was parsed.
func (p *Policy) Name() string { return p.name }

// Templated says whether what the policy allows depends on who asks.
func (p *Policy) Templated() bool {
	for i := range p.paths {
		if p.paths[i].template != nil {
			return true
		}
	}
	return false
}
