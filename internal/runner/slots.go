package runner

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/cofferhq/coffer/secrets"
)

// slots collects the texts that have references, under names for people.
type slots struct {
	warn      func(string)
	templates map[string]secrets.Template // name → text
	malformed []string                    // "name: why"
}

// add returns the name under which the text's value will be found, or nothing if
// the text is to stay. Lenient: a text that begins like a reference and is none
// stays, too.
func (s *slots) add(name, text string, lenient bool) string {
	t, err := secrets.Parse(text)
	if pe := new(secrets.ParseError); lenient && errors.As(err, &pe) && strings.HasPrefix(text, string(pe.Scheme)) {
		s.warn(fmt.Sprintf("%s looks like a reference to a secret and is left as it is: %v", name, err))
		return ""
	}
	return s.put(name, text, t, err)
}

// addText is add for a whole file.
func (s *slots) addText(name, text string) string {
	t, err := secrets.ParseText(text)
	if pe := new(secrets.ParseError); errors.As(err, &pe) {
		name = fmt.Sprintf("%s, line %d", name, 1+strings.Count(text[:pe.Offset], "\n"))
	}
	return s.put(name, text, t, err)
}

func (s *slots) put(name, text string, t secrets.Template, err error) string {
	if err != nil {
		s.malformed = append(s.malformed, name+": "+err.Error())
		return ""
	}
	if plain, ok := t.Plain(); ok && plain == text {
		return ""
	}
	if s.templates == nil {
		s.templates = map[string]secrets.Template{}
	}
	for s.templates[name].Text() != "" { // a file may have a key twice
		name += "'"
	}
	s.templates[name] = t
	return name
}

// err tells of all that is malformed.
func (s *slots) err() error {
	if len(s.malformed) == 0 {
		return nil
	}
	return errors.New(strings.Join(s.malformed, "\n"))
}

// hasReferences tells templates from mere escapes.
func (s *slots) hasReferences() bool {
	for _, t := range s.templates {
		if len(t.References()) > 0 {
			return true
		}
	}
	return false
}

// withParts returns the templates, and one for each reference that has text around
// it: its value alone is what must not be seen in the output. Their names are in
// parts.
func (s *slots) withParts() (templates map[string]secrets.Template, parts map[string]bool) {
	templates, parts = maps.Clone(s.templates), map[string]bool{}
	for name, t := range s.templates {
		if standsAlone(t) {
			continue
		}
		for _, ref := range t.References() {
			part, err := secrets.Parse(ref.Text())
			if err != nil {
				panic("runner: internal error: a reference that was parsed cannot be parsed")
			}
			name := fmt.Sprintf("%s (%s)", name, ref)
			templates[name], parts[name] = part, true
		}
	}
	return templates, parts
}

// withoutParts takes from a failure what it tells twice.
func withoutParts(err error, parts map[string]bool) error {
	errs := new(secrets.ResolveError)
	if !errors.As(err, &errs) {
		return err
	}
	own := &secrets.ResolveError{}
	for _, f := range errs.Failures {
		if !parts[f.Name] {
			own.Failures = append(own.Failures, f)
		}
	}
	return own
}
