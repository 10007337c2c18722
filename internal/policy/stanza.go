package policy

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// stanzaKeys is what may stand in a path stanza, and who reads it.
var stanzaKeys = map[string]func(r *pathRule, n *node) error{
	"capabilities":          (*pathRule).readCapabilities,
	"policy":                (*pathRule).readLegacyPolicy,
	"allowed_parameters":    func(r *pathRule, n *node) (err error) { r.allowed, err = parametersOf(n); return err },
	"denied_parameters":     func(r *pathRule, n *node) (err error) { r.denied, err = parametersOf(n); return err },
	"required_parameters":   (*pathRule).readRequired,
	"min_wrapping_ttl":      func(r *pathRule, n *node) (err error) { r.minWrapTTL, err = durationOf(n); return err },
	"max_wrapping_ttl":      func(r *pathRule, n *node) (err error) { r.maxWrapTTL, err = durationOf(n); return err },
	"subscribe_event_types": func(r *pathRule, n *node) (err error) { r.eventTypes, err = textsOf(n); return err },
	"comment":               func(_ *pathRule, n *node) error { _, err := textOf(n); return err },
	"control_group":         refuseUnlessEmpty,
	"mfa_methods":           refuseUnlessEmpty,
}

// readStanza reads what stands between the braces of a path.
func (r *pathRule) readStanza(n *node) error {
	seen := make(map[string]bool, len(n.entries))
	for i := range n.entries {
		e := &n.entries[i]
		read, ok := stanzaKeys[e.key]
		if !ok {
			return errorAt(e.line, "invalid key %q", e.key)
		}
		if seen[e.key] {
			return errorAt(e.line, "key %q was already set", e.key)
		}
		seen[e.key] = true
		if err := read(r, &e.value); err != nil {
			if at, ok := err.(*lineError); ok {
				return errorAt(at.line, "%q: %s", e.key, at.text)
			}
			return errorAt(e.line, "%q: %s", e.key, err)
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

func (r *pathRule) readCapabilities(n *node) error {
	words, err := textsOf(n)
	if err != nil {
		return err
	}
	for _, word := range words {
		c, ok := capabilityNames[word]
		if !ok {
			return errorAt(n.line, "invalid capability %q", word)
		}
		r.can |= c
	}
	return nil
}

func (r *pathRule) readLegacyPolicy(n *node) error {
	word, err := textOf(n)
	if err != nil {
		return err
	}
	c, ok := legacyPolicies[word]
	if !ok && word != "" {
		return errorAt(n.line, "invalid policy %q", word)
	}
	r.can |= c
	return nil
}

func (r *pathRule) readRequired(n *node) error {
	names, err := textsOf(n)
	for _, name := range names {
		r.required = withName(r.required, strings.ToLower(name))
	}
	return err
}

// refuseUnlessEmpty is for restrictions that are not enforced here.
func refuseUnlessEmpty(_ *pathRule, n *node) error {
	if n.shape == scalar && n.value != nil || len(n.items) > 0 || len(n.entries) > 0 {
		return errorAt(n.line, "is not supported; without it the path would be open")
	}
	return nil
}

// textOf reads one text.
func textOf(n *node) (string, error) {
	switch v := n.value.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	return "", errorAt(n.line, "expected a text")
}

// textsOf reads a list of texts, or one.
func textsOf(n *node) ([]string, error) {
	var texts []string
	for _, item := range n.elements() {
		s, err := textOf(&item)
		if err != nil {
			return nil, err
		}
		texts = append(texts, s)
	}
	return texts, nil
}

func durationOf(n *node) (time.Duration, error) {
	text, err := textOf(n)
	if err != nil {
		return 0, err
	}
	return logical.ParseDuration(text)
}

// parametersOf reads an object from names of parameters to the values that
// each may have.
func parametersOf(n *node) (map[string][]any, error) {
	if n.shape != object {
		return nil, errorAt(n.line, "expected a block of parameters and their values")
	}
	parameters := make(map[string][]any, len(n.entries))
	for i := range n.entries {
		e := &n.entries[i]
		name := strings.ToLower(e.key)
		if _, twice := parameters[name]; twice {
			return nil, errorAt(e.line, "parameter %q was already set", e.key)
		}
		values := []any{}
		for _, item := range e.value.elements() {
			if item.shape == object {
				return nil, errorAt(item.line, "parameter %q: expected texts, numbers, booleans or lists of them", e.key)
			}
			values = append(values, item.plain())
		}
		parameters[name] = values
	}
	return parameters, nil
}
