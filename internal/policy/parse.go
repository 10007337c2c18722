package policy

import (
	"strings"
	"unicode"
)

// Parse reads the text of a policy, HCL or JSON, in the grammar that Vault
// documents. The name is the caller's business and is not checked; a "name" in
// the text has no meaning.
//
// Errors name the line where they can. Beside mistakes of grammar it is an error
// to ask for what coffer does not enforce (control_group, mfa_methods): without
// it the path would be more open than its author thinks.
func Parse(name, text string) (*Policy, error) {
	if len(text) > MaxTextBytes {
		return nil, errorAt(0, "the policy is longer than %d bytes", MaxTextBytes)
	}
	read := parseHCL
	if strings.HasPrefix(strings.TrimLeftFunc(text, unicode.IsSpace), "{") {
		read = parseJSON
	}
	root, err := read([]byte(text))
	if err != nil {
		return nil, err
	}
	p := &Policy{name: name}
	for i := range root.entries {
		e := &root.entries[i]
		switch e.key {
		case "path":
			err = p.addPaths(&e.value)
		case "name":
			_, err = textOf(&e.value)
		default:
			err = errorAt(e.line, "invalid key %q: expected \"path\" or \"name\"", e.key)
		}
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// addPaths takes what stands at a "path" key: an object from paths to stanzas,
// or a list of such objects, as JSON may have it.
func (p *Policy) addPaths(n *node) error {
	for _, paths := range n.elements() {
		if paths.shape != object {
			return errorAt(paths.line, "\"path\": expected a path and a block")
		}
		for i := range paths.entries {
			e := &paths.entries[i]
			for _, stanza := range e.value.elements() {
				if err := p.addPath(e.key, &stanza); err != nil {
					return atPath(e, err)
				}
			}
		}
	}
	return nil
}

// atPath adds the path of a stanza to a mistake in it.
func atPath(e *entry, err error) error {
	at, ok := err.(*lineError)
	if !ok {
		at = &lineError{e.line, err.Error()}
	}
	return errorAt(at.line, "path %q: %s", e.key, at.text)
}

// addPath takes one stanza.
func (p *Policy) addPath(path string, n *node) error {
	if n.shape != object {
		return errorAt(n.line, "expected a block")
	}
	r := pathRule{path: path, line: n.line}
	var err error
	if r.template, err = parseTemplate(path); err != nil {
		return err
	}
	if _, err := parsePattern(path); err != nil && r.template == nil {
		return err
	}
	if err := r.readStanza(n); err != nil {
		return err
	}
	p.paths = append(p.paths, r)
	return nil
}
