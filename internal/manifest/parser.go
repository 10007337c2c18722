package manifest

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cofferhq/coffer/secrets"
)

// parser makes entries of what was read and collects what is wrong.
type parser struct {
	path     string
	problems Problems
}

func (p *parser) add(line int, format string, args ...any) {
	p.problems = append(p.problems, Problem{Path: p.path, Line: line, Text: fmt.Sprintf(format, args...)})
}

// fail ends the reading.
func (p *parser) fail(line int, text string) error {
	p.add(line, "%s", text)
	return p.problems
}

// formVersion is the only form of manifests that there is yet.
const formVersion = 1

func (p *parser) manifest(doc document) *Manifest {
	for _, s := range doc.top {
		n, isInt := s.value.(int64)
		switch {
		case s.key != "version":
			p.add(s.line, "unknown key %s: want version or %s", shown(s.key), secretsKey)
		case !isInt || n != formVersion:
			p.add(s.line, "version must be %d", formVersion)
		}
	}
	m := &Manifest{Path: p.path}
	if len(doc.entries) == 0 && len(p.problems) == 0 {
		p.add(0, "it has no entry: want a table %s with one for each secret", secretsKey)
	}
	variables, files := map[string]string{}, map[string]string{} // → the entry that has it
	for _, d := range doc.entries {
		e := p.entry(d)
		p.claim(variables, e, "variable", e.Env)
		p.claim(files, e, "file", e.File)
		m.Entries = append(m.Entries, e)
	}
	return m
}

// claim tells of two entries that fill the same thing.
func (p *parser) claim(taken map[string]string, e Entry, what, name string) {
	if name == "" {
		return
	}
	if other, ok := taken[name]; ok {
		p.add(e.Line, "%s: %s has the %s %s, too", shown(e.Name), shown(other), what, name)
		return
	}
	taken[name] = e.Name
}

// keys are the settings of an entry.
var keys = map[string]func(*parser, *Entry, setting){
	"reference":   (*parser).reference,
	"required":    (*parser).required,
	"default":     (*parser).fallback,
	"type":        (*parser).kind,
	"env":         (*parser).env,
	"file":        (*parser).file,
	"mode":        (*parser).mode,
	"description": (*parser).description,
}

// keyNames is for messages.
const keyNames = "reference, required, default, type, env, file, mode, description"

func (p *parser) entry(d draft) Entry {
	e := Entry{Name: d.name, Line: d.line, Type: String, Required: true}
	has := map[string]int{} // key → line
	for _, s := range d.settings {
		read, ok := keys[s.key]
		if !ok {
			p.add(s.line, "%s: unknown key %s: want one of %s", shown(d.name), shown(s.key), keyNames)
			continue
		}
		has[s.key] = s.line
		read(p, &e, s)
	}
	if !isPrintable(d.name) || d.name == "" {
		p.add(d.line, "a name must be printable, and not empty")
	}
	if e.File == "" && has["file"] == 0 && has["env"] == 0 {
		e.Env = e.Name
		if !variableName.MatchString(e.Name) {
			p.add(d.line, "%s is no name of a variable: say env or file", shown(d.name))
			e.Env = ""
		}
	}
	if e.File != "" && e.Mode == 0 {
		e.Mode = DefaultMode
	}
	if line := has["mode"]; line != 0 && has["file"] == 0 {
		p.add(line, "%s: mode is for a file, and there is none", shown(d.name))
	}
	p.together(e, has)
	return e
}

// together checks what settings say of each other.
func (p *parser) together(e Entry, has map[string]int) {
	if _, single := alone(e.template()); e.source != nil && !single {
		if line := has["default"]; line != 0 {
			p.add(line, "%s: a default can stand for a reference alone, not for a text around it: write ${…?default=…} there", shown(e.Name))
		}
		if line := has["required"]; line != 0 && !e.Required {
			p.add(line, "%s: a text around a reference is always there: write ${…?optional} in it, or a reference alone", shown(e.Name))
		}
	}
	if text, ok := e.Default(); ok && e.Type.Check(text) != nil {
		p.add(has["default"], "%s: the default is not of the type %s", shown(e.Name), e.Type)
	}
}

func (e Entry) template() secrets.Template {
	t, _ := e.Reference()
	return t
}

func (p *parser) reference(e *Entry, s setting) {
	text, ok := p.text(e, s)
	if !ok {
		return
	}
	t, err := secrets.Parse(text)
	switch {
	case err != nil:
		p.add(s.line, "%s: %v", shown(e.Name), err)
		return
	case len(t.References()) == 0:
		p.add(s.line, "%s: reference must be, or hold, one such as vault:secret/app#password; a manifest holds no secret itself", shown(e.Name))
		return
	}
	e.source = &t
}

func (p *parser) required(e *Entry, s setting) {
	b, ok := s.value.(bool)
	if !ok {
		p.add(s.line, "%s: required must be true or false", shown(e.Name))
		return
	}
	e.Required = b
}

func (p *parser) fallback(e *Entry, s setting) {
	text, ok := s.value.(string)
	switch value := s.value.(type) {
	case int64:
		text, ok = strconv.FormatInt(value, 10), true
	case bool:
		text, ok = strconv.FormatBool(value), true
	}
	if !ok {
		p.add(s.line, "%s: default must be a text: put it into quotes", shown(e.Name))
		return
	}
	if t, err := secrets.Parse(text); err != nil || len(t.References()) > 0 {
		p.add(s.line, "%s: a default cannot be, or hold, a reference", shown(e.Name))
		return
	}
	e.fallback = &text
}

func (p *parser) kind(e *Entry, s setting) {
	text, ok := p.text(e, s)
	if !ok {
		return
	}
	if !slices.Contains(Types, Type(text)) {
		p.add(s.line, "%s: unknown type: want one of %s", shown(e.Name), typeNames())
		return
	}
	e.Type = Type(text)
}

// variableName is what shells and programs take as the name of a variable.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (p *parser) env(e *Entry, s setting) {
	text, ok := p.text(e, s)
	if ok && !variableName.MatchString(text) {
		p.add(s.line, "%s: env must be the name of a variable: letters, digits and _, no digit in front", shown(e.Name))
		return
	}
	e.Env = text
}

func (p *parser) file(e *Entry, s setting) {
	text, ok := p.text(e, s)
	if ok && (text == "" || text == "." || text == ".." || strings.ContainsAny(text, `/\`) || !isPrintable(text) || len(text) > 255) {
		p.add(s.line, "%s: file must be a name without a folder: where it lies is said by who starts the program", shown(e.Name))
		return
	}
	e.File = text
}

// octal is a mode: three digits, with or without a zero in front.
var octal = regexp.MustCompile(`^0?[0-7]{3}$`)

// mode takes a text; a number only where its digits are kept, as 400 and 0400 are
// different things to most readers.
func (p *parser) mode(e *Entry, s setting) {
	text, ok := s.value.(string)
	if !ok {
		text = strings.Replace(s.literal, "0o", "0", 1)
	}
	if !octal.MatchString(text) {
		p.add(s.line, `%s: mode must be octal digits in quotes, such as "0400"`, shown(e.Name))
		return
	}
	n, _ := strconv.ParseUint(text, 8, 32) // the expression says so
	if n&0o007 != 0 || n&0o400 == 0 {
		p.add(s.line, "%s: mode must let the owner read, and others nothing", shown(e.Name))
		return
	}
	e.Mode = fs.FileMode(n)
}

func (p *parser) description(e *Entry, s setting) { e.Description, _ = p.text(e, s) }

func (p *parser) text(e *Entry, s setting) (string, bool) {
	text, ok := s.value.(string)
	if !ok {
		p.add(s.line, "%s: %s must be a text", shown(e.Name), s.key)
	}
	return text, ok
}

func isPrintable(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, unicode.IsControl) < 0
}

// shown is a name for a message: short, and in one line.
func shown(name string) string {
	const most = 64
	if len(name) > most || !isPrintable(name) || name == "" {
		return strconv.QuoteToASCII(name[:min(len(name), most)])
	}
	return name
}
