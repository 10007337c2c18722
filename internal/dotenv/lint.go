package dotenv

import (
	"fmt"
	"strings"
)

// Kind is what a finding is about.
type Kind string

// The kinds.
const (
	Differs     Kind = "differs"      // dialects read a line differently
	ByteOrder   Kind = "bom"          // a byte order mark
	Twice       Kind = "twice"        // a name that an earlier line has
	PlainSecret Kind = "plain secret" // the value itself, where a reference could be
	Tracked     Kind = "tracked"      // git has the file
	NotIgnored  Kind = "not ignored"  // git would take the file
)

// Finding is something that is not right with a file. It holds no value.
type Finding struct {
	Line int    `json:"line,omitempty"` // zero: the file as a whole
	Name string `json:"name,omitempty"` // of the variable
	Kind Kind   `json:"kind"`
	Text string `json:"text"`

	Readings []Reading `json:"readings,omitempty"`
	Fix      string    `json:"fix,omitempty"`   // what would be right
	Fixed    bool      `json:"fixed,omitempty"` // and is, by now
}

// Lint says what is not right with the file, by line.
func (f *File) Lint() []Finding {
	var all []Finding
	if f.HasBOM {
		all = append(all, Finding{
			Line: 1, Kind: ByteOrder, Fix: "save the file as UTF-8 without it",
			Text: "a byte order mark stands in front: some libraries take it for a part of the first name, or refuse the file",
		})
	}
	seen := map[string]int{} // name → line
	for _, s := range f.Statements() {
		if !s.agree() {
			all = append(all, s.differs())
		}
		if first, ok := seen[s.Name]; ok && s.Name != "" {
			all = append(all, Finding{
				Line: s.Line, Name: s.Name, Kind: Twice, Fix: "remove one of them",
				Text: fmt.Sprintf("line %d sets it, too, and is passed over", first),
			})
		}
		seen[s.Name] = s.Line
		if why := s.Suspicion(); why != "" {
			all = append(all, Finding{
				Line: s.Line, Name: s.Name, Kind: PlainSecret, Text: "a secret stands here in plain text: " + why,
				Fix: "keep it in the store, and a reference here: coffer env import",
			})
		}
	}
	return all
}

// differs is the finding about a statement that dialects do not agree on.
func (s *Statement) differs() Finding {
	f := Finding{Line: s.Line, Name: s.Name, Kind: Differs, Text: "libraries read this differently", Readings: s.Readings()}
	switch {
	case s.Name == "":
		f.Fix = "write NAME=VALUE, with a name of letters, digits and _"
	case s.open:
		f.Fix = "close the quote"
	case s.expands():
		f.Fix = "say what is meant by $: a variable, which not all libraries expand, or the character, which single quotes keep"
	case s.escapes():
		f.Fix = `say what is meant by \: an escape, which not all libraries know, or the character, which single quotes keep`
	default:
		value, ok := s.Value()
		spelled, can := Spell(value.RevealText())
		switch {
		case !ok:
			f.Fix = "write NAME=VALUE"
		case !can:
			f.Fix = "no way of writing this value is read alike by all: keep it in the store, and a reference here"
		default:
			f.Fix = "write it " + spelled.how
		}
	}
	return f
}

// expands says whether our own reading puts something in place of a $.
func (s *Statement) expands() bool {
	value, _ := s.Value()
	return s.quote != '\'' && strings.Count(value.RevealText(), "$") < strings.Count(s.inner(), "$")
}

// escapes says whether the value has a backslash that libraries disagree on.
func (s *Statement) escapes() bool {
	if !strings.Contains(s.inner(), `\`) {
		return false
	}
	want, ok := s.Value()
	for _, d := range Dialects {
		got, read := d.read(s.text()).value(s.Name)
		if ok && read && got != want.RevealText() {
			return true
		}
	}
	return false
}

// Doubt says how sure it is that our reading of a statement is what was meant.
type Doubt int

// The doubts.
const (
	Sure    Doubt = iota
	Some          // libraries differ, and ours takes the value as it stands
	Serious       // ours expands what may be a character of the value, or takes it away
)

// Doubt tells how sure the reading is. A variable that the file sets is meant as
// one.
func (f *File) Doubt(s *Statement) Doubt {
	if s.agree() {
		return Sure
	}
	if s.escapes() {
		return Serious
	}
	if !s.expands() {
		return Some
	}
	for _, other := range f.Statements() {
		if other.Name != "" && s.Mentions(other.Name) {
			return Some
		}
	}
	return Serious
}

// Fix spells anew what dialects do not agree on, where it is clear what is meant,
// so that all read what the first one does, and marks the findings. It returns
// whether the file has changed.
func (f *File) Fix(findings []Finding) bool {
	changed := false
	for i := range findings {
		finding := &findings[i]
		switch finding.Kind {
		case ByteOrder:
			f.RemoveBOM()
			finding.Fixed, changed = true, true
		case Differs:
			if f.respell(finding.Line) {
				finding.Fixed, changed = true, true
			}
		}
	}
	return changed
}

func (f *File) respell(line int) bool {
	for _, s := range f.Statements() {
		if s.Line != line || s.Name == "" || s.open || s.expands() || s.escapes() {
			continue
		}
		value, ok := s.Value()
		return ok && f.Set(s, value.RevealText())
	}
	return false
}
