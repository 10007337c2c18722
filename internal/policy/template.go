package policy

import (
	"errors"
	"strings"
)

// Identity is who asks, for templates such as {{identity.entity.name}}.
type Identity struct {
	ID       string // of the entity
	Name     string
	Metadata map[string]string
	Aliases  []Alias
	Groups   []Group // the entity's, direct and inherited
}

// Alias is what the entity is called at one auth method.
type Alias struct {
	ID             string
	Name           string
	MountAccessor  string
	Metadata       map[string]string
	CustomMetadata map[string]string
}

// Group is a group that the entity is in.
type Group struct {
	ID       string
	Name     string
	Metadata map[string]string
}

// template is a path with places to fill in.
type template struct {
	texts []string // literal texts around the names, one more than those
	names []string // "identity.entity.id"
	shape pattern  // of the path with a plain word in every place
}

var errBraces = errors.New("unbalanced or empty \"{{ }}\"")

// parseTemplate returns the template of path, or nil if it is plain text. A name
// that nobody knows is no error, as in Vault: nobody has its value.
func parseTemplate(path string) (*template, error) {
	t := &template{}
	for rest := path; ; {
		text, after, open := strings.Cut(rest, "{{")
		if strings.Contains(text, "}}") {
			return nil, errBraces
		}
		t.texts = append(t.texts, text)
		if !open {
			break
		}
		name, tail, closed := strings.Cut(after, "}}")
		name = strings.TrimSpace(name)
		if !closed || name == "" || strings.Contains(name, "{{") {
			return nil, errBraces
		}
		t.names = append(t.names, name)
		rest = tail
	}
	if len(t.names) == 0 {
		return nil, nil
	}
	var err error
	t.shape, err = parsePattern(strings.Join(t.texts, "x"))
	return t, err
}

// fill returns the path for who. There is none if who lacks a value, if a value
// is empty, and if a value would bring wildcards that the author of the policy
// did not write: who may choose his name must not choose his rights.
func (t *template) fill(who *Identity) (pattern, bool) {
	if who == nil {
		return pattern{}, false
	}
	var b strings.Builder
	for i, name := range t.names {
		value, ok := who.value(name)
		if !ok || value == "" || strings.Contains(value, "*") {
			return pattern{}, false
		}
		b.WriteString(t.texts[i])
		b.WriteString(value)
	}
	b.WriteString(t.texts[len(t.names)])
	p, err := parsePattern(b.String())
	if err != nil || p.plus != t.shape.plus {
		return pattern{}, false
	}
	return p, true
}

// value returns what a template's name stands for.
func (who *Identity) value(name string) (string, bool) {
	if rest, ok := strings.CutPrefix(name, "identity.entity."); ok {
		return who.entityValue(rest)
	}
	if rest, ok := strings.CutPrefix(name, "identity.groups."); ok {
		return who.groupValue(rest)
	}
	return "", false
}

func (who *Identity) entityValue(name string) (string, bool) {
	kind, rest, _ := strings.Cut(name, ".")
	switch {
	case name == "id":
		return who.ID, true
	case name == "name":
		return who.Name, true
	case kind == "metadata":
		return lookUp(who.Metadata, rest)
	case kind == "aliases":
		accessor, field, _ := strings.Cut(rest, ".")
		for i := range who.Aliases {
			if who.Aliases[i].MountAccessor == accessor {
				return who.Aliases[i].value(field)
			}
		}
	}
	return "", false
}

func (a *Alias) value(name string) (string, bool) {
	kind, key, _ := strings.Cut(name, ".")
	switch {
	case name == "id":
		return a.ID, true
	case name == "name":
		return a.Name, true
	case kind == "metadata":
		return lookUp(a.Metadata, key)
	case kind == "custom_metadata":
		return lookUp(a.CustomMetadata, key)
	}
	return "", false
}

// groupValue resolves ids.<id>.name, names.<name>.id, and either with
// metadata.<key>. Names of groups may have dots, so every group is tried.
func (who *Identity) groupValue(name string) (string, bool) {
	by, rest, _ := strings.Cut(name, ".")
	for i := range who.Groups {
		g := &who.Groups[i]
		var own, other, otherName string
		switch by {
		case "ids":
			own, other, otherName = g.ID, g.Name, "name"
		case "names":
			own, other, otherName = g.Name, g.ID, "id"
		default:
			return "", false
		}
		field, ok := strings.CutPrefix(rest, own+".")
		if !ok {
			continue
		}
		if field == otherName {
			return other, true
		}
		if key, ok := strings.CutPrefix(field, "metadata."); ok {
			return lookUp(g.Metadata, key)
		}
	}
	return "", false
}

func lookUp(m map[string]string, key string) (string, bool) {
	v, ok := m[key]
	return v, ok
}
