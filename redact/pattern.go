package redact

import (
	"bytes"
	"cmp"
	"slices"
	"unicode/utf8"
)

const (
	// pieceBytes bounds what is looked for, and with it what is held back. A longer
	// text is looked for in pieces.
	pieceBytes = 1024
	// pieceOverlap lets pieces cover each other's ends, where base64 leaves
	// characters out, so that a whole occurrence becomes one run.
	pieceOverlap = 32
)

// pattern is a text to look for.
type pattern struct {
	text  []byte
	value int // index of the value it is a form of
}

// patternsOf returns what to look for, sorted and each text once: of the first
// value that has it.
func patternsOf(values []Value) []pattern {
	var all []pattern
	at := 0
	f := newForms(func(form []byte) { all = append(all, pattern{form, at}) })
	for i, v := range values {
		at = i
		for _, part := range partsOf(v.reveal()) {
			f.all(part)
		}
	}
	slices.SortFunc(all, func(a, b pattern) int {
		return cmp.Or(bytes.Compare(a.text, b.text), cmp.Compare(a.value, b.value))
	})
	return slices.CompactFunc(all, func(a, b pattern) bool { return bytes.Equal(a.text, b.text) })
}

// partsOf returns the text of a value without white space around it, or the
// pieces of a long one, and the lines if there are several. What would be below
// the floor by itself is left out.
func partsOf(text []byte) [][]byte {
	text = bytes.TrimSpace(text)
	var parts [][]byte
	add := func(part []byte) {
		for _, piece := range pieces(part) {
			if floor(piece) == "" {
				parts = append(parts, piece)
			}
		}
	}
	add(text)
	if !bytes.ContainsAny(text, "\n\r") {
		return parts
	}
	for line := range bytes.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = bytes.TrimSpace(line); !isArmor(line) {
			add(line)
		}
	}
	return parts
}

// isArmor says whether a line is -----BEGIN …----- or its like, which keys have
// in common with what is public.
func isArmor(line []byte) bool {
	dashes := []byte("-----")
	return bytes.HasPrefix(line, dashes) && bytes.HasSuffix(line, dashes)
}

// pieces cuts a long text into pieces that overlap, between runes.
func pieces(text []byte) [][]byte {
	var all [][]byte
	for len(text) > pieceBytes {
		end := runeStart(text, pieceBytes)
		all = append(all, text[:end])
		text = text[runeStart(text, end-pieceOverlap):]
	}
	return append(all, text)
}

// runeStart returns i, or up to three less if a rune of text does not begin there.
func runeStart(text []byte, i int) int {
	for n := i; n > i-utf8.UTFMax; n-- {
		if utf8.RuneStart(text[n]) {
			return n
		}
	}
	return i
}
