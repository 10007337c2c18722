package policy

import (
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/stanza"
)

// stanzaKeys is what may stand in a path stanza, and who reads it.
var stanzaKeys = map[string]func(r *pathRule, n *stanza.Node) error{
	"capabilities":          (*pathRule).readCapabilities,
	"policy":                (*pathRule).readLegacyPolicy,
	"allowed_parameters":    func(r *pathRule, n *stanza.Node) (err error) { r.allowed, err = parametersOf(n); return err },
	"denied_parameters":     func(r *pathRule, n *stanza.Node) (err error) { r.denied, err = parametersOf(n); return err },
	"required_parameters":   (*pathRule).readRequired,
	"min_wrapping_ttl":      func(r *pathRule, n *stanza.Node) (err error) { r.minWrapTTL, err = durationOf(n); return err },
	"max_wrapping_ttl":      func(r *pathRule, n *stanza.Node) (err error) { r.maxWrapTTL, err = durationOf(n); return err },
	"subscribe_event_types": func(r *pathRule, n *stanza.Node) (err error) { r.eventTypes, err = textsOf(n); return err },
	"comment":               func(_ *pathRule, n *stanza.Node) error { _, err := textOf(n); return err },
	"control_group":         refuseUnlessEmpty,
	"mfa_methods":           refuseUnlessEmpty,
}

// readStanza reads what stands between the braces of a path.
func (r *pathRule) readStanza(n *stanza.Node) error {
	seen := make(map[string]bool, len(n.Entries))
	for i := range n.Entries {
		e := &n.Entries[i]
		read, ok := stanzaKeys[e.Key]
		if !ok {
			return errorAt(e.Line, "invalid key %q", e.Key)
		}
		if seen[e.Key] {
			return errorAt(e.Line, "key %q was already set", e.Key)
		}
		seen[e.Key] = true
		if err := read(r, &e.Value); err != nil {
			if at, ok := err.(*lineError); ok {
				return errorAt(at.line, "%q: %s", e.Key, at.text)
			}
			return errorAt(e.Line, "%q: %s", e.Key, err)
		}
	}
	if r.minWrapTTL > 0 && r.maxWrapTTL > 0 && r.maxWrapTTL < r.minWrapTTL {
		return errorAt(r.line, "max_wrapping_ttl cannot be less than min_wrapping_ttl")
	}
	if r.can&denied != 0 {
		*r = pathRule{path: r.path, template: r.template, line: r.line, can: denied}
	}
	return nil
}

func (r *pathRule) readCapabilities(n *stanza.Node) error {
	words, err := textsOf(n)
	if err != nil {
		return err
	}
	for _, word := range words {
		c, ok := capabilityNames[word]
		if !ok {
			return errorAt(n.Line, "invalid capability %q", word)
		}
		r.can |= c
	}
	return nil
}

func (r *pathRule) readLegacyPolicy(n *stanza.Node) error {
	word, err := textOf(n)
	if err != nil {
		return err
	}
	c, ok := legacyPolicies[word]
	if !ok && word != "" {
		return errorAt(n.Line, "invalid policy %q", word)
	}
	r.can |= c
	return nil
}

func (r *pathRule) readRequired(n *stanza.Node) error {
	names, err := textsOf(n)
	for _, name := range names {
		r.required = withName(r.required, strings.ToLower(name))
	}
	return err
}

// refuseUnlessEmpty is for restrictions that are not enforced here.
func refuseUnlessEmpty(_ *pathRule, n *stanza.Node) error {
	if n.Shape == stanza.Scalar || len(n.Items) > 0 || len(n.Entries) > 0 {
		return errorAt(n.Line, "is not supported; without it the path would be open")
	}
	return nil
}

// textOf reads one text.
func textOf(n *stanza.Node) (string, error) {
	text, ok := n.Text()
	if !ok {
		return "", errorAt(n.Line, "expected a text")
	}
	return text, nil
}

// textsOf reads a list of texts, or one.
func textsOf(n *stanza.Node) ([]string, error) {
	var texts []string
	for _, item := range elements(n) {
		s, err := textOf(&item)
		if err != nil {
			return nil, err
		}
		texts = append(texts, s)
	}
	return texts, nil
}

func durationOf(n *stanza.Node) (time.Duration, error) {
	text, err := textOf(n)
	if err != nil {
		return 0, err
	}
	return logical.ParseDuration(text)
}

// parametersOf reads an object from names of parameters to the values that
// each may have.
func parametersOf(n *stanza.Node) (map[string][]any, error) {
	if n.Shape != stanza.Object {
		return nil, errorAt(n.Line, "expected a block of parameters and their values")
	}
	parameters := make(map[string][]any, len(n.Entries))
	for i := range n.Entries {
		e := &n.Entries[i]
		name := strings.ToLower(e.Key)
		if _, twice := parameters[name]; twice {
			return nil, errorAt(e.Line, "parameter %q was already set", e.Key)
		}
		values := []any{}
		for _, item := range elements(&e.Value) {
			if item.Shape == stanza.Object {
				return nil, errorAt(item.Line, "parameter %q: expected texts, numbers, booleans or lists of them", e.Key)
			}
			values = append(values, plain(&item))
		}
		parameters[name] = values
	}
	return parameters, nil
}
