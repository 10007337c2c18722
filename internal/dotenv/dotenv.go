// Package dotenv knows .env files: what stands in them, how the libraries that
// read them differ, which lines look like secrets, and how to change a file
// without losing anything of it.
//
// There is no standard for such files. What a line means is therefore asked of
// the libraries themselves, see [Dialects]; the only thing done here is to find
// where one statement ends and the next begins. The reading that counts for us
// is that of the first dialect.
//
// Nothing here prints or returns a value but [Statement.Value] and what writes
// the file: descriptions of readings tell lengths and reasons only.
//
// Start reading at [Parse] and [File.Lint].
package dotenv

import (
	"fmt"
	"strings"

	"github.com/cofferhq/coffer/internal/file"
	"github.com/cofferhq/coffer/internal/secret"
)

// MaxMiB is the most that a file may have.
const MaxMiB = 1

// bom is what some editors put in front of UTF-8.
const bom = "\ufeff"

// File is a .env file, cut into pieces that together are the whole.
type File struct {
	HasBOM bool
	pieces []piece
}

// piece is a run of whole lines: a statement, or what no statement is in.
type piece struct {
	text      secret.Bytes // with its line ends
	line      int          // of its first line, from one
	statement *Statement   // nil: blank lines and comments
}

// Statement is a line, or several, that says something.
type Statement struct {
	Name string // of the variable; empty if the line is none that we can tell
	Line int    // at which it begins, from one

	head    string       // what stands before the value: "export NAME="
	raw     secret.Bytes // the value as it is written, without a comment
	gap     string       // white space behind it
	comment secret.Bytes // what follows, from the # on
	end     string       // the line end
	quote   byte         // that raw begins and ends with; zero: none
	open    bool         // the quote never ends
}

// Load reads a file of at most [MaxMiB].
func Load(path string) (*File, error) {
	content, err := file.Read(path, MaxMiB)
	if err != nil {
		return nil, err
	}
	return Parse(content), nil
}

// Parse cuts a file into statements. Anything can be cut; what is no statement
// shows when it is read.
func Parse(content []byte) *File {
	f := &File{}
	text, found := strings.CutPrefix(string(content), bom)
	f.HasBOM = found
	for line := 1; text != ""; {
		n := lineLength(text)
		p := piece{line: line}
		if trimmed := strings.TrimSpace(text[:n]); trimmed != "" && trimmed[0] != '#' {
			n = extent(text)
			p.statement = parseStatement(text[:n], line)
		}
		p.text = secret.Text(text[:n])
		f.pieces = append(f.pieces, p)
		line += strings.Count(text[:n], "\n")
		text = text[n:]
	}
	return f
}

// lineLength returns the length of the first line, with its end.
func lineLength(text string) int {
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		return i + 1
	}
	return len(text)
}

// extent returns the length of the statement that text begins with, in whole lines.
// A quote that never ends is taken to be a mistake of its line.
func extent(text string) int {
	first := lineLength(text)
	_, value, ok := splitName(text[:first])
	if !ok || value == "" || value[0] != '"' && value[0] != '\'' {
		return first
	}
	begin := first - len(value)
	at := closing(text[begin:])
	if at == 0 {
		return first
	}
	end := begin + at
	return max(first, end+lineLength(text[end:]))
}

// closing returns where the quote that text begins with ends, or zero. A backslash
// keeps a double quote from ending; whether it keeps a single one is what dialects
// differ in.
func closing(text string) int {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && text[0] == '"':
			i++
		case text[i] == text[0]:
			return i
		}
	}
	return 0
}

// splitName cuts a line into what stands before the value, and the rest.
func splitName(line string) (head, rest string, ok bool) {
	at := strings.IndexByte(line, '=')
	if at < 0 {
		return "", "", false
	}
	rest = strings.TrimLeft(line[at+1:], " \t")
	return line[:len(line)-len(rest)], rest, true
}

func parseStatement(text string, line int) *Statement {
	s := &Statement{Line: line}
	body := strings.TrimRight(text, "\r\n")
	s.end = text[len(body):]
	head, rest, ok := splitName(body)
	if !ok {
		s.head = body
		return s
	}
	s.head = head
	name := strings.TrimSpace(head[:strings.IndexByte(head, '=')])
	if exported, ok := strings.CutPrefix(name, "export"); ok && strings.TrimLeft(exported, " \t") != exported {
		name = strings.TrimSpace(exported)
	}
	if isName(name) {
		s.Name = name
	}
	s.splitComment(rest)
	return s
}

// splitComment tells the value from a comment behind it.
func (s *Statement) splitComment(rest string) {
	end, comment := len(rest), ""
	if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
		at := closing(rest)
		after := strings.TrimLeft(rest[at+1:], " \t")
		if at > 0 && (after == "" || after[0] == '#') {
			s.quote, end, comment = rest[0], at+1, after
		}
		s.open = at == 0
	} else if at := commentAt(rest); at > 0 {
		end, comment = at, rest[at:]
	}
	raw := rest[:end]
	if s.quote == 0 {
		raw = strings.TrimRight(raw, " \t")
	}
	s.raw, s.comment = secret.Text(raw), secret.Text(comment)
	s.gap = strings.TrimSuffix(rest[len(raw):], comment)
}

// commentAt returns where a comment begins behind a value without quotes, or zero.
func commentAt(rest string) int {
	for i := 1; i < len(rest); i++ {
		if rest[i] == '#' && (rest[i-1] == ' ' || rest[i-1] == '\t') {
			return i
		}
	}
	return 0
}

// isName says whether every dialect takes the name.
func isName(name string) bool {
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// text is the statement as it stands.
func (s *Statement) text() string {
	return s.head + s.raw.RevealText() + s.gap + s.comment.RevealText() + s.end
}

// Statements returns the statements in the order of the file.
func (f *File) Statements() []*Statement {
	var all []*Statement
	for _, p := range f.pieces {
		if p.statement != nil {
			all = append(all, p.statement)
		}
	}
	return all
}

// Value returns what the first dialect reads: what coffer run gives a program.
func (s *Statement) Value() (secret.Bytes, bool) {
	r := Dialects[0].read(s.text())
	v, ok := r.value(s.Name)
	return secret.Text(v), ok && s.Name != ""
}

// Values returns what the first dialect reads of the whole file, later lines
// winning, with variables expanded. The error names the line and nothing else.
func (f *File) Values() (map[string]secret.Bytes, error) {
	r := Dialects[0].read(strings.TrimPrefix(string(f.Content()), bom))
	if !r.usable() {
		return nil, fmt.Errorf("line %d: want NAME=VALUE", f.badLine())
	}
	values := make(map[string]secret.Bytes, len(r.values))
	for name, value := range r.values {
		values[name] = secret.Text(value)
	}
	return values, nil
}

// usable says whether all of the text was read, and into names: the parser lets
// pass a line that has no =, or no name.
func (r reading) usable() bool {
	for name := range r.values {
		if !isLooseName(name) {
			return false
		}
	}
	return !r.failed
}

// badLine returns the line of the first statement that can't be read by itself, or
// the last of all.
func (f *File) badLine() int {
	line := 1
	for _, s := range f.Statements() {
		if line = s.Line; !Dialects[0].read(s.text()).usable() {
			break
		}
	}
	return line
}

// isLooseName says whether name is one: dots and hyphens are no shell's, but some
// programs want them.
func isLooseName(name string) bool {
	plain := strings.NewReplacer(".", "_", "-", "_").Replace(name)
	return isName(plain) && (name[0] != '.' && name[0] != '-')
}

// Content returns the file as it is now.
func (f *File) Content() []byte {
	var b strings.Builder
	if f.HasBOM {
		b.WriteString(bom)
	}
	for _, p := range f.pieces {
		b.WriteString(p.text.RevealText())
	}
	return []byte(b.String())
}

// Mentions says whether the value is made with that of another variable.
func (s *Statement) Mentions(name string) bool {
	if s.quote == '\'' {
		return false
	}
	text := s.inner()
	for {
		_, after, ok := strings.Cut(text, "$")
		if !ok {
			return false
		}
		text = after
		rest, found := strings.CutPrefix(strings.TrimPrefix(after, "{"), name)
		if found && (rest == "" || !isName("x"+rest[:1])) {
			return true
		}
	}
}

// Set gives a statement another value, spelled so that all dialects read it alike.
// It returns false, and has changed nothing, if there is no such spelling. A
// comment behind the value stays; if it would be read as part of it, it moves
// onto a line of its own.
func (f *File) Set(s *Statement, value string) bool {
	spelled, ok := Spell(value)
	if !ok || s.Name == "" {
		return false
	}
	for i := range f.pieces {
		p := &f.pieces[i]
		if p.statement != s {
			continue
		}
		changed := *s
		changed.head = s.indent() + s.export() + s.Name + "="
		changed.raw, changed.quote, changed.open = secret.Text(spelled.text), 0, false
		above := ""
		if !s.comment.Empty() && !agreeOn(changed.text(), s.Name, value) {
			above = s.comment.RevealText() + "\n"
			changed.gap, changed.comment = "", secret.Bytes{}
		}
		*s = changed
		p.text = secret.Text(above + changed.text())
		return true
	}
	return false
}

func (s *Statement) indent() string {
	return s.head[:len(s.head)-len(strings.TrimLeft(s.head, " \t"))]
}

// export returns the word if the line has it.
func (s *Statement) export() string {
	if strings.HasPrefix(strings.TrimLeft(s.head, " \t"), "export ") && s.Name != "export" {
		return "export "
	}
	return ""
}

// RemoveBOM takes the byte order mark away.
func (f *File) RemoveBOM() { f.HasBOM = false }
