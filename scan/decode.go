package scan

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"io"
	"slices"
	"unicode/utf8"
)

// Encoded text is found by its alphabet alone: a run of so many bytes of base 64,
// among them hexadecimal, or a percent sign with two digits.
const (
	minRun      = 24
	maxRun      = 64 << 10
	wrappedLine = 56 // lines of this length may be continued by the next
	maxPercent  = 4 << 10
)

// decode searches what encodings hide that begin in b[from:to].
func (j *job) decode(from, to int) {
	for i := from; i < to; {
		s := nextRun(j.b, i, to)
		if s.start < 0 {
			break
		}
		j.decodeRun(s)
		i = s.end
	}
	if j.place.binary {
		j.decodeWide(from, to)
	}
	for i := from; i < to; i++ {
		n := bytes.IndexByte(j.b[i:to], '%')
		if n < 0 {
			break
		}
		if i += n; isEscape(j.b, i) {
			j.decodePercent(i)
		}
	}
}

var base64Class = func() (class [256]bool) {
	for _, c := range []byte(base62 + "+/-_") {
		class[c] = true
	}
	return class
}()

// nextRun returns the next run of base 64 that begins in b[i:to], without a start
// if there is none. It looks at every minRun-th byte first.
func nextRun(b []byte, i, to int) span {
	for i > 0 && i < len(b) && base64Class[b[i-1]] && base64Class[b[i]] {
		i++
	}
next:
	for i < to && i+minRun <= len(b) {
		for k := i + minRun - 1; k >= i; k-- {
			if !base64Class[b[k]] {
				i = k + 1
				continue next
			}
		}
		end := i + minRun
		for end < len(b) && end-i < maxRun && base64Class[b[end]] {
			end++
		}
		return span{i, end}
	}
	return span{-1, -1}
}

// decodeRun searches the text that a run says.
func (j *job) decodeRun(s span) {
	b := j.b
	if continues(b, s.start) {
		return
	}
	head := b[s.start : s.start+minRun]
	if allHex(head) {
		j.decodeHex(s)
		return
	}
	if !mayBeText(head) {
		return
	}
	clean, at := joinLines(b, s)
	raw := make([]byte, len(clean))
	n, err := base64.RawStdEncoding.Decode(raw, clean[:len(clean)-len(clean)%4])
	if err != nil {
		return
	}
	if rest := clean[len(clean)-len(clean)%4:]; len(rest) > 1 {
		more, _ := base64.RawStdEncoding.Decode(raw[n:], rest)
		n += more
	}
	j.inner(raw[:n], "base64", s, func(i int) int {
		if i = (i*4 + 2) / 3; i >= len(at) {
			return at[len(at)-1] + 1
		}
		return at[i]
	})
}

func allHex(b []byte) bool {
	for _, c := range b {
		if !isHex(c) {
			return false
		}
	}
	return true
}

func (j *job) decodeHex(s span) {
	run := j.b[s.start : s.start+(s.end-s.start)&^1]
	for i := 0; i < minRun; i += 2 { // most are numbers
		if c := hexValue(run[i])<<4 | hexValue(run[i+1]); (c < 0x20 && !isSpace(c) && c != 0) || c >= 0x7f {
			return
		}
	}
	raw := make([]byte, len(run)/2)
	if _, err := hex.Decode(raw, run); err == nil {
		j.inner(raw, "hex", s, func(at int) int { return s.start + 2*at })
	}
}

// continues says whether the run at start continues a wrapped line before it.
func continues(b []byte, start int) bool {
	i := start
	for i > 0 && start-i < 40 && isBlank(b[i-1]) {
		i--
	}
	if i == 0 || b[i-1] != '\n' {
		return false
	}
	for i--; i > 0 && b[i-1] == '\r'; i-- {
	}
	n := 0
	for n < wrappedLine && i-n > 0 && base64Class[b[i-1-n]] {
		n++
	}
	return n == wrappedLine
}

// mayBeText says whether base 64 begins with what text does, or what gzip does.
func mayBeText(head []byte) bool {
	if bytes.HasPrefix(head, []byte("H4sI")) {
		return true
	}
	var clean, raw [minRun]byte
	toStandard(clean[:], head)
	n, err := base64.RawStdEncoding.Decode(raw[:], clean[:])
	if err != nil {
		return false
	}
	zeros, bad := 0, 0
	for _, c := range raw[:n] {
		switch {
		case c == 0:
			zeros++
		case c < 0x20 && !isSpace(c), c == 0x7f:
			bad++
		case c >= 0x80:
			bad++
		}
	}
	return bad <= 2 && (zeros == 0 || zeros >= n/2-2)
}

func toStandard(dst, src []byte) {
	for i, c := range src {
		switch c {
		case '-':
			c = '+'
		case '_':
			c = '/'
		}
		dst[i] = c
	}
}

// joinLines returns a run with the lines that continue it, and where each of its
// bytes stands.
func joinLines(b []byte, s span) (clean []byte, at []int) {
	for {
		for i := s.start; i < s.end; i++ {
			at = append(at, i)
		}
		from := len(clean)
		clean = append(clean, b[s.start:s.end]...)
		toStandard(clean[from:], b[s.start:s.end])
		if s.end-s.start < wrappedLine || len(clean) >= maxRun {
			return clean, at
		}
		next := s.end
		for next < len(b) && next-s.end < 40 && isSpace(b[next]) {
			next++
		}
		end := next
		for end < len(b) && end-next < s.end-s.start && base64Class[b[end]] {
			end++
		}
		if next == s.end || end == next || bytes.Count(b[s.end:next], []byte("\n")) != 1 {
			return clean, at
		}
		s = span{next, end}
	}
}

// inner searches the decoded text of a run; outer maps places of it to those of
// ours.
func (j *job) inner(raw []byte, how string, run span, outer func(int) int) {
	chain := []string{how}
	if bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return
		}
		if raw, err = io.ReadAll(io.LimitReader(z, maxInflated)); err != nil {
			return
		}
		chain, outer = append(chain, "gzip"), nil
	}
	if text, ok := utf16Text(raw); ok {
		if before := outer; before != nil {
			outer = func(i int) int { return before(2 * i) }
		}
		raw, chain = text, append(chain, "utf-16")
	}
	if len(raw) < 4 || !isPrintable(raw) {
		return
	}
	sub := job{scanner: j.scanner, place: j.place, b: raw, depth: j.depth - 1}
	sub.run(0, len(raw))
	for _, f := range sub.found {
		at := run
		if outer != nil {
			at = span{outer(f.secret.start), outer(f.secret.end)}
		}
		f.secret, f.match = at, at
		f.decoded = slices.Concat(chain, f.decoded)
		f.allowed = f.allowed || allowedBy(lineAt(j.b, at))
		if at.end > at.start {
			j.found = append(j.found, f)
		}
	}
}

// decodeWide searches the strings of UTF-16 in a binary file whose first zero is in
// b[from:to].
func (j *job) decodeWide(from, to int) {
	b := j.b
	isText := func(c byte) bool { return c >= ' ' && c < 0x7f || isSpace(c) }
	for zero := from; zero < to; zero++ {
		n := bytes.IndexByte(b[zero:to], 0)
		if n < 0 {
			return
		}
		zero += n
		start := zero - 1
		if start < 0 || !isText(b[start]) || (start >= 2 && b[start-1] == 0 && isText(b[start-2])) {
			continue
		}
		var raw []byte
		end := start
		for ; end+1 < len(b) && end-start < maxRun && b[end+1] == 0 && isText(b[end]); end += 2 {
			raw = append(raw, b[end])
		}
		if len(raw) >= 8 {
			j.inner(raw, "utf-16", span{start, end}, func(i int) int { return start + 2*i })
		}
	}
}

// maxInflated bounds what compressed text in base 64 may become.
const maxInflated = 1 << 20

// isEscape says whether b[i] is a percent sign with two digits.
func isEscape(b []byte, i int) bool {
	return i+2 < len(b) && b[i] == '%' && isHex(b[i+1]) && isHex(b[i+2])
}

// endsEscaped says whether c ends a text that is percent-encoded.
func endsEscaped(c byte) bool {
	return c <= ' ' || c >= 0x7f || c == '"' || c == '\'' || c == '<' || c == '>' || c == '`'
}

// decodePercent searches the text around a percent sign, if it is the text's
// first.
func (j *job) decodePercent(first int) {
	b := j.b
	s := span{first, first}
	for s.start > 0 && first-s.start < behind && !endsEscaped(b[s.start-1]) {
		if s.start--; isEscape(b, s.start) {
			return
		}
	}
	var raw []byte
	var at []int
	escapes := 0
	for s.end = s.start; s.end < len(b) && s.end-s.start < maxPercent && !endsEscaped(b[s.end]); {
		at = append(at, s.end)
		if isEscape(b, s.end) {
			raw = append(raw, hexValue(b[s.end+1])<<4|hexValue(b[s.end+2]))
			s.end += 3
			escapes++
			continue
		}
		raw = append(raw, b[s.end])
		s.end++
	}
	if !utf8.Valid(raw) { // %ACCOUNT% names a variable
		return
	}
	if at = append(at, s.end); escapes > 1 || s.end-s.start > 8 {
		j.inner(raw, "percent", s, func(i int) int { return at[min(i, len(at)-1)] })
	}
}

func hexValue(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return lower(c) - 'a' + 10
}
