package policy

import "errors"

// errRootNotAlone says that there is something beside the root policy, which
// could only seem to restrict it.
var errRootNotAlone = errors.New("policy: other policies are present along with root")

// Compile makes the ACL of a token that has these policies. who fills in
// templates: a rule whose template names what who does not have is left out; nil
// has nothing.
//
// It returns an error if the root policy is not the only one.
func Compile(policies []*Policy, who *Identity) (*ACL, error) {
	return compile(policies, who, func(told, *rule) {})
}

// compile is Compile, and tells note of each stanza and of the rule that it became
// a part of; nil for one that is left out.
func compile(policies []*Policy, who *Identity, note func(t told, r *rule)) (*ACL, error) {
	c := compiler{acl: &ACL{exact: make(map[string]*rule)}, rules: make(map[string]*rule), note: note}
	for _, p := range policies {
		if p.name == RootName {
			if len(policies) > 1 {
				return nil, errRootNotAlone
			}
			return &ACL{root: true}, nil
		}
		for i := range p.paths {
			c.add(p.name, &p.paths[i], who)
		}
	}
	c.acl.wild.sort()
	return c.acl, nil
}

// compiler unites the rules of policies by path.
type compiler struct {
	acl   *ACL
	rules map[string]*rule // key of the pattern → rule
	note  func(t told, r *rule)
}

func (c *compiler) add(policy string, from *pathRule, who *Identity) {
	p, ok := from.resolve(who)
	if !ok {
		c.note(told{policy: policy, from: from}, nil)
		return
	}
	r := c.rules[p.key()]
	if r == nil {
		r = &rule{}
		c.rules[p.key()] = r
		if p.exact() {
			c.acl.exact[p.text] = r
		} else {
			c.acl.wild.add(p, r)
		}
	}
	r.merge(policy, from)
	c.note(told{policy, from, p}, r)
}

// resolve returns the path of the rule for who, if there is one.
func (from *pathRule) resolve(who *Identity) (pattern, bool) {
	if from.template == nil {
		p, err := parsePattern(from.path)
		return p, err == nil // Parse has seen to it
	}
	return from.template.fill(who)
}
