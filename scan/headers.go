package scan

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// judgeChosen judges a password that stands where only passwords do.
func (v *view) judgeChosen(j judgement, value string) judgement {
	low := strings.ToLower(value)
	switch {
	case value == "" || isReference(value):
		return none("names a secret instead of being one")
	case commonPasswords.has(low):
	case empties.has(low) || filler(value) != "":
		return none("a placeholder: " + filler(value))
	case isUpperName(value):
		return none("the name of a variable")
	case all(value, isLetter) && strangeness(value) < 10.2:
		j.add(-0.25, "a plain word")
	case isIdentifier(value) && len(splitWords(value)) > 1:
		j.add(-0.3, "reads like a name")
	}
	if len(value) < 4 {
		j.add(-0.3, "short")
	}
	j.place(v.j.place, 1)
	return j
}

// isUpperName says whether value is written as variables are: DB_PASSWORD.
func isUpperName(value string) bool {
	return strings.ToUpper(value) == value && strings.Contains(value, "_") && isIdentifier(value)
}

// readURL reads the password of scheme://user:password@host.
func readURL(v *view, at, n int) {
	start := at
	for start > 0 && at-start < 20 && (isWordByte(v.b[start-1]) || strings.IndexByte("+-.", v.b[start-1]) >= 0) {
		start--
	}
	from := at + n
	colon, sign := -1, -1
scan:
	for i := from; i < min(len(v.b), from+300); i++ {
		switch c := v.b[i]; {
		case c == ':' && colon < 0:
			colon = i
		case c == '@':
			sign = i
		case c == '/' || c == '?' || c == '#':
			// A password may hold a slash if an @ follows at once in the same word.
			if colon < 0 || sign >= 0 {
				break scan
			}
			rest := v.b[i:min(len(v.b), i+40)]
			if stop := bytes.IndexAny(rest, " \t\n\"'`<>,;)@"); stop < 0 || rest[stop] != '@' || all(string(v.b[colon+1:i]), isDigit) || c != '/' {
				break scan
			}
		case c <= ' ' || c == '"' || c == '\'' || c == '`' || c == '<' || c == '>' || c == '\\' || c == 0x7f:
			break scan
		}
	}
	if start == at || colon < 0 || sign < colon+2 || sign+1 >= len(v.b) {
		return
	}
	if host := v.b[sign+1]; !isWordByte(host) && host != '[' && host != '$' && host != '{' && host != '(' && host != '%' && host != '<' {
		return
	}
	user, password := string(v.b[from:colon]), string(v.b[colon+1:sign])
	if strings.ContainsAny(user, "/?#") {
		return
	}
	j := v.judgeChosen(v.start("stands as password in a URL"), password)
	host := strings.ToLower(string(v.b[sign+1 : min(len(v.b), sign+40)]))
	if strings.EqualFold(user, password) {
		j.add(-0.3, "the same as the user")
	}
	if strings.HasPrefix(host, "example.") || strings.HasPrefix(host, "host") || strings.HasPrefix(host, "hostname") || strings.HasPrefix(host, "server") {
		j.add(-0.3, "for a host of examples")
	}
	v.found(span{colon + 1, sign}, span{start, sign + 1}, j)
}

func isTokenByte(c byte) bool {
	return isWordByte(c) || strings.IndexByte("-._~+/=:|", c) >= 0
}

// wordAfter returns the word of token bytes behind the blanks at at.
func wordAfter(b []byte, at int) (span, bool) {
	s := span{at, at}
	for s.start < len(b) && (isBlank(b[s.start]) || (s.start+2 < len(b) && b[s.start] == '%' && b[s.start+1] == '2' && b[s.start+2] == '0')) {
		if b[s.start] == '%' {
			s.start += 2
		}
		s.start++
	}
	s.end = s.start
	for s.end < len(b) && isTokenByte(b[s.end]) && s.end-s.start < maxBare {
		s.end++
	}
	return s, s.start > at && s.end > s.start
}

// readBearer reads the token of a header.
func readBearer(v *view, at, n int) {
	if at > 0 && isWordByte(v.b[at-1]) && v.b[at-1] != '_' {
		return
	}
	s, ok := wordAfter(v.b, at+n)
	if !ok {
		return
	}
	token := strings.TrimRight(string(v.b[s.start:s.end]), ".:")
	s.end = s.start + len(token)
	j := judgeSecret(token)
	if j.score == 0 || filler(token) != "" || isReference(token) {
		return
	}
	j.reasons = append([]string{"a bearer token"}, j.reasons...)
	before := strings.ToLower(string(v.b[max(0, at-30):at]))
	if strings.Contains(before, "authorization") {
		j.add(0.15, "in an Authorization header")
	}
	j.place(v.j.place, 1)
	v.found(s, span{at, s.end}, j)
}

// readBasic reads the user name and password of a header.
func readBasic(v *view, at, n int) {
	if at > 0 && isWordByte(v.b[at-1]) {
		return
	}
	if s, ok := wordAfter(v.b, at+n); ok {
		v.userPassword(s, at, "in a header with basic authentication")
	}
}

// readDockerAuth reads the value of "auth" in a registry's settings.
func readDockerAuth(v *view, at, n int) {
	r := reader{b: v.b, at: at + n, place: v.j.place}
	r.blanks()
	if !r.skip(":") {
		return
	}
	var a assignment
	if r.value(&a) && a.quoted {
		v.userPassword(a.value, at, "logs in to a registry")
	}
}

// userPassword reports the password of base64(user:password).
func (v *view) userPassword(s span, from int, why string) {
	text := strings.TrimRight(string(v.b[s.start:s.end]), "=")
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(raw) < 4 || !isPrintable(raw) {
		return
	}
	user, password, ok := strings.Cut(string(raw), ":")
	if !ok || password == "" || bytes.IndexFunc(raw, func(r rune) bool { return r < 0x20 || r > 0x7e }) >= 0 {
		return
	}
	j := v.judgeChosen(v.start(why), password)
	if strings.EqualFold(user, password) {
		j.add(-0.3, "the same as the user")
	}
	v.foundText(password, s, span{from, s.end}, j, "base64")
}

// readSQL reads the literal that follows in a statement.
func readSQL(v *view, at, n int) {
	i := at + n
	for tries := 0; tries < 60 && i < len(v.b) && v.b[i] != '\'' && v.b[i] != '"'; tries++ {
		switch c := v.b[i]; {
		case isBlank(c) || c == '=' || c == '(' || c == '\n' || c == '\r' || c == '\\':
		case isWordByte(c) || c == '@' || c == '%' || c == '.':
		default:
			return
		}
		i++
	}
	if between := strings.ToLower(string(v.b[at+n : min(i, len(v.b))])); len(strings.Fields(between)) > 3 || (strings.TrimSpace(strings.Trim(between, `\=( `)) != "" &&
		!strings.Contains(between, "as") && !strings.Contains(between, "by") && !strings.Contains(between, "for") && !strings.Contains(between, "password") && !strings.Contains(between, "values")) {
		return
	}
	r := reader{b: v.b, at: i, place: v.j.place}
	var a assignment
	if i >= len(v.b) || !r.value(&a) || !a.quoted {
		return
	}
	value := string(v.b[a.value.start:a.value.end])
	j := v.judgeChosen(v.start("a password in a statement"), value)
	if strings.Contains(value, " ") || isPasswordHash(value) || (strings.HasPrefix(value, "*") && len(value) == 41) {
		j.add(-0.4, "a hash, or a sentence")
	}
	if statement := strings.ToLower(string(v.b[max(0, at-120):at])); !containsAny(statement, []string{"create", "alter", "grant", "user", "role", "set", "login"}) {
		j.add(-0.4, "outside of a statement")
	}
	v.found(a.value, span{at, a.value.end}, j)
}
