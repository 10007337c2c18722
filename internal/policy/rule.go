package policy

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// rule is what all policies of an ACL together say about one path pattern.
type rule struct {
	can      capability
	granting [numCapabilities][]string // by capability: names of the policies that give it, sorted

	// Parameter names are in lower case. A name maps to the values it may have;
	// none means any. The name "*" stands for all names.
	allowed  map[string][]any
	denied   map[string][]any
	required []string

	minWrapTTL, maxWrapTTL time.Duration // zero: no limit
	eventTypes             []string
}

// merge adds what a policy says about the rule's path. A policy that denies wins
// and takes the restrictions away, as nothing is left to restrict.
func (r *rule) merge(policy string, p *pathRule) {
	if r.can&denied != 0 {
		return
	}
	if p.can&denied != 0 {
		*r = rule{can: denied}
		return
	}
	r.can |= p.can
	for i := range r.granting {
		if p.can&(1<<i) != 0 {
			r.granting[i] = withName(r.granting[i], policy)
		}
	}
	r.allowed = mergeParameters(r.allowed, p.allowed)
	r.denied = mergeParameters(r.denied, p.denied)
	for _, name := range p.required {
		r.required = withName(r.required, name)
	}
	r.minWrapTTL = tighter(r.minWrapTTL, p.minWrapTTL)
	r.maxWrapTTL = tighter(r.maxWrapTTL, p.maxWrapTTL)
	for _, t := range p.eventTypes {
		r.eventTypes = withName(r.eventTypes, t)
	}
}

// withName adds name to a sorted list, once.
func withName(names []string, name string) []string {
	i, found := slices.BinarySearch(names, name)
	if found {
		return names
	}
	return slices.Insert(names, i, name)
}

// mergeParameters unites the values of each name; no values, which means any,
// win. A policy that says nothing about parameters does not lift what another
// says.
func mergeParameters(into, more map[string][]any) map[string][]any {
	if into == nil {
		return maps.Clone(more)
	}
	for name, values := range more {
		old, both := into[name]
		if both && (len(old) == 0 || len(values) == 0) {
			into[name] = nil
			continue
		}
		into[name] = slices.Concat(old, values)
	}
	return into
}

// tighter is how Vault merges limits of wrapping, the minimum too: the smaller
// of two that are set.
func tighter(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// refuses returns why the rule does not allow q, or zero.
func (r *rule) refuses(q *Query) Reason {
	need := needed(q.Op)
	switch {
	case r.can&denied != 0:
		return DenyRule
	case r.can&need == 0:
		return MissingCapability
	case q.Sudo && r.can&canSudo == 0:
		return MissingSudo
	case r.maxWrapTTL > 0 && (q.WrapTTL == 0 || q.WrapTTL > r.maxWrapTTL), q.WrapTTL < r.minWrapTTL:
		return WrapTTLOutOfRange
	case need&(canList|canDelete) != 0 || !r.restrictsParameters():
		return 0
	}
	return r.refusesBody(q.Body)
}

func (r *rule) restrictsParameters() bool {
	return len(r.allowed) > 0 || len(r.denied) > 0 || len(r.required) > 0
}

// isRequired says whether name is a required parameter.
func (r *rule) isRequired(name string) bool {
	return slices.Contains(r.required, strings.ToLower(name))
}
