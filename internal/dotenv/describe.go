package dotenv

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Reading says, without the value, how one dialect reads a statement.
type Reading struct {
	Dialect string `json:"dialect"`
	Reads   string `json:"reads"`
}

// Readings says how each dialect reads the statement.
func (s *Statement) Readings() []Reading {
	all := make([]Reading, len(Dialects))
	for i, d := range Dialects {
		all[i] = Reading{Dialect: d.Name, Reads: s.describe(d.read(s.text()))}
	}
	return all
}

// describe tells of a reading what can be told: no part of the value.
func (s *Statement) describe(r reading) string {
	value, ok := r.values[s.Name]
	switch {
	case r.failed:
		return "cannot be read, and the file with it"
	case len(r.values) == 0:
		return "says nothing"
	case s.Name == "" || !ok && len(r.values) == 1:
		return "another name"
	case !ok || len(r.values) > 1:
		return "more than one variable"
	}
	raw := s.raw.RevealText()
	raw += s.gap + s.comment.RevealText()
	about := strings.Join(differences(raw, s.inner(), value), ", ")
	if about == "" {
		about = "as it stands"
	}
	return about + ": " + characters(value)
}

// inner is the value between its quotes, with nothing done to it.
func (s *Statement) inner() string {
	raw := s.raw.RevealText()
	if s.quote != 0 {
		return raw[1 : len(raw)-1]
	}
	return raw
}

// differences says what was done to a value.
func differences(raw, inner, value string) (all []string) {
	if value == inner {
		return nil
	}
	if value == "" {
		return []string{"empty"}
	}
	if len(value) > 1 && value == raw {
		if value[0] == '"' || value[0] == '\'' {
			return []string{"with its quotes"}
		}
		return []string{"with all that follows"}
	}
	if at := strings.IndexByte(inner, '#'); at >= 0 && value == strings.TrimRight(inner[:at], " \t") {
		return []string{"cut at #"}
	}
	if strings.Count(value, "$") < strings.Count(inner, "$") {
		all = append(all, "takes $ for a variable or an escape")
	}
	if strings.Count(value, `\`) < strings.Count(inner, `\`) {
		all = append(all, `takes \ for an escape`)
	}
	if strings.Count(value, `"`)+strings.Count(value, "'") < strings.Count(inner, `"`)+strings.Count(inner, "'") {
		all = append(all, "takes quotes away")
	}
	if strings.Contains(inner, "\r") && !strings.Contains(value, "\r") {
		all = append(all, "with line ends of Unix")
	}
	if strings.TrimSpace(value) == strings.TrimSpace(inner) {
		all = append(all, "other white space at its ends")
	}
	if len(all) == 0 {
		all = append(all, "in another way")
	}
	return all
}

func characters(value string) string {
	n := utf8.RuneCountInString(value)
	if n == 1 {
		return "1 character"
	}
	return fmt.Sprintf("%d characters", n)
}
