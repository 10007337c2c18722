package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cofferhq/coffer/client"
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

// values are what slots are filled with. They return nothing if the slot is to be
// absent.
type values struct {
	value func(slot string) (string, bool)
}

func valuesOf(s secrets.Snapshot) values {
	return values{value: func(slot string) (string, bool) {
		v, ok := s.Lookup(slot)
		return v.Reveal(), ok
	}}
}

// resolve logs in, if there is a reason to, and fetches the values.
func (j *job) resolve(ctx context.Context, env *environment, s *slots) (values, error) {
	if !s.hasReferences() {
		return once(ctx, nil, s.templates) // escapes alone: it asks nobody
	}
	c, err := j.Connect(env.getenv)
	if err != nil {
		return values{}, local(err)
	}
	if j.login, err = j.logIn(ctx, c, env); err != nil {
		return values{}, err
	}
	if j.OnChange.follows() {
		return j.follow(ctx, s.templates)
	}
	v, err := once(ctx, c, s.templates)
	if err == nil {
		j.login.Keep()
	}
	return v, err
}

// once fetches values that are not followed.
func once(ctx context.Context, c *client.Client, templates map[string]secrets.Template) (values, error) {
	resolved, err := secrets.NewResolver(c).Resolve(ctx, templates)
	if err != nil {
		return values{}, err
	}
	return values{value: resolved.Value}, nil
}
