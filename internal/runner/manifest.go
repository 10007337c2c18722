package runner

import (
	"errors"
	"fmt"

	"github.com/cofferhq/coffer/internal/manifest"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/secrets"
)

// entry is one setting of the manifest, and where its value is found.
type entry struct {
	manifest.Entry
	slot  string       // empty: the value is given, or there is none
	plain secret.Bytes // the value, if there is no slot
	has   bool         // a plain value
}

// useManifest takes what the manifest says into the environment, the files and
// the slots. What the environment says of a variable wins over the manifest.
func (j *job) useManifest(s *slots) error {
	if j.Manifest == "" {
		return nil
	}
	m, err := manifest.Load(j.Manifest)
	if err != nil {
		return err
	}
	var problems []error
	for _, e := range m.Entries {
		if e.File == "" && (isLogin(e.Env) || e.Env == helperVariable) {
			problems = append(problems, fmt.Errorf("%s: %s is what we log in with: the program gets none of it", e.Name, e.Env))
			continue
		}
		given, isGiven := "", false
		if e.File == "" { // else the variable holds a path
			given, isGiven = j.environment.lookup(e.Env)
		}
		t, ok, err := e.Template(given, isGiven)
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("%s: %w", e.Name, err))
		case ok:
			j.entries = append(j.entries, j.take(s, e, t))
		case e.Required:
			problems = append(problems, fmt.Errorf("%s: nothing sets it, and %s has no reference for it: set %[3]s, or add one", e.Name, j.Manifest, e.Env))
		}
	}
	return errors.Join(problems...)
}

// take gives an entry its place among variables or files.
func (j *job) take(s *slots, e manifest.Entry, t secrets.Template) entry {
	taken := entry{Entry: e}
	if e.File == "" {
		j.environment.drop(e.Env, s)
	}
	if plain, ok := t.Plain(); ok {
		taken.plain, taken.has = secret.Text(plain), true
	} else {
		taken.slot = s.put(j.Manifest+": "+e.Name, t.Text(), t, nil)
	}
	if e.File == "" {
		j.environment.set(variable{name: e.Env, value: taken.plain, slot: taken.slot, isReference: taken.slot != ""})
		return taken
	}
	f := File{Name: e.File, Mode: e.Mode, from: &taken}
	if e.Env != "" {
		f.variable = e.Env
	}
	j.Files = append(j.Files[:len(j.Files):len(j.Files)], f)
	return taken
}

// value returns the entry's value.
func (e *entry) value(v values) (string, bool) {
	if e.slot == "" {
		return e.plain.RevealText(), e.has
	}
	return v.value(e.slot)
}

// checkEntries says which values are not what the manifest says.
func (j *job) checkEntries(v values) error {
	var problems []error
	for _, e := range j.entries {
		text, ok := e.value(v)
		switch {
		case e.Required && text == "":
			problems = append(problems, fmt.Errorf("%s: its value is empty, and %s says that it is required", e.Name, j.Manifest))
		case ok && text != "":
			if err := e.Type.Check(text); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", e.Name, err))
			}
		}
	}
	return errors.Join(problems...)
}
