package policy

import (
	"strings"
	"unicode"

	"github.com/cofferhq/coffer/internal/stanza"
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
	read := stanza.ParseHCL
	if strings.HasPrefix(strings.TrimLeftFunc(text, unicode.IsSpace), "{") {
		read = stanza.ParseJSON
	}
	root, err := read([]byte(text))
	if err != nil {
		return nil, err
	}
	p := &Policy{name: name}
	for i := range root.Entries {
		e := &root.Entries[i]
		switch e.Key {
		case "path":
			err = p.addPaths(&e.Value)
		case "name":
			_, err = textOf(&e.Value)
		default:
			err = errorAt(e.Line, "invalid key %q: expected \"path\" or \"name\"", e.Key)
		}
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// addPaths takes what stands at a "path" key: an object from paths to stanzas,
// or a list of such objects, as JSON may have it.
func (p *Policy) addPaths(n *stanza.Node) error {
	for _, paths := range elements(n) {
		if paths.Shape != stanza.Object {
			return errorAt(paths.Line, "\"path\": expected a path and a block")
		}
		for i := range paths.Entries {
			e := &paths.Entries[i]
			for _, block := range elements(&e.Value) {
				if err := p.addPath(e.Key, &block); err != nil {
					return atPath(e, err)
				}
			}
		}
	}
	return nil
}

// atPath adds the path of a stanza to a mistake in it.
func atPath(e *stanza.Entry, err error) error {
	at, ok := err.(*lineError)
	if !ok {
		at = &lineError{e.Line, err.Error()}
	}
	return errorAt(at.line, "path %q: %s", e.Key, at.text)
}

// addPath takes one stanza.
func (p *Policy) addPath(path string, n *stanza.Node) error {
	if n.Shape != stanza.Object {
		return errorAt(n.Line, "expected a block")
	}
	r := pathRule{path: path, line: n.Line}
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
