package scan

import (
	"bytes"
	"strings"
)

// separators between a name and its value, longer ones first.
var separators = []struct {
	text string
	form form
}{
	{"===", formCompare}, {"!==", formCompare}, {"==", formCompare}, {"!=", formCompare},
	{"=>", formAssign}, {":=", formAssign}, {"?=", formAssign}, {"+=", formAssign}, {"||=", formAssign}, {"??=", formAssign},
	{"=", formAssign}, {`\u003d`, formAssign}, {"%3d", formConnect}, {"<-", formAssign},
}

// afterName reads what follows a name without quotes of its own.
func (r *reader) afterName(a *assignment) bool {
	switch {
	case r.peek() == '(':
		return r.call(a)
	case r.peek() == '[': // char password[32] = …, $config[password][0] = …
		end := bytes.IndexByte(r.b[r.at:min(len(r.b), r.at+24)], ']')
		if end < 0 {
			return false
		}
		r.at += end + 1
	case (r.peek() == '?' || r.peek() == '!') && r.at+1 < len(r.b) && r.b[r.at+1] == ':':
		r.at++
	}
	gap := r.blanks()
	if c := r.peek(); c == '\n' || c == '\r' || c == ',' {
		return r.valueElsewhere(a)
	}
	if r.skip("=~") || r.skip("->") || r.skip("::") {
		return false
	}
	start := r.at
	if gap == 0 && !r.place.code && r.doubled() { // the value begins with =
		r.at++
		return r.assigned(a, start, gap)
	}
	for _, s := range separators {
		if r.skip(s.text) {
			a.form = s.form
			return r.assigned(a, start, gap)
		}
	}
	switch {
	case r.skip(":"):
		a.colon = true
		return r.afterColon(a)
	case gap > 0:
		return r.afterBlank(a)
	}
	return false
}

// doubled says whether == and a value come next on a line that a name begins.
func (r *reader) doubled() bool {
	rest := r.b[r.at:]
	if len(rest) < 3 || string(rest[:2]) != "==" || rest[2] == '=' || isSpace(rest[2]) || rest[2] == '"' || rest[2] == '\'' {
		return false
	}
	from := r.at
	for from > 0 && isNameByte(r.b[from-1]) {
		from--
	}
	prefix := linePrefix(r.b, from)
	return isLineStart(prefix) || string(prefix) == "+" // of a diff
}

// assigned reads the value behind a separator at sep.
func (r *reader) assigned(a *assignment, sep, gap int) bool {
	tight := gap == 0 && r.b[sep] == '=' && r.at < len(r.b) && !isBlank(r.b[r.at])
	before := byte(0)
	if a.name.start > 0 {
		before = r.b[a.name.start-1]
	}
	if tight && (before == '?' || before == '&') {
		a.form = formConnect
	}
	if !r.value(a) {
		return false
	}
	next := byte(0)
	if a.value.end < len(r.b) {
		next = r.b[a.value.end]
	}
	inText := before == ';' || before == '"' || before == '\'' || before == '&' || before == '?'
	if tight && !a.quoted && (inText && (next == ';' || next == '"' || next == '\'' || next == '&') || next == ';' && before == ' ' && !r.place.code) {
		a.form = formConnect
	}
	return true
}

// afterColon reads a value, or a type and then a value.
func (r *reader) afterColon(a *assignment) bool {
	if r.peek() == ':' {
		return false
	}
	r.blanks()
	if c := r.peek(); (c == '|' || c == '>') && r.at+1 < len(r.b) { // a block of YAML
		line := bytes.IndexByte(r.b[r.at:min(len(r.b), r.at+8)], '\n')
		if line < 0 {
			return false
		}
		r.at += line + 1
		r.blanks()
	}
	if r.place.code && !r.quote() {
		for i := r.at; i < min(len(r.b), r.at+80); i++ {
			switch c := r.b[i]; {
			case c == '=' && i+1 < len(r.b) && r.b[i+1] != '=' && r.b[i+1] != '>':
				r.at = i + 1
				return r.value(a)
			case !isWordByte(c) && strings.IndexByte("<>[]?., |&*", c) < 0:
				return r.value(a)
			}
		}
	}
	return r.value(a)
}

// afterBlank reads a value that only blanks part from its name, and the one of a
// declaration whose type follows the name.
func (r *reader) afterBlank(a *assignment) bool {
	if i := r.at; isLetter(r.peek()) || r.peek() == '*' || r.peek() == '[' {
		for i < min(len(r.b), r.at+40) && (isWordByte(r.b[i]) || strings.IndexByte("*[].<>", r.b[i]) >= 0) {
			i++
		}
		for i < len(r.b) && isBlank(r.b[i]) {
			i++
		}
		if i+1 < len(r.b) && r.b[i] == '=' && r.b[i+1] != '=' && r.place.code {
			r.at = i + 1
			return r.value(a)
		}
	}
	a.form = formSpace
	head := linePrefix(r.b, a.name.start)
	last := head[bytes.LastIndexAny(head, " \t")+1:]
	switch {
	case len(head) == 0:
		if !r.place.settings && !r.digitsAhead() {
			return false
		}
	case isOneOf(last, "set", "setx", "env", "arg", "export", "setenv", "default", "property", "option", "conf", "param", "add"):
	case !isLogin(head):
		return false
	}
	if !r.value(a) {
		return false
	}
	rest := r.b[min(len(r.b), r.at):min(len(r.b), r.at+1)]
	if bytes.IndexByte(r.b[a.value.start:a.value.end], '=') > 0 && !a.quoted { // another name, with a value
		return false
	}
	return a.quoted || len(rest) == 0 || isSpace(rest[0]) || rest[0] == ';'
}

// digitsAhead says whether the next word has a digit.
func (r *reader) digitsAhead() bool {
	for i := r.at; i < len(r.b) && !isSpace(r.b[i]); i++ {
		if isDigit(r.b[i]) {
			return !r.place.code
		}
	}
	return false
}

// isLogin says whether head ends in what precedes a password in a netrc file:
// login NAME.
func isLogin(head []byte) bool {
	f := bytes.Fields(head)
	return len(f) >= 2 && bytes.EqualFold(f[len(f)-2], []byte("login"))
}

func isOneOf(word []byte, list ...string) bool {
	for _, l := range list {
		if len(l) == len(word) && strings.EqualFold(l, string(word)) {
			return true
		}
	}
	return false
}

// linePrefix is what stands before at on its line, without the blanks around it.
func linePrefix(b []byte, at int) []byte {
	from := max(0, at-80)
	if i := bytes.LastIndexByte(b[from:at], '\n'); i >= 0 {
		from += i + 1
	}
	return bytes.TrimSpace(b[from:at])
}

// call reads the only argument of setPassword("…") and the like.
func (r *reader) call(a *assignment) bool {
	r.at++
	r.blanks()
	name := string(r.b[a.name.start:a.name.end])
	name = name[strings.LastIndexAny(name, ".>")+1:]
	parts := splitWords(name)
	switch {
	case len(parts) == 0, !r.quote():
		return false
	case len(parts) > 1 && parts[0] != "set" && parts[0] != "with" && parts[0] != "use" && parts[0] != "add":
		return false
	case classifyName(name) != namePassword && classifyName(name) != nameSecret:
		return false
	}
	a.form = formCall
	if !r.value(a) {
		return false
	}
	r.blanks()
	return r.peek() == ')' || r.peek() == ','
}

// value reads the value that comes next: in quotes, or bare.
func (r *reader) value(a *assignment) bool {
	r.blanks()
	if r.peek() == '(' && a.form != formSpace { // ("…")
		r.at++
	}
	i, prefix := r.at, 0
	for i < len(r.b) && prefix < 3 && strings.IndexByte("fFrRbBuULl@$8", r.b[i]) >= 0 {
		i++
		prefix++
	}
	slashes := 0
	for i+slashes < len(r.b) && r.b[i+slashes] == '\\' && slashes < 8 {
		slashes++
	}
	if q := i + slashes; q < len(r.b) && (r.b[q] == '"' || r.b[q] == '\'' || r.b[q] == '`') {
		a.quoted = true
		a.interpolate = r.b[q] == '`' || strings.ContainsAny(string(r.b[r.at:i]), "fF$")
		return r.inQuotes(a, i, slashes, r.b[q])
	}
	for _, entity := range []string{"&quot;", `\u0022`, "&#34;", "%22"} {
		if r.skip(entity) {
			a.quoted = true
			return r.until(a, r.at, []byte(entity))
		}
	}
	return r.bare(a)
}

// inQuotes reads a value whose quote, with so many backslashes before it, is at
// from.
func (r *reader) inQuotes(a *assignment, from, slashes int, quote byte) bool {
	start := from + slashes + 1
	if slashes > 0 {
		return r.until(a, start, r.b[from:start])
	}
	triple := []byte{quote, quote, quote}
	if bytes.HasPrefix(r.b[from:], triple) {
		return r.until(a, from+3, triple)
	}
	for i := start; i < min(len(r.b), start+maxValue); i++ {
		switch c := r.b[i]; {
		case c == quote && i+1 < len(r.b) && r.b[i+1] == quote && quote == '\'' && r.place.yaml:
			i++
		case c == quote:
			a.value, r.at = span{start, i}, i+1
			return i > start
		case c == '\n' && quote != '`':
			return false
		case c == '\\':
			i++
		}
	}
	return false
}

func (r *reader) until(a *assignment, start int, end []byte) bool {
	n := bytes.Index(r.b[start:min(len(r.b), start+maxValue)], end)
	if n <= 0 || bytes.IndexByte(r.b[start:start+n], '\n') >= 0 && len(end) != 3 {
		return false
	}
	a.value, r.at = span{start, start + n}, start+n+len(end)
	return true
}

// bare reads a value without quotes: to the end of the line where lines are
// settings, else to the first byte that ends one somewhere.
func (r *reader) bare(a *assignment) bool {
	start := r.at
	whole := r.place.settings && a.form == formAssign && isLineStart(linePrefix(r.b, a.name.start))
	stop := " \t\n\r\"'`,;()[]{}<>\\|&"
	switch {
	case whole:
		stop = "\n\r"
	case a.form == formConnect:
		stop = " \t\n\r\"'`;&<>\\#"
	case a.form == formFlag || a.form == formSpace:
		stop = " \t\n\r\"'`;|&<>"
	}
	end := start
	for end < min(len(r.b), start+maxBare) && strings.IndexByte(stop, r.b[end]) < 0 {
		if whole && r.b[end] == '#' && isBlank(r.b[end-1]) {
			break
		}
		end++
	}
	a.value = trimSpan(r.b, span{start, end})
	r.at = end
	return end < start+maxBare && a.value.end > a.value.start
}

// isLineStart says whether what stands before a name on its line leaves it the
// first of the line.
func isLineStart(prefix []byte) bool {
	return len(prefix) == 0 || isOneOf(prefix, "export", "-", "set", "env", "arg", "environment=", "declare -x", "local", "readonly", "!")
}
