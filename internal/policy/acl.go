package policy

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// ACL is what a set of policies allows, ready to decide requests. It is
// immutable and safe for concurrent use. A nil ACL allows nothing.
type ACL struct {
	root  bool
	exact map[string]*rule // path → rule
	wild  wildcards
}

// Query is one request to be decided.
type Query struct {
	Op   logical.Op // Read, List, Create, Update, Patch or Delete; Write counts as Update
	Path string     // of the API without "v1/": "secret/data/foo"

	// Body is the JSON object of the request's parameters, nil if it has none. It
	// is read only where a rule restricts parameters.
	Body json.RawMessage

	WrapTTL time.Duration // asked for by the caller; zero: no wrapping
	Sudo    bool          // the path needs the sudo capability as well
}

// Reason says why a request was decided as it was.
type Reason uint8

// The reasons. The first two allow, all others refuse.
const (
	ByRoot             Reason = iota + 1 // a root token may do everything
	ByRule                               // a rule grants it
	NoRule                               // no rule matches the path
	DenyRule                             // a rule denies the path
	MissingCapability                    // the rule that matches lacks the capability
	MissingSudo                          // the path needs sudo as well
	WrapTTLOutOfRange                    // below min_wrapping_ttl or above max_wrapping_ttl
	MissingParameter                     // a required parameter is missing
	ForbiddenParameter                   // a parameter is denied, or not among the allowed ones
	UnreadableBody                       // the rule restricts parameters and Body is no JSON object
)

// Verdict is the answer to a Query. Its zero value refuses.
type Verdict struct {
	Allowed bool
	Reason  Reason
	// Policies are the names of the policies that grant the operation, sorted; nil
	// if it is refused. The slice is shared: do not change it.
	Policies []string
}

// rootPolicies is the answer to whom a root token owes its rights.
var rootPolicies = []string{RootName}

// Check decides one request.
//
// The rule for exactly q.Path wins; a List also takes the rule of the path
// without its trailing slash. Else it is the most specific of the rules with
// wildcards, in the order that Vault documents. No other rule counts then.
func (a *ACL) Check(q Query) Verdict {
	if a == nil {
		return Verdict{Reason: NoRule}
	}
	if a.root {
		return Verdict{Allowed: true, Reason: ByRoot, Policies: rootPolicies}
	}
	r := a.find(q.Path, q.Op == logical.List)
	if r == nil {
		return Verdict{Reason: NoRule}
	}
	if reason := r.refuses(&q); reason != 0 {
		return Verdict{Reason: reason}
	}
	return Verdict{Allowed: true, Reason: ByRule, Policies: r.granting[needed(q.Op).index()]}
}

// find returns the one rule that decides about path, or nil.
func (a *ACL) find(path string, list bool) *rule {
	path = strings.TrimLeft(path, "/")
	if r := a.exact[path]; r != nil {
		return r
	}
	if list {
		if r := a.exact[strings.TrimSuffix(path, "/")]; r != nil {
			return r
		}
	}
	return a.wild.find(path)
}

// Capabilities returns what may be done with path as sys/capabilities reports
// it: sorted words, or only "root", or only "deny". The path counts as one that
// is listed, so "secret/" finds the rule of "secret".
func (a *ACL) Capabilities(path string) []string {
	if a != nil && a.root {
		return []string{RootName}
	}
	return a.capabilities(path).names()
}

func (a *ACL) capabilities(path string) capability {
	if a == nil {
		return 0
	}
	if r := a.find(path, true); r != nil {
		return r.can
	}
	return 0
}

// EventTypes returns the types of event, with globs, that may be subscribed to
// at path; nil if none. Root may have all: "*".
func (a *ACL) EventTypes(path string) []string {
	if a == nil {
		return nil
	}
	if a.root {
		return []string{"*"}
	}
	r := a.find(path, false)
	if r == nil || r.can&canSubscribe == 0 {
		return nil
	}
	return r.eventTypes
}
