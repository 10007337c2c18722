package scan

import (
	"bytes"
	"math"
	"strings"
)

// bigramIndex maps a byte to its class in bigramBits.
func bigramIndex(c byte) int {
	switch c = lower(c); {
	case 'a' <= c && c <= 'z':
		return int(c - 'a')
	case '0' <= c && c <= '9':
		return int(c-'0') + 26
	}
	if i := strings.IndexByte(bigramClasses[36:], c); i >= 0 {
		return 36 + i
	}
	return len(bigramClasses) - 1
}

// rarity is how rare it is that b follows a, in bits.
func rarity(a, b byte) int {
	c := bigramBits[bigramIndex(a)*len(bigramClasses)+bigramIndex(b)]
	if c <= '9' {
		return int(c-'0') + 4
	}
	return int(c-'a') + 14
}

// strangeness is the mean rarity of the letters in a row of s, in bits: about 8 or
// 9 in words, 11 and more in random letters. It is zero if there are none.
func strangeness(s string) float64 {
	sum, n := 0, 0
	for i := 1; i < len(s); i++ {
		if isLetter(s[i-1]) && isLetter(s[i]) {
			sum += rarity(s[i-1], s[i])
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return float64(sum) / float64(n)
}

// entropy is Shannon's, in bits a byte, over the bytes of s.
func entropy(s string) float64 {
	if s == "" {
		return 0
	}
	var count [256]int
	for i := range len(s) {
		count[s[i]]++
	}
	h, total := 0.0, float64(len(s))
	for _, n := range count {
		if n > 0 {
			p := float64(n) / total
			h -= p * math.Log2(p)
		}
	}
	return h
}

func isLetter(c byte) bool { return 'a' <= lower(c) && lower(c) <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isUpper(c byte) bool  { return 'A' <= c && c <= 'Z' }
func isWordByte(c byte) bool {
	return isLetter(c) || isDigit(c) || c == '_'
}
func isHex(c byte) bool   { return isDigit(c) || ('a' <= lower(c) && lower(c) <= 'f') }
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// makeup counts the kinds of bytes of a value.
type makeup struct{ lower, upper, digits, symbols, spaces, other int }

func makeupOf(s string) makeup {
	var m makeup
	for i := range len(s) {
		switch c := s[i]; {
		case isUpper(c):
			m.upper++
		case isLetter(c):
			m.lower++
		case isDigit(c):
			m.digits++
		case c == ' ' || c == '\t':
			m.spaces++
		case c < 0x20 || c >= 0x7f:
			m.other++
		default:
			m.symbols++
		}
	}
	return m
}

func (m makeup) letters() int { return m.lower + m.upper }

func (m makeup) kinds() int {
	n := 0
	for _, k := range []int{m.lower, m.upper, m.digits, m.symbols} {
		if k > 0 {
			n++
		}
	}
	return n
}

// all says whether every byte of s, of which there is one, is of the kind.
func all(s string, kind func(byte) bool) bool {
	for i := range len(s) {
		if !kind(s[i]) {
			return false
		}
	}
	return s != ""
}

// splitWords takes a name apart: at what is no letter or digit, and where a
// capital follows a small letter (accessToken, HTTPServer).
func splitWords(name string) []string {
	var words []string
	start := 0
	flush := func(end int) {
		if end > start {
			words = append(words, strings.ToLower(name[start:end]))
		}
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case !isLetter(c) && !isDigit(c) && c < 0x80:
			flush(i)
			start = i + 1
		case i > start && isUpper(c) && (!isUpper(name[i-1]) || (i+1 < len(name) && isLetter(name[i+1]) && !isUpper(name[i+1]))):
			flush(i)
			start = i
		}
	}
	flush(len(name))
	return words
}

// isIdentifier says whether s reads like the name of something: words with
// separators, in camel case, or with a number between them.
func isIdentifier(s string) bool {
	words, numbers, letters, plain := 0, 0, 0, 0
	for _, w := range splitWords(s) {
		for len(w) > 0 {
			n := 0
			for n < len(w) && isDigit(w[n]) == isDigit(w[0]) {
				n++
			}
			run := w[:n]
			w = w[n:]
			if isDigit(run[0]) {
				if numbers++; len(run) > 4 {
					return false
				}
				continue
			}
			words++
			letters += len(run)
			if isPlainWord(run) {
				plain += len(run)
			}
		}
	}
	switch {
	case words == 0 || numbers > max(1, words/2):
		return false
	case words == 1 && numbers > 0:
		return false
	}
	return plain*10 >= letters*8 && letters >= 3*words
}

// isPlainWord says whether w, which has letters only, might be a word of a
// language.
func isPlainWord(w string) bool {
	return len(w) <= 3 || (strangeness(w) < 9.9 && (hasVowel(w) || len(w) <= 4))
}

func hasVowel(s string) bool { return strings.ContainsAny(strings.ToLower(s), "aeiouy") }

// longestRun is the most often that one byte repeats itself in a row.
func longestRun(s string) int {
	most, run := 0, 0
	for i := range len(s) {
		if i > 0 && s[i] == s[i-1] {
			run++
		} else {
			run = 1
		}
		most = max(most, run)
	}
	return most
}

// longestSequence is the longest stretch in which each byte is the last one's
// successor: 123456, abcdef.
func longestSequence(s string) int {
	most, run := 0, 1
	for i := 1; i < len(s); i++ {
		if s[i] == s[i-1]+1 || (s[i-1] == '9' && s[i] == '0') {
			run++
		} else {
			run = 1
		}
		most = max(most, run)
	}
	return most
}

// isPrintable says whether most of b is text.
func isPrintable(b []byte) bool {
	bad := 0
	for _, c := range b {
		if (c < 0x20 && !isSpace(c)) || c == 0x7f {
			bad++
		}
	}
	return bad*50 <= len(b) && bytes.IndexByte(b, 0) < 0
}

// oneSeparator returns name in lower case, with underscores for what else joins the
// parts of names.
func oneSeparator(name string) string {
	return strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToLower(name))
}
