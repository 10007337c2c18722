package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
)

// kvInfixes are what stands behind the mount in the paths of KV v2.
var kvInfixes = []string{"data", "metadata", "delete", "undelete", "destroy", "subkeys"}

// variant is a path that someone may have meant, or that a policy may mean.
type variant struct {
	path string
	text string // what to say if it is allowed; %[1]q is the path, %[2]s the rule's stanzas
}

// hints tell what was nearly right about a request that is refused.
func (e *Explainer) hints(q *Query, v Verdict, o *origin, kv string) []string {
	var hints []string
	if right := kvPath(q, kv); right != "" {
		hints = append(hints, fmt.Sprintf("%q is KV v2: requests and policies must name %q", kv, right))
	}
	if v.Reason == MissingCapability {
		hints = append(hints, o.otherWrite(q)...)
	}
	if v.Reason != NoRule && v.Reason != MissingCapability {
		return hints
	}
	said := map[*origin]bool{nil: true, o: true}
	for _, alt := range variants(q, kv) {
		other := *q
		other.Path = alt.path
		if d := e.deciding(&other); !said[d] && e.acl.Check(other).Allowed {
			said[d] = true
			hints = append(hints, fmt.Sprintf(alt.text, alt.path, d.places()))
		}
	}
	hints = append(hints, e.otherSpellings(q)...)
	return append(hints, e.omissions(q)...)
}

// kvPath is the path that a request to KV v2 must name, if q names another.
func kvPath(q *Query, kv string) string {
	rest, ok := strings.CutPrefix(q.Path, kv)
	if kv == "" || !ok {
		return ""
	}
	first, _, _ := strings.Cut(rest, "/")
	if first == "config" || slices.Contains(kvInfixes, first) {
		return ""
	}
	return kv + infixFor(q.Op) + "/" + rest
}

// infixFor is where KV v2 has what op is for.
func infixFor(op logical.Op) string {
	if op == logical.List {
		return "metadata"
	}
	return "data"
}

// otherWrite tells that creating is not updating.
func (o *origin) otherWrite(q *Query) []string {
	switch need := needed(q.Op); {
	case need == canUpdate && o.rule.can&canCreate != 0:
		return []string{`"create" is granted: only what is not there yet may be written`}
	case need == canCreate && o.rule.can&canUpdate != 0:
		return []string{`"update" is granted: only what is there already may be written`}
	}
	return nil
}

// variants are the paths that are mistaken for that of q most often.
func variants(q *Query, kv string) []variant {
	path := q.Path
	all := []variant{
		{path + "/" + unlikely, "%[2]s matches what is below the path, not the path itself"},
	}
	if trimmed, ok := strings.CutSuffix(path, "/"); ok {
		all = append(all, variant{trimmed, "without the slash at its end the path is allowed, by %[2]s"})
	} else {
		all = append(all, variant{path + "/", "with a slash at its end, %[1]q, the path is allowed, by %[2]s"})
	}
	if rest, ok := strings.CutPrefix(path, "v1/"); ok {
		all = append(all, variant{rest, "policies name paths without \"v1/\": %[1]q is allowed, by %[2]s"})
	} else {
		all = append(all, variant{"v1/" + path, "%[2]s names a path with \"v1/\", which the paths of policies do not have"})
	}
	segments := strings.Split(path, "/")
	for i := 1; i < len(segments); i++ {
		mount := strings.Join(segments[:i], "/") + "/"
		if kv != "" && mount != kv {
			continue
		}
		all = append(all, kvVariants(q, mount, segments[i:])...)
	}
	return all
}

// kvVariants are the variants if there were a KV v2 at mount.
func kvVariants(q *Query, mount string, rest []string) []variant {
	below := strings.Join(rest, "/")
	infix := infixFor(q.Op)
	if !slices.Contains(kvInfixes, rest[0]) {
		return []variant{{
			mount + infix + "/" + below,
			"%[1]q is allowed, by %[2]s: the API has the secrets of KV v2 there",
		}}
	}
	after := strings.Join(rest[1:], "/")
	all := []variant{{
		mount + after,
		"%[2]s leaves out \"" + rest[0] + "/\": if " + strings.ReplaceAll(fmt.Sprintf("%q", mount), "%", "%%") +
			" is KV v2, the policy must name the path as the request does",
	}}
	if rest[0] != infix && (rest[0] == "data" || rest[0] == "metadata") {
		all = append(all, variant{
			mount + infix + "/" + after,
			"%[1]q is allowed, by %[2]s: KV v2 reads secrets below \"data/\" and lists them below \"metadata/\"",
		})
	}
	return all
}

// otherSpellings finds rules that write the path otherwise.
func (e *Explainer) otherSpellings(q *Query) []string {
	var hints []string
	for _, o := range e.rules {
		if !o.rule.can.grants() || !o.exact() || o.text == q.Path {
			continue
		}
		outer, inside := strings.CutSuffix(o.text, "/"+q.Path)
		switch {
		case strings.EqualFold(o.text, q.Path):
			hints = append(hints, fmt.Sprintf("%s differs in upper and lower case, which paths tell apart", o.places()))
		case inside && q.Path != "":
			hints = append(hints, fmt.Sprintf("%s begins with %q: if that is a namespace, its own policies name paths without it", o.places(), outer+"/"))
		}
	}
	return hints
}

// omissions tells of templates without a value that could have matched.
func (e *Explainer) omissions(q *Query) []string {
	var hints []string
	for _, s := range e.omitted {
		head, _, _ := strings.Cut(s.Path, "{{")
		if strings.HasPrefix(q.Path, strings.TrimPrefix(head, "/")) {
			hints = append(hints, fmt.Sprintf("%s counts for nothing: its template names what the caller does not have, or may not stand there", s))
		}
	}
	return hints
}

// String is the stanza in a sentence.
func (s Source) String() string {
	return fmt.Sprintf("policy %q line %d (%q)", s.Policy, s.Line, s.Path)
}

// places names the stanzas of a rule, the first if there are many.
func (o *origin) places() string {
	text := o.stanzas[0].source().String()
	if more := len(o.stanzas) - 1; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// grant returns a stanza that makes the request allowed beside the policies that
// there are, or nothing where no stanza can: behind a denial, and where the
// parameters or the wrapping are wrong.
func (e *Explainer) grant(q *Query, v Verdict, o *origin, kv string) string {
	if v.Reason != NoRule && v.Reason != MissingCapability && v.Reason != MissingSudo {
		return ""
	}
	asked := *q
	if right := kvPath(q, kv); right != "" {
		asked.Path = right
		o = e.deciding(&asked)
		if e.acl.Check(asked).Allowed {
			return "" // it is the request that must change
		}
	}
	path, can := asked.Path, needed(q.Op)
	if q.Sudo {
		can |= canSudo
	}
	switch {
	case o == nil:
	case o.exact():
		path = o.text
	case o.rule.restrictsParameters() || o.rule.minWrapTTL > 0 || o.rule.maxWrapTTL > 0:
		path = o.key() // a rule of its own would lift the restrictions
	default:
		can |= o.rule.can // a rule of its own takes the place of this one
	}
	if p, err := parsePattern(path); err != nil || !p.exact() && (o == nil || path != o.key()) {
		return ""
	}
	stanza := fmt.Sprintf("path %q {\n  capabilities = [%s]\n}\n", path, quoted(can.names()))
	if !e.suffices(stanza, asked) {
		return ""
	}
	return stanza
}

// suffices says whether q is allowed if a policy with this text is added.
func (e *Explainer) suffices(text string, q Query) bool {
	p, err := Parse("", text)
	if err != nil {
		return false
	}
	acl, err := Compile(slices.Concat(e.policies, []*Policy{p}), e.who)
	return err == nil && acl.Check(q).Allowed
}
