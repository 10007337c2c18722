// Package manifest reads what an application says of the settings it needs: a
// file coffer.toml or coffer.yaml beside its code, with the name of each secret,
// where it comes from, what it must look like, and whether the program gets it
// as a variable or as a file. It holds no secret itself and belongs into version
// control.
//
// Reading is strict and tells everything that is wrong at once, by line. Nothing
// is asked of a server: that is [Manifest.Check], which says of each entry whether
// its value is there and of the right type, and never prints one.
//
// Start reading at [Parse] and [Entry].
package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/secrets"
)

// Names are what a manifest is called if nothing else is said.
var Names = []string{"coffer.toml", "coffer.yaml", "coffer.yml"}

// MaxBytes is the most that a manifest may have.
const MaxBytes = 1 << 20

// DefaultMode is what a file gets if the entry does not say.
const DefaultMode fs.FileMode = 0o400

// Manifest is what an application needs.
type Manifest struct {
	Path    string  // of the file, as it was given
	Entries []Entry // in the order of the file
}

// Entry is one setting of the application.
type Entry struct {
	Name        string
	Description string
	Line        int // at which the entry begins, from one

	Type     Type
	Required bool // it must have a value, and not an empty one

	// Env is the variable that gets the value; or, if there is a File, its path.
	// Empty: none.
	Env string

	// File is the name of the file that gets the value, without folder. Empty:
	// none.
	File string
	Mode fs.FileMode // of File

	source   *secrets.Template // nil: what the environment says
	fallback *string
}

// Reference returns the text with references that the value is made of. There is
// none if the value is what the environment says.
func (e Entry) Reference() (secrets.Template, bool) {
	if e.source == nil {
		return secrets.Template{}, false
	}
	return *e.source, true
}

// Default returns what to use if there is no value.
func (e Entry) Default() (text string, ok bool) {
	if e.fallback == nil {
		return "", false
	}
	return *e.fallback, true
}

// Template returns what the value is made of: the text that the environment gives
// the variable, if it does, else the entry's own reference, else its default. If
// that is one reference alone, it has the entry's default, or is optional if the
// entry is not required. It returns false if there is nothing. The error is that
// of [secrets.Parse], about given.
func (e Entry) Template(given string, isGiven bool) (secrets.Template, bool, error) {
	switch {
	case isGiven:
		t, err := secrets.Parse(given)
		if err != nil {
			return secrets.Template{}, false, err
		}
		return e.soften(t), true, nil
	case e.source != nil:
		return e.soften(*e.source), true, nil
	case e.fallback != nil:
		t, err := secrets.Parse(*e.fallback) // it holds no reference: see Parse
		return t, err == nil, err
	}
	return secrets.Template{}, false, nil
}

// soften gives a reference that stands alone what the entry says of absence.
func (e Entry) soften(t secrets.Template) secrets.Template {
	ref, ok := alone(t)
	if _, has := ref.Default(); !ok || has {
		return t
	}
	switch {
	case e.fallback != nil:
		ref = ref.WithDefault(*e.fallback)
	case !e.Required:
		ref.Optional = true
	default:
		return t
	}
	softened, err := secrets.Parse(ref.Text())
	if err != nil {
		return t // a text that no default can stand in: it is then an error to be absent
	}
	return softened
}

// alone returns the reference that is all of the text.
func alone(t secrets.Template) (secrets.Reference, bool) {
	refs := t.References()
	if len(refs) != 1 || strings.Contains(t.Text(), "${") {
		return secrets.Reference{}, false
	}
	return refs[0], true
}

// Find returns the path of the manifest in a folder. The error wraps
// [fs.ErrNotExist] if there is none.
func Find(dir string) (string, error) {
	var found []string
	for _, name := range Names {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			found = append(found, path)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no manifest here (%s): %w", strings.Join(Names, ", "), fs.ErrNotExist)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%s: there are several manifests: say which", strings.Join(found, " and "))
}

// Load reads and parses a file. The error is of the system, or [Problems].
func Load(path string) (*Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	return Parse(path, content)
}

// Parse reads a manifest, as YAML if the path ends so, else as TOML. It touches
// nothing. The error is [Problems], of all that is wrong.
func Parse(path string, content []byte) (*Manifest, error) {
	if len(content) > MaxBytes {
		return nil, Problems{{Path: path, Text: "more than 1 MiB"}}
	}
	read := readTOML
	if slices.Contains([]string{".yaml", ".yml"}, strings.ToLower(filepath.Ext(path))) {
		read = readYAML
	}
	p := &parser{path: path}
	doc, err := read(content, p)
	if err != nil {
		return nil, err
	}
	m := p.manifest(doc)
	if len(p.problems) > 0 {
		slices.SortStableFunc(p.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, p.problems
	}
	return m, nil
}

// Problem is something that is wrong with a manifest.
type Problem struct {
	Path string
	Line int // from one; zero: the whole file
	Text string
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.Path + ": " + p.Text
	}
	return fmt.Sprintf("%s, line %d: %s", p.Path, p.Line, p.Text)
}

// Problems are all that is wrong with a manifest, by line. They repeat no value.
type Problems []Problem

var _ error = Problems(nil)

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// ProblemsOf returns the problems that err is made of.
func ProblemsOf(err error) (Problems, bool) {
	p := Problems(nil)
	ok := errors.As(err, &p)
	return p, ok
}
