package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reason is why v is what it is, in one sentence.
func (e *Explainer) reason(q *Query, v Verdict, o *origin) string {
	need := needed(q.Op).word()
	switch v.Reason {
	case ByRoot:
		return "a root token may do everything"
	case ByRule:
		return fmt.Sprintf("%s %q on %q", policiesThat(v.Policies, "grants", "grant"), need, o.key())
	case DenyRule:
		return o.whoDenies()
	case MissingCapability:
		return fmt.Sprintf("the rule %q lacks %q", o.key(), need)
	case MissingSudo:
		return fmt.Sprintf("the path needs \"sudo\" beside %q, which the rule %q lacks", need, o.key())
	case WrapTTLOutOfRange:
		return o.wrapping(q.WrapTTL)
	case MissingParameter, ForbiddenParameter:
		return o.parameters(q, v.Reason)
	case UnreadableBody:
		return fmt.Sprintf("the rule %q restricts parameters, and the body is no JSON object", o.key())
	}
	if len(e.policies) == 0 {
		return "there are no policies"
	}
	return "no rule matches the path"
}

func policiesThat(names []string, one, many string) string {
	if len(names) == 1 {
		return fmt.Sprintf("policy %q %s", names[0], one)
	}
	return "policies " + quoted(names) + " " + many
}

// quoted is words in quotes, with commas between.
func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strconv.Quote(w)
	}
	return strings.Join(out, ", ")
}

// whoDenies names the policies that deny, and those that grant in vain.
func (o *origin) whoDenies() string {
	var deny, grant []string
	for _, t := range o.stanzas {
		switch {
		case t.from.can&denied != 0:
			deny = withName(deny, t.policy)
		case t.from.can.grants():
			grant = withName(grant, t.policy)
		}
	}
	text := fmt.Sprintf("%s %q", policiesThat(deny, "denies", "deny"), o.key())
	if len(grant) > 0 {
		text += ", and \"deny\" wins over what " + policiesThat(grant, "grants", "grant")
	}
	return text
}

func (o *origin) wrapping(asked time.Duration) string {
	var limits []string
	if o.rule.minWrapTTL > 0 {
		limits = append(limits, "at least "+o.rule.minWrapTTL.String())
	}
	if o.rule.maxWrapTTL > 0 {
		limits = append(limits, "at most "+o.rule.maxWrapTTL.String())
	}
	have := "the answer would not be wrapped"
	if asked != 0 {
		have = "the request asks for " + asked.String()
	}
	return fmt.Sprintf("the rule %q wants the answer wrapped for %s, and %s", o.key(), strings.Join(limits, " and "), have)
}

// parameters names the parameters that are the reason. Their values may be
// secrets and are left out.
func (o *origin) parameters(q *Query, why Reason) string {
	var given, forbidden, missing []string
	// Check has read the same body without an error.
	_ = eachParameter(q.Body, func(name string, value any) {
		given = withName(given, name)
		if o.rule.forbids(name, value) {
			forbidden = withName(forbidden, name)
		}
	})
	for _, name := range o.rule.required {
		if !slices.Contains(given, name) {
			missing = append(missing, name)
		}
	}
	if why == MissingParameter {
		return fmt.Sprintf("the rule %q requires parameters that are missing: %s", o.key(), quoted(missing))
	}
	return fmt.Sprintf("the rule %q does not allow these parameters, or their values: %s", o.key(), quoted(forbidden))
}

// word is the name of a set of one capability.
func (c capability) word() string { return strings.Join(c.names(), ", ") }
