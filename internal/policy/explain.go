package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
)

// Explainer decides as the [ACL] of the same policies does, because it asks that
// ACL, and tells why. It remembers what the ACL need not know: of which stanzas of
// which policies a rule is made. It is immutable and safe for concurrent use.
type Explainer struct {
	acl      *ACL
	policies []*Policy
	who      *Identity
	rules    []*origin // the most specific first
	omitted  []Source  // stanzas whose templates name what who does not have
}

// Source is a stanza of a policy.
type Source struct {
	Policy string `json:"policy"`
	Line   int    `json:"line"` // from 1
	Path   string `json:"path"` // as written
}

// told is a stanza, and the pattern that it has for somebody.
type told struct {
	policy string
	from   *pathRule
	pattern
}

func (t *told) source() Source { return Source{t.policy, t.from.line, t.from.path} }

// origin is a rule of the ACL and where it comes from.
type origin struct {
	pattern
	rule    *rule
	stanzas []told
}

// NewExplainer takes what [Compile] takes, and fails where that fails.
func NewExplainer(policies []*Policy, who *Identity) (*Explainer, error) {
	e := &Explainer{policies: policies, who: who}
	known := map[*rule]*origin{}
	var err error
	e.acl, err = compile(policies, who, func(t told, r *rule) {
		switch o := known[r]; {
		case r == nil:
			e.omitted = append(e.omitted, t.source())
		case o == nil:
			o = &origin{t.pattern, r, []told{t}}
			known[r] = o
			e.rules = append(e.rules, o)
		default:
			o.stanzas = append(o.stanzas, t)
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(e.rules, func(a, b *origin) int {
		order, _ := a.before(b)
		return order
	})
	return e, nil
}

// Explanation is a verdict and why it is that.
type Explanation struct {
	Allowed   bool   `json:"allowed"`
	Operation string `json:"operation"`
	Path      string `json:"path"`
	Reason    string `json:"reason"` // one sentence, without a full stop

	// Decided is the one rule that counts; nil if none matches, and for root.
	Decided *Match `json:"decided_by,omitempty"`
	// Lost are the rules that match as well and do not count.
	Lost []Match `json:"lost,omitempty"`
	// Hints tell what was nearly right about a request that is refused, and of a
	// write that is allowed where it is refused.
	Hints []string `json:"hints,omitempty"`
	// Grant is the least stanza that would allow the request, if one can.
	Grant string `json:"grant,omitempty"`

	verdict Verdict
}

// Verdict is what [ACL.Check] says.
func (x *Explanation) Verdict() Verdict { return x.verdict }

// Match is a rule that matches the path of a request.
type Match struct {
	Pattern      string   `json:"pattern"`
	Capabilities []string `json:"capabilities"` // sorted; only "deny" if nothing may be done
	Stanzas      []Source `json:"stanzas"`      // what the rule is made of
	Why          string   `json:"why,omitempty"`
}

// Explain decides one request and tells why. kv is the path of the KV v2 mount
// that q.Path lies in, with its slash at the end; empty if it is in none, or if
// nobody knows.
func (e *Explainer) Explain(q Query, kv string) *Explanation {
	q.Path = strings.TrimLeft(q.Path, "/")
	v := e.acl.Check(q)
	x := &Explanation{Allowed: v.Allowed, Operation: q.Op.String(), Path: q.Path, verdict: v}
	winner := e.deciding(&q)
	x.Reason = e.reason(&q, v, winner)
	if winner != nil {
		m := winner.match()
		x.Decided = &m
		x.Lost = e.losers(&q, winner)
	}
	if winner != nil && v.Allowed && q.Op == logical.Write && winner.rule.can&canCreate == 0 {
		x.Hints = []string{`"create" is not granted: where the path tells new from old, as in KV, what is not there yet may not be written`}
	}
	if !v.Allowed {
		x.Hints = e.hints(&q, v, winner, kv)
		x.Grant = e.grant(&q, v, winner, kv)
	}
	return x
}

// deciding returns the rule that [ACL.Check] goes by, or nil.
func (e *Explainer) deciding(q *Query) *origin {
	if e.acl.root {
		return nil
	}
	r := e.acl.find(q.Path, q.Op == logical.List)
	if i := slices.IndexFunc(e.rules, func(o *origin) bool { return o.rule == r }); r != nil && i >= 0 {
		return e.rules[i]
	}
	return nil
}

func (e *Explainer) losers(q *Query, winner *origin) []Match {
	var lost []Match
	for _, o := range e.rules {
		if o == winner || !o.covers(q) {
			continue
		}
		m := o.match()
		_, m.Why = winner.before(o)
		lost = append(lost, m)
	}
	return lost
}

// covers says whether the rule would be one for q if it were alone.
func (o *origin) covers(q *Query) bool {
	if o.exact() {
		return o.text == q.Path || q.Op == logical.List && o.text == strings.TrimSuffix(q.Path, "/")
	}
	return strings.HasPrefix(q.Path, o.head()) && o.matches(q.Path)
}

func (o *origin) match() Match {
	m := Match{Pattern: o.key(), Capabilities: o.rule.can.names()}
	for _, t := range o.stanzas {
		m.Stanzas = append(m.Stanzas, t.source())
	}
	return m
}

// before compares two rules for a path that both match: negative if o counts. The
// text says what the other one, p, has against it.
func (o *origin) before(p *origin) (order int, why string) {
	switch {
	case o.exact() && p.exact():
		// Only a list has two: with the slash at its end, and without.
		return cmp.Compare(len(p.text), len(o.text)), "the path with its slash comes first"
	case o.exact() != p.exact():
		return prefer(o.exact()), "a path without wildcards comes first"
	case len(o.head()) != len(p.head()):
		return cmp.Compare(len(p.head()), len(o.head())), "its first wildcard stands further to the left"
	case o.glob != p.glob:
		return prefer(p.glob), `it ends in "*"`
	case o.plus != p.plus:
		return cmp.Compare(o.plus, p.plus), `it has more "+" segments`
	case len(o.text) != len(p.text):
		return cmp.Compare(len(p.text), len(o.text)), "it is shorter"
	}
	return cmp.Compare(p.text, o.text), "of two alike, the one counts that sorts last"
}

// prefer is the order of two of which just one has something: first says whether
// that is the first.
func prefer(first bool) int {
	if first {
		return -1
	}
	return 1
}

// Sources returns the stanzas of the policy, in the order of its text.
func (p *Policy) Sources() []Source {
	all := make([]Source, 0, len(p.paths))
	for i := range p.paths {
		all = append(all, Source{p.name, p.paths[i].line, p.paths[i].path})
	}
	return all
}
