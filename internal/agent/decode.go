package agent

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/stanza"
)

// Problem is something to say about one place of a configuration.
type Problem struct {
	Line  int    // from 1; zero: the whole
	Field string // such as `template.destination`
	Text  string
}

// In returns the problem on one line, as that of a file.
func (p Problem) In(file string) string {
	text := p.Text
	if p.Field != "" {
		text = p.Field + ": " + text
	}
	if p.Line > 0 {
		file = fmt.Sprintf("%s:%d", file, p.Line)
	}
	return file + ": " + text
}

// ConfigError is everything that is wrong with a configuration, at least one
// problem, in the order of the text.
type ConfigError struct {
	File     string
	Problems []Problem
}

var _ error = (*ConfigError)(nil)

func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.In(e.File)
	}
	return strings.Join(lines, "\n")
}

// report collects what there is to say.
type report struct{ problems, warnings []Problem }

// scope is the stanza that is being read.
type scope struct {
	*report
	name string
}

func (s scope) in(name string) scope {
	switch {
	case name == "":
		name = s.name
	case s.name != "":
		name = s.name + "." + name
	}
	return scope{s.report, name}
}

func (s scope) problem(line int, field, text string) {
	s.problems = append(s.problems, Problem{line, s.in(field).name, text})
}

func (s scope) warn(line int, field, text string) {
	s.warnings = append(s.warnings, Problem{line, s.in(field).name, text})
}

func byLine(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return problems
}

// setter reads one key into t. What it returns is reported at the value.
type setter[T any] func(s scope, t *T, e stanza.Entry) error

// keys is the table of what a stanza may hold.
type keys[T any] map[string]setter[T]

// many are the stanzas that may stand more than once.
var many = []string{"sink", "sinks", "template", "env_template", "listener", "method"}

func (k keys[T]) decode(s scope, t *T, entries []stanza.Entry) {
	seen := map[string]int{} // key → line
	for _, e := range entries {
		set, known := k[e.Key]
		switch line, twice := seen[e.Key]; {
		case e.Value.Shape == stanza.Null:
			continue
		case !known:
			s.problem(e.Line, e.Key, "unknown; known here: "+strings.Join(slices.Sorted(maps.Keys(k)), ", "))
			continue
		case twice && !slices.Contains(many, e.Key):
			s.problem(e.Line, e.Key, fmt.Sprintf("is set in line %d already", line))
			continue
		}
		seen[e.Key] = e.Line
		if err := set(s, t, e); err != nil {
			s.problem(e.Value.Line, e.Key, err.Error())
		}
	}
}

// as makes a setter of a reader of values and a place to put them.
func as[T, V any](read func(stanza.Node) (V, error), at func(*T) *V) setter[T] {
	return func(_ scope, t *T, e stanza.Entry) error {
		got, err := read(e.Value)
		if err == nil {
			*at(t) = got
		}
		return err
	}
}

func text[T any](at func(*T) *string) setter[T]            { return as(stanza.Node.Plain, at) }
func flag[T any](at func(*T) *bool) setter[T]              { return as(stanza.Node.Bool, at) }
func count[T any](at func(*T) *int) setter[T]              { return as(stanza.Node.Count, at) }
func duration[T any](at func(*T) *time.Duration) setter[T] { return as(durationOf, at) }
func mode[T any](at func(*T) *fs.FileMode) setter[T]       { return as(modeOf, at) }

// ignored is a key of Vault's that has no effect here, which is said.
func ignored[T any](why string) setter[T] {
	return func(s scope, _ *T, e stanza.Entry) error {
		s.warn(e.Line, e.Key, "has no effect: "+why)
		return nil
	}
}

// refused is a key of Vault's without which the agent would not do what its
// operator relies on, unless it only says no.
func refused[T any](why string) setter[T] {
	return func(_ scope, _ *T, e stanza.Entry) error {
		if off, err := e.Value.Bool(); err == nil && !off {
			return nil
		}
		return errors.New("is not supported: " + why)
	}
}

// block reads a stanza without a label.
func block[T, U any](at func(*T) *U, k keys[U]) setter[T] {
	return func(s scope, t *T, e stanza.Entry) error {
		bodies, err := e.Value.Blocks()
		if err != nil {
			return err
		}
		for _, body := range bodies {
			k.decode(s.in(e.Key), at(t), body.Entries)
		}
		return nil
	}
}

// labelled is a block and the label before it, or inside as the key "type".
type labelled struct {
	label string
	line  int
	body  stanza.Node // an object
}

func labels(n stanza.Node) ([]labelled, error) {
	bodies, err := n.Blocks()
	if err != nil {
		return nil, err
	}
	var all []labelled
	for _, body := range bodies {
		if i := slices.IndexFunc(body.Entries, func(e stanza.Entry) bool { return e.Key == "type" && e.Value.Shape == stanza.Scalar }); i >= 0 {
			label, _ := body.Entries[i].Value.Text()
			line := body.Entries[i].Line
			body.Entries = slices.Delete(slices.Clone(body.Entries), i, i+1)
			all = append(all, labelled{label, line, body})
			continue
		}
		for _, e := range body.Entries {
			inner, err := e.Value.Blocks()
			if err != nil {
				return nil, errors.New(`expected a block with a label, such as: sink "file" { … }`)
			}
			for _, one := range inner {
				all = append(all, labelled{e.Key, e.Line, one})
			}
		}
	}
	return all, nil
}

func durationOf(n stanza.Node) (time.Duration, error) {
	s, err := n.Plain()
	if err != nil {
		return 0, err
	}
	d, err := logical.ParseDuration(s)
	if err == nil && d < 0 {
		err = errors.New("expected a duration of zero or more")
	}
	return d, err
}

func modeOf(n stanza.Node) (fs.FileMode, error) {
	s, err := n.Plain()
	if err != nil {
		return 0, err
	}
	m, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 32)
	if err != nil || m > 0o777 {
		return 0, errors.New(`expected permissions in octal digits, such as "0640"`)
	}
	return fs.FileMode(m), nil
}

// commandOf reads a command line: a list of words, or one text for the shell.
func commandOf(n stanza.Node) ([]string, error) {
	if s, ok := n.Text(); ok {
		if strings.TrimSpace(s) == "" {
			return nil, nil
		}
		return []string{"/bin/sh", "-c", s}, nil
	}
	words := []string{}
	for _, item := range n.Items {
		word, ok := item.Text()
		if !ok {
			return nil, errors.New("expected a command: a text, or a list of texts")
		}
		words = append(words, word)
	}
	if len(words) == 0 {
		return nil, errors.New("expected a command: a text, or a list of texts")
	}
	if len(words) == 1 && n.Shape == stanza.List {
		words = []string{"/bin/sh", "-c", words[0]}
	}
	return words, nil
}
