package scan

import (
	"bytes"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/scan/rules"
)

// What is said of a keyword depends on these many bytes around it only, so that it
// does not matter where a text is cut.
const (
	behind = 1 << 10
	ahead  = 16 << 10
)

// raw is what may become a finding. Its spans are those of the text that was
// searched.
type raw struct {
	judgement
	rule          *rule
	secret, match span
	text          string // the secret, decoded
	name          string
	checked       verdict
	decoded       []string
	line          string
	allowed       bool // by a comment on its line
}

// job searches one text, or one piece of one.
type job struct {
	scanner *Scanner
	place   *place
	b       []byte
	depth   int // how many encodings may still be undone

	found []raw

	last     span // name that was read last, in b
	lastRead assignment
	lastOK   bool

	judged     span // name whose value was judged last
	judgedKind nameKind
}

// run searches for everything that begins in b[from:to].
func (j *job) run(from, to int) {
	j.last, j.judged = span{-1, -1}, span{-1, -1}
	j.scanner.table.each(j.b, from, to, j.hit)
	if j.depth > 0 {
		j.decode(from, to)
	}
}

// hit looks at what a keyword announces.
func (j *job) hit(w *keyword, at int) {
	if w.inVain(j.b, at) {
		return
	}
	for _, r := range w.rules {
		if r.data.Files != nil || r.data.Path != "" {
			if !r.appliesTo(j.place) {
				continue
			}
		}
		n := len(w.text)
		switch {
		case r.data.Token != "":
			j.token(r, at, n)
		case r.data.Value != "":
			j.value(r, at, n)
		case r.data.Pattern != "":
			j.pattern(r, at)
		default:
			lo, hi := max(0, at-behind), min(len(j.b), at+ahead)
			readerOf(r.data.Parser)(&view{j: j, r: r, b: j.b[lo:hi], off: lo}, at-lo, n)
		}
	}
}

// token matches the rule's shape at the beginnings of tokens at or before the
// keyword.
func (j *job) token(r *rule, at, n int) {
	if !r.ready() {
		return
	}
	lo, hi := max(0, at-behind), min(len(j.b), at+ahead)
	for start := at; start >= max(lo, at-80); start-- {
		if start > lo && !startsToken(j.b, start) {
			continue
		}
		end, secret, ok := r.shape.match(j.b[:hi], start)
		if ok && end > at && (end == hi || !isWordByte(j.b[end]) || !isWordByte(j.b[end-1])) {
			text := string(j.b[secret.start:secret.end])
			v := check(r.data.Checksum, text)
			name := ""
			if v == checkedWrong {
				name = secretNameBefore(j.b, start)
			}
			j.add(raw{rule: r, secret: secret, match: span{start, end}, text: text, checked: v, judgement: judgeToken(r, text, name, j.place, v)})
			return
		}
		if start < at && (j.b[start] == ' ' || j.b[start] == '\n') {
			return
		}
	}
}

// startsToken says whether a token may begin at b[at]: no letter, digit or
// underscore adjoins, other than that of an escape such as \n.
func startsToken(b []byte, at int) bool {
	c := b[at-1]
	if !isWordByte(c) {
		return true
	}
	return at > 1 && b[at-2] == '\\' && strings.IndexByte("ntr", c) >= 0
}

// pattern tries the rule's expression around the keyword.
func (j *job) pattern(r *rule, at int) {
	if !r.ready() {
		return
	}
	before, after := r.data.Before, r.data.After
	if before == 0 {
		before = 256
	}
	if after == 0 {
		after = 256
	}
	j.patternIn(r, max(0, at-min(before, behind)), min(len(j.b), at+min(after, ahead)), span{0, len(j.b)}, 8)
}

// patternIn tries the rule's expression on b[lo:hi], for so many secrets at most that
// begin in core; negative: all.
func (j *job) patternIn(r *rule, lo, hi int, core span, most int) {
	for _, loc := range r.pattern.FindAllSubmatchIndex(j.b[lo:hi], most) {
		g := r.data.Group
		for i := 1; g == 0 && 2*i < len(loc); i++ {
			if loc[2*i] >= 0 && loc[2*i+1] > loc[2*i] {
				g = i
			}
		}
		if 2*g+1 >= len(loc) || loc[2*g] < 0 {
			continue
		}
		s := span{lo + loc[2*g], lo + loc[2*g+1]}
		if s.start < core.start || s.start >= core.end {
			continue
		}
		text := string(j.b[s.start:s.end])
		j.add(raw{rule: r, secret: s, match: span{lo + loc[0], lo + loc[1]}, text: text, judgement: judgeToken(r, text, "", j.place, unchecked)})
	}
}

// assignment reads the assignment whose name has a keyword at at. The same one is
// read once, whatever number of keywords its name has.
func (j *job) assignment(at, n int) (assignment, bool) {
	name, ok := nameAround(j.b, at, n)
	if !ok {
		return assignment{}, false
	}
	if name == j.last {
		return j.lastRead, j.lastOK
	}
	lo, hi := max(0, name.start-behind/2), min(len(j.b), name.start+ahead/2)
	a, ok := readAssignment(j.b[lo:hi], span{name.start - lo, name.end - lo}, j.place)
	a.name, a.value = shift(a.name, lo), shift(a.value, lo)
	j.last, j.lastRead, j.lastOK = name, a, ok
	return a, ok
}

func shift(s span, by int) span { return span{s.start + by, s.end + by} }

// value matches the rule's shape with what is assigned to a name.
func (j *job) value(r *rule, at, n int) {
	a, ok := j.assignment(at, n)
	if !ok || !r.ready() {
		return
	}
	name := string(j.b[a.name.start:a.name.end])
	if len(r.data.With) > 0 {
		context := oneSeparator(string(j.b[max(0, a.name.start-40):a.name.end]))
		if !slices.ContainsFunc(r.data.With, func(w string) bool { return strings.Contains(context, oneSeparator(w)) }) {
			return
		}
	}
	value := a.value
	if (r.blanks() || j.b[value.start] == '=') && !a.quoted && a.form == formAssign {
		value = j.wholeLine(value)
	}
	for _, form := range j.forms(value) {
		text := []byte(form.text)
		end, group, ok := r.shape.match(text, 0)
		if !ok || end != len(text) {
			continue
		}
		secret := form.text[group.start:group.end]
		jd := judgeToken(r, secret, "", j.place, unchecked)
		if !r.blanks() && isIdentifier(secret) {
			jd.add(-0.6, "reads like a name")
		}
		jd.reasons = append(jd.reasons, "assigned to "+name)
		j.add(raw{rule: r, secret: value, match: span{a.name.start, value.end}, text: secret, name: name, decoded: form.decoded, judgement: jd})
		return
	}
}

func containsAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, strings.ToLower(w)) {
			return true
		}
	}
	return false
}

// wholeLine extends a value without quotes, which ends at the first blank, to the
// end of its line or to a comment.
func (j *job) wholeLine(s span) span {
	rest := j.b[s.start:min(len(j.b), s.start+maxBare)]
	if end := bytes.IndexAny(rest, "\r\n"); end >= 0 {
		rest = rest[:end]
	}
	if end := bytes.Index(rest, []byte(" #")); end >= 0 {
		rest = rest[:end]
	}
	return trimSpan(j.b, span{s.start, s.start + len(rest)})
}

// valueForm is a value as it stands, or decoded.
type valueForm struct {
	text    string
	decoded []string
}

// forms are what a value may say: itself, and what it says in base 64.
func (j *job) forms(s span) []valueForm {
	text := string(j.b[s.start:s.end])
	out := []valueForm{{text: text}}
	if plain, ok := plainBase64(text); ok && j.depth > 0 {
		out = append(out, valueForm{plain, []string{"base64"}})
	}
	return out
}

// readNamedPassword reads what is assigned to the name of a password.
func readNamedPassword(v *view, at, n int) { v.named(namePassword, at, n) }

// readNamedSecret reads what is assigned to the name of a key or token.
func readNamedSecret(v *view, at, n int) { v.named(nameSecret, at, n) }

func (v *view) named(kind nameKind, at, n int) {
	j := v.j
	a, ok := j.assignment(at+v.off, n)
	if !ok || (j.judged == a.name && j.judgedKind == kind) {
		return
	}
	j.judged, j.judgedKind = a.name, kind
	name := string(j.b[a.name.start:a.name.end])
	if classifyName(name) != kind {
		return
	}
	var best raw
	for _, f := range j.forms(a.value) {
		if f.text == "" {
			continue
		}
		jd := judgeNamed(kind, name, f.text, a, j.place)
		if f.decoded != nil {
			jd.reasons = append(jd.reasons, "in base 64")
		}
		if jd.score > best.score || (f.decoded != nil && jd.score >= DefaultThreshold) {
			best = raw{rule: v.r, secret: a.value, match: span{a.name.start, a.value.end}, text: f.text, name: name, decoded: f.decoded, judgement: jd}
		}
	}
	if best.rule != nil {
		j.add(best)
	}
}

// add keeps what was found, unless it is sure to be nothing.
func (j *job) add(f raw) {
	if f.secret.end <= f.secret.start || (f.score < j.scanner.opts.Threshold && f.checked == unchecked) || f.score <= 0 {
		return
	}
	f.line = lineAt(j.b, f.secret)
	f.allowed = allowedBy(f.line) || allowedAbove(j.b, f.secret.start)
	if len(f.rule.data.Allow) > 0 && f.rule.ready() && f.rule.allows(j.place, f.text, string(j.b[f.match.start:f.match.end]), f.line) {
		return
	}
	j.found = append(j.found, f)
}

// allowedBy says whether a line says that what is on it may be there.
func allowedBy(line string) bool {
	return strings.Contains(line, "coffer:allow") || strings.Contains(line, "gitleaks:allow")
}

// allowedAbove says whether the line above that of b[at] says so of the next one.
func allowedAbove(b []byte, at int) bool {
	before := b[max(0, at-500):at]
	end := bytes.LastIndexByte(before, '\n')
	if end < 0 {
		return false
	}
	above := before[bytes.LastIndexByte(before[:end], '\n')+1 : end]
	return bytes.Contains(above, []byte("coffer:allow-next-line"))
}

// lineAt is the line on which s begins, as far as it is near.
func lineAt(b []byte, s span) string {
	from, to := max(0, s.start-200), min(len(b), s.end+200)
	if i := bytes.LastIndexByte(b[from:s.start], '\n'); i >= 0 {
		from += i + 1
	}
	if i := bytes.IndexByte(b[s.end:to], '\n'); i >= 0 {
		to = s.end + i
	}
	return string(b[from:to])
}

// view is the text around a keyword, as readers see it.
type view struct {
	j   *job
	r   *rule
	b   []byte
	off int // of b in the job's text
}

// found reports a secret of the rule at s.
func (v *view) found(s, match span, jd judgement, decoded ...string) {
	v.foundText(string(v.b[s.start:s.end]), s, match, jd, decoded...)
}

// foundText is found for a secret that does not stand there in so many bytes.
func (v *view) foundText(text string, s, match span, jd judgement, decoded ...string) {
	v.j.add(raw{rule: v.r, secret: shift(s, v.off), match: shift(match, v.off), text: text, judgement: jd, decoded: decoded})
}

// start is the judgement that readers begin with.
func (v *view) start(why string) judgement {
	return judgement{score: v.r.base(), reasons: []string{why}}
}

// readerOf returns the reader of a name, or nil.
func readerOf(p rules.Parser) func(v *view, at, n int) {
	switch p {
	case rules.NamedPassword:
		return readNamedPassword
	case rules.NamedSecret:
		return readNamedSecret
	case rules.URL:
		return readURL
	case rules.Bearer:
		return readBearer
	case rules.Basic:
		return readBasic
	case rules.PEM:
		return readPEM
	case rules.JWT:
		return readJWT
	case rules.JWK:
		return readJWK
	case rules.SQL:
		return readSQL
	case rules.Netrc:
		return readNetrc
	case rules.Pgpass:
		return readPgpass
	case rules.DockerAuth:
		return readDockerAuth
	case rules.CommandLine:
		return readCommandLine
	}
	return nil
}
