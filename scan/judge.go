package scan

import (
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strings"
)

// judgement is how sure we are, and why.
type judgement struct {
	score   float64
	reasons []string
}

func (j *judgement) add(by float64, why string) {
	j.score = math.Max(0, math.Min(1, j.score+by))
	j.reasons = append(j.reasons, why)
}

// none is what is said of a value that is no secret.
func none(why string) judgement { return judgement{reasons: []string{why}} }

// judgeToken judges what has the shape of an issuer's token; name is that of a
// secret to which it is assigned, if it matters. A wrong checksum weighs less there:
// whoever wrote the name meant a secret.
func judgeToken(r *rule, secret, name string, p *place, v verdict) judgement {
	j := judgement{score: r.base(), reasons: []string{"has the shape of a " + r.data.Description}}
	switch v {
	case checkedRight:
		j.add(0.1, "its checksum is right")
		return j
	case checkedWrong:
		if name == "" {
			j.add(-0.65, "its checksum is wrong")
			return j
		}
		j.add(-0.35, fmt.Sprintf("its checksum is wrong, but it is assigned to %q", name))
	}
	if f := filler(strings.TrimPrefix(secret, issuerPrefix(secret))); f != "" {
		j.add(-0.6, "holds a placeholder: "+f)
	}
	if r.data.MinEntropy > 0 && entropy(secret) < r.data.MinEntropy {
		j.add(-0.6, "is too regular")
	}
	j.place(p, 0.3)
	return j
}

// issuerPrefix is the beginning of a token that its issuer chose: up to the last
// separator in its first quarter.
func issuerPrefix(secret string) string {
	return secret[:strings.LastIndexAny(secret[:min(len(secret)/3, 12)], "_-.:")+1]
}

// place adds what the file tells; weight is how much that matters.
func (j *judgement) place(p *place, weight float64) {
	for _, c := range []struct {
		is  bool
		by  float64
		why string
	}{
		{p.lock, -0.6, "in a lock file"}, {p.locale, -0.5, "in a translation"}, {p.binary, -0.3, "in a binary file"},
		{p.minified, -0.1, "in minified code"}, {p.test, -0.08, "in a test"}, {p.doc, -0.1, "in documentation"},
	} {
		if c.is {
			j.add(c.by*weight, c.why)
		}
	}
}

// judgeNamed judges what is assigned to a name of the kind.
func judgeNamed(kind nameKind, name, value string, a assignment, p *place) judgement {
	switch {
	case strings.EqualFold(name, "pass") && (a.colon || a.form != formAssign) && !a.quoted && !p.settings, name == "PASS" && (a.colon || a.form != formAssign):
		return none("what programs say of their tests")
	case (name == "PWD" || name == "OLDPWD") && strings.HasPrefix(value, "/"):
		return none("the working folder")
	case isReference(value) || (a.interpolate && strings.Contains(value, "{")):
		return none("names a secret instead of being one")
	case sameWords(name, value):
		return none("repeats its name")
	}
	if a.colon && !a.quoted && !p.settings && strings.HasSuffix(value, ".") && all(value[:len(value)-1], isLetter) {
		return none("the end of a sentence")
	}
	low := strings.ToLower(value)
	if f := filler(value); f != "" && !commonPasswords.has(low) {
		return none("a placeholder: " + f)
	}
	if isNameOfSecret(low) {
		return none("a name for a secret")
	}
	if rest := strings.TrimLeft(value, "\"'` "); strings.HasPrefix(rest, "+") && (rest != value || strings.Contains(value, " ")) {
		return none("put together by a program")
	}
	var j judgement
	if kind == namePassword {
		j = judgePassword(value, a, p)
	} else {
		j = judgeSecret(value)
	}
	j.reasons = append([]string{fmt.Sprintf("assigned to %q", name)}, j.reasons...)
	j.form(a, value, p)
	j.place(p, 1)
	return j
}

// isNameOfSecret says whether the value, in lower case, is what secrets are called,
// alone or with other words.
func isNameOfSecret(low string) bool {
	if passwordWords.has(low) || secretWords.has(low) {
		return true
	}
	if strings.HasSuffix(low, "password") && all(low, func(c byte) bool { return isLetter(c) || c == '_' || c == '-' }) {
		return true
	}
	if !isIdentifier(low) || strings.ContainsAny(low, "!#$%^&*()+=?@~|<>") {
		return false
	}
	words := splitWords(low)
	last := words[len(words)-1]
	return passwordWords.has(last) || secretWords.has(last) || strings.HasSuffix(last, "password")
}

// sameWords says whether the value says no more than the name.
func sameWords(name, value string) bool {
	words := splitWords(value)
	return len(words) > 0 && (strings.Join(words, "") == strings.Join(splitWords(name), "") ||
		strings.HasSuffix(strings.Join(splitWords(name), ""), strings.Join(words, "")))
}

func (j *judgement) form(a assignment, value string, p *place) {
	bare := !a.quoted && a.form != formConnect
	switch {
	case bare && p.code && !looksRandom(value):
		j.add(-0.6, "an expression of code")
	case bare && !p.settings && a.form == formAssign:
		j.add(-0.05, "without quotes")
	}
	switch a.form {
	case formCompare:
		j.add(-0.1, "compared, not assigned")
	case formCall, formPair:
		j.add(-0.08, "an argument")
	case formSpace, formFlag:
		j.add(-0.05, "next to the name only")
	}
	if bare && !p.settings && value[0] == '@' {
		j.add(-0.5, "the name of a file")
	}
	if bare && !p.settings && strings.ContainsAny(value, "()") {
		j.add(-0.5, "a call")
	}
}

// looksRandom says whether no person and no program has chosen the value for what
// it says.
func looksRandom(value string) bool {
	m := makeupOf(value)
	return len(value) >= 16 && m.digits >= 3 && m.letters() >= 3 && m.spaces == 0 && !strings.Contains(value, ".") && m.symbols*6 <= len(value) && entropy(value) >= 3.2 && !isIdentifier(value)
}

// judgePassword judges what people choose.
func judgePassword(value string, a assignment, p *place) judgement {
	j := judgement{score: 0.62}
	m := makeupOf(value)
	switch n := len(value); {
	case n < 3 || n > 200:
		return none("too short or too long for a password")
	case commonPasswords.has(strings.ToLower(value)):
		j.add(0.1, "a password that many use")
		return j
	case isPath(value):
		return none("a path or an address")
	case isPasswordHash(value):
		j.add(-0.25, "a hash of a password")
		return j
	case m.spaces > 0 && m.letters() > m.digits+m.symbols:
		return none("a sentence")
	case m.letters() == 0 && m.digits == 0:
		return none("only punctuation")
	case m.digits == n && n < 4:
		return none("a number")
	case m.letters() == n && len(splitWords(value)) == 1:
		j.word(value, a, p)
	case isWordsAndNumber(value):
		j.add(-0.05, "words with a number, as people choose")
	case m.letters() > 0 && isIdentifier(value) && !strings.ContainsAny(value, "!#$%^&*()+=?@~|<>"):
		j.add(-0.3, "reads like a name")
	case m.symbols > n/2:
		j.add(-0.3, "mostly punctuation")
	case m.kinds() > 1:
		j.add(0.08*float64(m.kinds()-1), "letters, digits and signs")
	}
	if len(value) >= 8 {
		j.add(0.05, "long enough for a password")
	}
	return j
}

// isWordsAndNumber says whether value is words in camel case and then a number of
// two digits or more, none of the words one for a secret.
func isWordsAndNumber(value string) bool {
	text := trimDigits(value)
	words := splitWords(text)
	return len(value)-len(text) >= 2 && len(words) > 1 && all(text, isLetter) && isUpper(text[0]) &&
		!slices.ContainsFunc(words, func(w string) bool { return passwordWords.has(w) || secretWords.has(w) })
}

// word judges a password of letters only.
func (j *judgement) word(value string, a assignment, p *place) {
	switch {
	case strangeness(value) >= 10.2 && len(value) >= 8:
		j.add(0.05, "letters that are no word")
	case p.settings && a.form != formSpace:
		j.add(-0.08, "a plain word")
	default:
		j.add(-0.15, "a plain word")
	}
}

// judgeSecret judges what machines choose.
func judgeSecret(value string) judgement {
	m, n, h := makeupOf(value), len(value), entropy(value)
	switch {
	case n < 8 || m.spaces > 0 || m.other > 0 || n > 1000:
		return none("not of the form of a key")
	case m.digits == n, m.letters() == 0:
		return none("has no letters")
	case strings.Contains(value, `\u`), strings.Contains(value, `\x`):
		return none("escapes for other characters")
	case isPath(value):
		return none("a path or an address")
	case isIdentifier(value):
		return none("reads like a name")
	case isUUID(value):
		return judgement{score: 0.62, reasons: []string{"a UUID"}}
	case all(value, isHex):
		return judgeHex(n, h)
	}
	j := judgement{score: 0.3}
	switch {
	case n >= 32:
		j.add(0.25, "long")
	case n >= 20:
		j.add(0.2, "long")
	case n >= 16:
		j.add(0.1, "of sixteen characters and more")
	}
	if m.digits > 0 && m.letters() > 0 {
		j.add(0.12, "letters and digits")
	}
	if m.digits > 0 && m.upper > 0 && m.lower > 0 {
		j.add(0.08, "in both cases")
	}
	if h >= 3.5 {
		j.add(0.05, fmt.Sprintf("%.1f bits of entropy a byte", h))
	}
	if n < 12 {
		j.add(-0.1, "short for a key")
	}
	if h < 2.6 {
		j.add(-0.3, "too regular")
	}
	switch s := strangeness(value); {
	case s >= 10:
		j.add(0.1, "letters that are no words")
	case s > 0 && s < 8.8 && m.letters() > n/2:
		j.add(-0.25, "reads like words")
	}
	if others := m.symbols - strings.Count(value, "-") - strings.Count(value, "_") - strings.Count(value, "+") - strings.Count(value, "/") -
		strings.Count(value, "=") - strings.Count(value, "."); others > n/4 {
		j.add(-0.3, "much punctuation")
	}
	return j
}

func judgeHex(n int, h float64) judgement {
	switch {
	case h < 2.5:
		return none("too regular")
	case n >= 32:
		return judgement{score: 0.72, reasons: []string{"hexadecimal, long"}}
	case n >= 16:
		return judgement{score: 0.6, reasons: []string{"hexadecimal"}}
	}
	return judgement{score: 0.35, reasons: []string{"hexadecimal, short"}}
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (s[i] == '-') || (!dash && !isHex(s[i])) {
			return false
		}
	}
	return true
}

// isPath says whether s is a path, an address or a file's name.
func isPath(s string) bool {
	low := strings.ToLower(s)
	switch {
	case strings.Contains(s, "://"), strings.HasPrefix(s, "./"), strings.HasPrefix(s, "../"), strings.HasPrefix(s, "~/"), strings.HasPrefix(low, "c:\\"), strings.HasPrefix(s, "www."):
		return true
	case strings.HasPrefix(s, "/") && (strings.Count(s, "/") > 1 || all(s[1:], isLetter)):
		return !looksRandom(strings.ReplaceAll(s, "/", ""))
	case strings.Count(s, "/") > 0 && isIdentifier(strings.ReplaceAll(s, "/", "_")):
		return true
	}
	for _, ext := range []string{".pem", ".key", ".crt", ".txt", ".json", ".yaml", ".yml", ".xml", ".html", ".php", ".go", ".js", ".py", ".com", ".org", ".net", ".io", ".local", ".svg", ".png", ".conf", ".cfg", ".ini", ".env", ".jks", ".p12"} {
		if strings.HasSuffix(low, ext) {
			return true
		}
	}
	return false
}

// isPasswordHash says whether s is what crypt(3), bcrypt, LDAP or a framework keeps
// of a password.
func isPasswordHash(s string) bool {
	for _, p := range []string{"$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$argon2", "$pbkdf2", "$scrypt", "{SSHA", "{SHA", "{MD5", "{CRYPT", "pbkdf2", "sha1$", "bcrypt", "$P$", "$apr1$", "$y$", "SCRAM-SHA", "{bcrypt}", "{noop}"} {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// plainBase64 returns what the value says in base 64, if that is text of a length
// that chance does not make.
func plainBase64(value string) (string, bool) {
	if len(value) < 8 || len(value)%4 != 0 {
		return "", false
	}
	raw, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return "", false
	}
	text := strings.TrimRight(string(raw), "\r\n")
	for i := range len(text) {
		if text[i] < 0x20 || text[i] > 0x7e {
			return "", false
		}
	}
	return text, len(text) >= 5
}
