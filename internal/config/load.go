package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cofferhq/coffer/internal/stanza"
)

// maxFileBytes is how large one file may be.
const maxFileBytes = 1 << 20

// Parse reads one configuration. name stands in what is said about it. A text
// whose first character is a brace is JSON, every other is HCL.
//
// If anything is wrong, the error is an [*Error] with all of it, and the Config
// is nil. The warnings are given in either case.
func Parse(name string, text []byte) (*Config, []Warning, error) {
	l := newLoader()
	l.add(name, text)
	return l.finish()
}

// Load reads the files at paths as one configuration. A folder stands for the
// *.hcl and *.json in it, by name. Of what can be set once, the last file wins;
// listeners and audit devices add up.
//
// It returns what [Parse] does; a file that cannot be read is one of the
// problems.
func Load(paths ...string) (*Config, []Warning, error) {
	l := newLoader()
	for _, path := range paths {
		l.addPath(path)
	}
	return l.finish()
}

// loader puts files together.
type loader struct {
	loading
	problems []Problem
	warnings []Warning
}

func newLoader() *loader {
	return &loader{loading: loading{set: map[string]place{}}}
}

func (l *loader) fail(file string, line int, text string) {
	l.problems = append(l.problems, Problem{File: file, Line: line, Text: text})
}

// addPath adds a file, or the files of a folder.
func (l *loader) addPath(path string) {
	info, err := os.Stat(path)
	if err != nil {
		l.fail(path, 0, reason(err))
		return
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = filesIn(path); err != nil {
			l.fail(path, 0, reason(err))
			return
		}
		if len(files) == 0 {
			l.fail(path, 0, "the folder has no *.hcl or *.json file")
		}
	}
	for _, file := range files {
		text, err := readFile(file)
		if err != nil {
			l.fail(file, 0, reason(err))
			continue
		}
		l.add(file, text)
	}
}

// reason is err without the path, which a Problem has anyway.
func reason(err error) string {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}

// filesIn returns the configuration files of a folder, sorted by name. Hidden
// files and what editors leave behind do not end in the right way, or begin in
// the wrong one.
func filesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		name := e.Name()
		wanted := slices.Contains([]string{".hcl", ".json"}, filepath.Ext(name))
		if wanted && !e.IsDir() && !strings.HasPrefix(name, ".") {
			files = append(files, filepath.Join(dir, name))
		}
	}
	return files, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// One byte more than is allowed, so that add sees that it is too much.
	return io.ReadAll(io.LimitReader(f, maxFileBytes+1))
}

// add reads one text over what has been read before.
func (l *loader) add(name string, text []byte) {
	root, err := parse(text)
	if err != nil {
		var at *stanza.SyntaxError
		errors.As(err, &at)
		said := at.Text
		if said == stanza.EndsEarly {
			said = "the file ends before a value does"
		}
		l.fail(name, at.Line, said)
		return
	}
	r := &report{file: name}
	topKeys.decode(scope{report: r}, &l.loading, root.Entries)
	l.problems = append(l.problems, byLine(r.problems)...)
	l.warnings = append(l.warnings, byLine(r.warnings)...)
}

// byLine sorts problems of one file: a stanza is checked after its keys.
func byLine(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return problems
}

// parse reads a text in either syntax into an object. Its errors are
// *stanza.SyntaxError.
func parse(text []byte) (stanza.Node, error) {
	switch {
	case len(text) > maxFileBytes:
		return stanza.Node{}, &stanza.SyntaxError{Text: fmt.Sprintf("larger than %d bytes", maxFileBytes)}
	case !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0:
		return stanza.Node{}, &stanza.SyntaxError{Text: "not a text in UTF-8"}
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // some editors put a byte order mark before it
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return stanza.ParseJSON(text)
	}
	return stanza.ParseHCL(text)
}

// finish checks the whole and returns it.
func (l *loader) finish() (*Config, []Warning, error) {
	l.checkWhole()
	if len(l.problems) > 0 {
		return nil, l.warnings, &Error{Problems: l.problems}
	}
	c := l.Config
	return &c, l.warnings, nil
}

// checkWhole reports fields that fit each other badly, whichever file they are
// from.
func (l *loader) checkWhole() {
	if l.MaxLeaseTTL > 0 && l.DefaultLeaseTTL > l.MaxLeaseTTL {
		l.misfit("default_lease_ttl", "is above max_lease_ttl", "")
	}
	if l.Seal.Kind == KeyFile && inside(l.Seal.Path, l.Storage.Path) {
		l.misfit("seal", "the key lies in the folder of the data: who copies that has both",
			"keep it elsewhere, such as /etc/coffer/unseal.key")
	}
}

func (l *loader) misfit(field, text, hint string) {
	at := l.set[field]
	l.problems = append(l.problems, Problem{
		File: at.file, Line: at.line, Field: field, Text: text, Hint: hint,
	})
}

// inside says whether path is below the folder dir, going by their names.
func inside(path, dir string) bool {
	if path == "" || dir == "" {
		return false
	}
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}
