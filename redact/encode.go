package redact

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
)

// forms collects the texts in which a value may occur. The zero value is not
// usable; see newForms.
type forms struct {
	seen map[string]bool // of one text
	add  func(form []byte)
}

func newForms(add func(form []byte)) *forms {
	return &forms{seen: map[string]bool{}, add: add}
}

// all adds each form of text once: itself, and what encoders make of it.
func (f *forms) all(text []byte) {
	clear(f.seen)
	f.one(text)
	f.base64(text)
	f.one([]byte(hex.EncodeToString(text)))
	f.one(upper([]byte(hex.EncodeToString(text))))
	if isPlain(text) {
		return // no escape changes it
	}
	f.quoted(text)
	for _, e := range escapers {
		f.one(escape(text, e))
	}
	for _, e := range nested {
		f.one(escape(escape(text, e), jsonString{}.escape))
	}
}

func (f *forms) one(form []byte) {
	if len(form) < minBytes || f.seen[string(form)] {
		return
	}
	f.seen[string(form)] = true
	f.add(form)
}

// leftOut is how many characters of base64 at the beginning of a text depend on
// what stands before it, by the number of bytes there modulo three.
var leftOut = [3]int{0, 2, 3}

// base64 adds what text becomes within something longer that is encoded. At
// either end a character may hold bits of both text and its neighbour, which
// nobody knows: it is left out. But if text is the end of all, its last
// character is known.
func (f *forms) base64(text []byte) {
	for before := range 3 {
		padded := append(make([]byte, before, before+len(text)), text...)
		whole := len(padded) * 8 / 6 // characters without bits of what follows
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			encoded := encoding.AppendEncode(nil, padded)
			f.one(encoded[leftOut[before]:whole])
			f.one(encoded[leftOut[before]:])
		}
	}
}

// quoted adds the quotations of Go.
func (f *forms) quoted(text []byte) {
	for _, q := range []string{strconv.Quote(string(text)), strconv.QuoteToASCII(string(text))} {
		f.one([]byte(q[1 : len(q)-1]))
	}
}

// isPlain says whether text has nothing that any escaper changes.
func isPlain(text []byte) bool {
	for _, b := range text {
		if !isAlphanumeric(rune(b)) && b != '-' && b != '_' && b != '.' {
			return false
		}
	}
	return true
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// upper makes capital letters of ASCII ones, in place.
func upper(text []byte) []byte {
	for i, b := range text {
		if 'a' <= b && b <= 'z' {
			text[i] = b - 'a' + 'A'
		}
	}
	return text
}
