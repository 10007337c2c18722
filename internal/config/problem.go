package config

import (
	"fmt"
	"strings"
)

// Problem is something to say about one place of a configuration.
type Problem struct {
	File  string // as it was given; empty: the configuration as a whole
	Line  int    // from 1; zero: the file as a whole
	Field string // such as `listener "tcp".address`; empty: none in particular
	Text  string // what is the matter
	Hint  string // what to do about it; may be empty
}

// Warning is a Problem with which a server starts nevertheless.
type Warning = Problem

// String returns the problem on one line, without its hint.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File + ":")
	}
	if p.Line > 0 {
		fmt.Fprintf(&b, "%d:", p.Line)
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Error is everything that is wrong with a configuration, at least one problem,
// in the order of the text.
type Error struct {
	Problems []Problem
}

var _ error = (*Error)(nil)

// Error returns one line for each problem, and one below it for its hint.
func (e *Error) Error() string {
	lines := make([]string, 0, len(e.Problems))
	for _, p := range e.Problems {
		lines = append(lines, p.String())
		if p.Hint != "" {
			lines = append(lines, "  hint: "+p.Hint)
		}
	}
	return strings.Join(lines, "\n")
}

// complaint is an error of one value, which its reader cannot place.
type complaint struct{ text, hint string }

func (c complaint) Error() string { return c.text }

// report collects what there is to say about one file.
type report struct {
	file     string
	problems []Problem
	warnings []Warning
}

// scope is a place in a file: the stanza that is being read.
type scope struct {
	*report
	name string // such as `listener "tcp"`; empty: the top level
}

// in returns the scope of a stanza inside s.
func (s scope) in(name string) scope { return scope{s.report, s.field(name)} }

// field returns the full name of a field of s; s's own if name is empty.
func (s scope) field(name string) string {
	switch {
	case s.name == "":
		return name
	case name == "":
		return s.name
	}
	return s.name + "." + name
}

func (s scope) problem(line int, name string, err error) {
	p := Problem{File: s.file, Line: line, Field: s.field(name), Text: err.Error()}
	if c, ok := err.(complaint); ok {
		p.Hint = c.hint
	}
	s.problems = append(s.problems, p)
}

func (s scope) warn(line int, name, text, hint string) {
	s.warnings = append(s.warnings, Warning{
		File: s.file, Line: line, Field: s.field(name), Text: text, Hint: hint,
	})
}
