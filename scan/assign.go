package scan

import (
	"bytes"
	"strings"
)

// form is how a value is given to a name.
type form uint8

const (
	formAssign   form = iota // name = value, name: value
	formDefault              // getenv("NAME", "value"), variable "name" { default = "value" }
	formCompare              // name == "value"
	formCall                 // setName("value"), name("value")
	formPair                 // put("name", "value")
	formElement              // <name>value</name>
	formFlag                 // --name value
	formSpace                // name value, as in netrc and many settings
	formConnect              // …;name=value;…
	formElsewise             // name: NAME, value: value
)

// assignment is a name with what is assigned to it.
type assignment struct {
	name, value span
	form        form
	quoted      bool
	colon       bool // stands between them
	interpolate bool // f"…", `…`: a template if it has holes
}

// maxName and maxValue bound what the reader looks at.
const (
	maxName  = 128
	maxValue = 4096
	maxBare  = 1024 // without quotes
)

func isNameByte(c byte) bool {
	return isWordByte(c) || c == '-' || c == '.' || c == '$' || c >= 0x80
}

// nameAround returns the whole name in which a keyword stands; ok is false if it
// is longer than a name can be.
func nameAround(b []byte, at, n int) (span, bool) {
	s := span{at, at + n}
	for s.start < s.end && !isNameByte(b[s.start]) { // keywords such as <pass
		s.start++
	}
	for s.end > s.start && !isNameByte(b[s.end-1]) { // and "pass ="
		s.end--
	}
	if s.start == s.end {
		return s, false
	}
	for s.start > 0 && isNameByte(b[s.start-1]) {
		if s.start--; at-s.start > maxName {
			return s, false
		}
	}
	for s.end < len(b) && isNameByte(b[s.end]) {
		if s.end++; s.end-at > maxName {
			return s, false
		}
	}
	// \n and \t before a name in escaped text are not of it.
	if s.start > 0 && b[s.start-1] == '\\' && s.start+1 < at && strings.IndexByte("ntr", b[s.start]) >= 0 {
		s.start++
	}
	// -> is no part of a name, nor is a full stop after it.
	for s.end > at && (b[s.end-1] == '.' || b[s.end-1] == '-') {
		s.end--
	}
	return s, s.end > s.start
}

// readAssignment reads what is assigned to the name at s.
func readAssignment(b []byte, s span, p *place) (assignment, bool) {
	r := reader{b: b, at: s.end, place: p}
	a := assignment{name: s}
	before := byte(0)
	if s.start > 0 {
		before = b[s.start-1]
	}
	for a.name.start < a.name.end && (b[a.name.start] == '-' || b[a.name.start] == '.' || b[a.name.start] == '$') {
		a.name.start++
	}
	switch {
	case before == '<' && r.element(&a):
		return a, true
	case before == '"' || before == '\'' || before == '`':
		return a, r.afterQuotedName(&a, before)
	case a.name.start > s.start && b[s.start] == '-' && r.flag(&a):
		return a, true
	}
	return a, r.afterName(&a)
}

// reader reads forward from at.
type reader struct {
	b     []byte
	at    int
	place *place
}

func (r *reader) peek() byte {
	if r.at < len(r.b) {
		return r.b[r.at]
	}
	return 0
}

func (r *reader) blanks() int {
	start := r.at
	for isBlank(r.peek()) && r.at < len(r.b) {
		r.at++
	}
	return r.at - start
}

func (r *reader) spaces() {
	for n := 0; n < 200 && r.at < len(r.b) && isSpace(r.b[r.at]); n++ {
		r.at++
	}
}

func (r *reader) skip(text string) bool {
	if hasWord(r.b, r.at, text) {
		r.at += len(text)
		return true
	}
	return false
}

// element reads >value</ of an XML element, whose start tag may have attributes.
func (r *reader) element(a *assignment) bool {
	end := bytes.IndexByte(r.b[r.at:min(len(r.b), r.at+200)], '>')
	if end < 0 || (end > 0 && !isSpace(r.peek())) || (end > 0 && r.b[r.at+end-1] == '/') {
		return false
	}
	start := r.at + end + 1
	stop := bytes.IndexByte(r.b[start:min(len(r.b), start+maxValue)], '<')
	if stop < 0 || !bytes.HasPrefix(r.b[start+stop:], []byte("</")) {
		if !bytes.HasPrefix(r.b[start:], []byte("<![CDATA[")) {
			return false
		}
		start += len("<![CDATA[")
		if stop = bytes.Index(r.b[start:min(len(r.b), start+maxValue)], []byte("]]>")); stop < 0 {
			return false
		}
	}
	a.form, a.quoted, a.value = formElement, true, trimSpan(r.b, span{start, start + stop})
	return a.value.end > a.value.start
}

func trimSpan(b []byte, s span) span {
	for s.start < s.end && isSpace(b[s.start]) {
		s.start++
	}
	for s.end > s.start && isSpace(b[s.end-1]) {
		s.end--
	}
	return s
}

// flag reads the value of --name value; --name=value is an assignment like others.
func (r *reader) flag(a *assignment) bool {
	if r.blanks() == 0 || r.peek() == '=' || r.peek() == '-' || r.peek() == ':' {
		r.at = a.name.end
		return false
	}
	a.form = formFlag
	return r.value(a)
}

// afterQuotedName reads what follows a name in quotes: a pair of JSON, an argument,
// an index, an attribute with the value in another.
func (r *reader) afterQuotedName(a *assignment, quote byte) bool {
	slashes := 0
	for r.peek() == '\\' {
		r.at++
		slashes++
	}
	if r.peek() != quote {
		return r.afterName(a) // the name is the first word of a text: "password=…;"
	}
	r.at++
	r.blanks()
	switch r.peek() {
	case ']': // config["password"] = …
		r.at++
		return r.afterName(a)
	case ')': // env("PASSWORD") is a reference, unless something follows
		return false
	case ',':
		r.at++
		if r.valueElsewhere(a) {
			return true
		}
		r.spaces()
		if !isFirstArgument(r.b, a.name.start-1-slashes) { // a list of names
			return false
		}
		a.form = formPair
		if isLookup(r.b[:a.name.start]) {
			a.form = formDefault
		}
		return r.quote() && r.value(a)
	case '{':
		return r.terraformDefault(a)
	case '/', '>', '\n', '\r', '}':
		return r.valueElsewhere(a)
	}
	if r.valueElsewhere(a) {
		return true
	}
	return r.afterName(a)
}

// isFirstArgument says whether the quote at at opens the first argument of a call.
func isFirstArgument(b []byte, at int) bool {
	for at > 0 && (isSpace(b[at-1]) || b[at-1] == '\\') {
		at--
	}
	return at > 0 && b[at-1] == '('
}

// isLookup says whether b ends in a call that looks a name up.
func isLookup(b []byte) bool {
	tail := strings.ToLower(string(b[max(0, len(b)-24):]))
	return strings.Contains(tail, "env") || strings.Contains(tail, "get(") || strings.Contains(tail, "config(") || strings.Contains(tail, "fetch(")
}

// quote says whether a quote, maybe with a letter before it, comes next.
func (r *reader) quote() bool {
	for i := r.at; i < min(len(r.b), r.at+8); i++ {
		switch r.b[i] {
		case '"', '\'', '`':
			return true
		case '\\':
		default:
			if !isLetter(r.b[i]) && r.b[i] != '@' && r.b[i] != '$' {
				return false
			}
		}
	}
	return false
}

// valueElsewhere reads the value of a name that is itself a value:
//
//	name: DB_PASSWORD          <add key="password" value="…"/>
//	value: …                   {"name": "DB_PASSWORD", "value": "…"}
func (r *reader) valueElsewhere(a *assignment) bool {
	head := strings.ToLower(string(r.b[max(0, a.name.start-16):a.name.start]))
	head = strings.TrimRight(head, "\\\"' \t=:")
	if !strings.HasSuffix(head, "name") && !strings.HasSuffix(head, "key") && !strings.HasSuffix(head, "id") {
		return false
	}
	from := r.at
	for ; r.at < min(len(r.b), from+120); r.at++ {
		switch c := r.b[r.at]; {
		case c == '}' || c == ';':
			r.at = from
			return false
		case c == '>' && bytes.IndexByte(r.b[r.at:min(len(r.b), r.at+maxValue)], '<') > 1:
			r.at++
			stop := bytes.IndexByte(r.b[r.at:min(len(r.b), r.at+maxValue)], '<')
			a.form, a.quoted, a.value = formElement, true, trimSpan(r.b, span{r.at, r.at + stop})
			return a.value.end > a.value.start
		case lower(c) == 'v' && r.at > 0 && !isNameByte(r.b[r.at-1]) && r.skip("value"):
			a.form = formElsewise
			for r.at < len(r.b) && strings.IndexByte("\\\"'`:= \t", r.b[r.at]) >= 0 && !r.opensValue() {
				r.at++
			}
			return r.value(a)
		}
	}
	r.at = from
	return false
}

// opensValue says whether the quote at r.at begins a value: a separator stands
// before it.
func (r *reader) opensValue() bool {
	c := r.b[r.at]
	if c != '"' && c != '\'' && c != '`' && c != '\\' {
		return false
	}
	i := r.at - 1
	for i > 0 && isBlank(r.b[i]) {
		i--
	}
	return r.b[i] == '=' || r.b[i] == ':'
}

// terraformDefault reads the default of a variable block.
func (r *reader) terraformDefault(a *assignment) bool {
	block := r.b[r.at:min(len(r.b), r.at+300)]
	if end := bytes.IndexByte(block, '}'); end >= 0 {
		block = block[:end]
	}
	i := bytes.Index(block, []byte("default"))
	if i < 0 || !bytes.HasSuffix(bytes.TrimRight(r.b[:a.name.start-1], " \t"), []byte("variable")) {
		return false
	}
	r.at += i + len("default")
	r.blanks()
	if !r.skip("=") {
		return false
	}
	a.form = formDefault
	return r.value(a)
}

// secretNameBefore returns the name of a secret to which what begins at b[at] is
// assigned on its line, also after a scheme as in the header Authorization; or "".
func secretNameBefore(b []byte, at int) string {
	head := b[max(0, at-maxName):at]
	head = head[bytes.LastIndexByte(head, '\n')+1:]
	const around = " \t\"'`\\"
	head = bytes.TrimRight(head, around)
	for _, scheme := range []string{"bearer", "token", "basic"} {
		if n := len(head) - len(scheme); n > 0 && !isNameByte(head[n-1]) && hasWord(head, n, scheme) {
			head = bytes.TrimRight(head[:n], around)
			break
		}
	}
	name := bytes.TrimRight(head, around+"=:>")
	if !bytes.ContainsAny(head[len(name):], "=:>") {
		return ""
	}
	start := len(name)
	for start > 0 && isNameByte(name[start-1]) {
		start--
	}
	switch found := string(name[start:]); classifyName(found) {
	case namePassword, nameSecret:
		return found
	}
	return ""
}
