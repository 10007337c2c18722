package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"unicode/utf8"
)

// errData says that what an engine or a client gave is not JSON. What is in it
// must not be told.
var errData = errors.New("audit: data is not valid JSON")

// data is how a JSON document is written to a line: texts are hashed, all else
// stays, space between goes.
type data struct {
	plain []string // keys at the top whose values are written as they are
	elide bool     // lists of keys at the top are written as their length
}

// data appends the member "data". In doc every text is replaced by its hash, in
// one walk over the bytes: names of members are no texts, numbers stay as they
// are written.
func (l *line) data(doc json.RawMessage, how data) error {
	if len(doc) == 0 {
		return nil
	}
	if !json.Valid(doc) {
		return errData
	}
	l.key("data")
	w := walk{line: l, doc: doc, how: how, hash: !l.format.raw}
	for w.at < len(doc) {
		w.step()
	}
	return nil
}

// walk copies a valid JSON document into a line.
type walk struct {
	*line
	doc   []byte
	at    int // bytes of doc that are done
	how   data
	hash  bool
	depth int // of objects and lists that are open
}

// step copies one token, and after some names the whole member.
func (w *walk) step() {
	switch c := w.doc[w.at]; c {
	case ' ', '\t', '\r', '\n':
		w.at++
		return
	case '"':
		w.text()
		return
	case '{', '[':
		w.depth++
	case '}', ']':
		w.depth--
	}
	w.buf = append(w.buf, w.doc[w.at])
	w.at++
}

// text copies a text, which may be the name of a member.
func (w *walk) text() {
	end := textEnd(w.doc, w.at)
	literal := w.doc[w.at:end]
	w.at = end
	next := skipSpace(w.doc, end)
	isName := next < len(w.doc) && w.doc[next] == ':'
	switch {
	case isName:
		w.literal(literal)
		if w.depth == 1 && (w.how.elide || len(w.how.plain) > 0) {
			w.member(unquote(literal), next+1)
		}
	case w.hash:
		w.buf = append(w.buf, '"')
		w.buf = w.hasher.appendHash(w.buf, unquote(literal))
		w.buf = append(w.buf, '"')
	default:
		w.literal(literal)
	}
}

// literal copies a quoted text. Bytes in it that are not UTF-8 become U+FFFD, one
// for each as encoding/json has it, as those who read lines may insist on it.
func (w *walk) literal(literal []byte) {
	if !utf8.Valid(literal) {
		literal = []byte(string([]rune(string(literal))))
	}
	w.buf = append(w.buf, literal...)
}

// member copies the value of a member at the top if it is treated specially.
// after is where doc goes on behind the colon.
func (w *walk) member(name []byte, after int) {
	start := skipSpace(w.doc, after)
	end := valueEnd(w.doc, start)
	value := w.doc[start:end]
	switch {
	case slices.Contains(w.how.plain, string(name)):
		w.buf = append(w.buf, ':')
		plain := walk{line: w.line, doc: value}
		for plain.at < len(value) {
			plain.step()
		}
	case w.how.elide && (string(name) == "keys" && value[0] == '[' || string(name) == "key_info" && value[0] == '{'):
		w.buf = append(w.buf, ':')
		w.buf = strconv.AppendInt(w.buf, int64(countElements(value)), 10)
	default:
		return
	}
	w.at = end
}

// unquote returns the text that a JSON literal stands for, without an allocation
// where it has no escapes.
func unquote(literal []byte) []byte {
	text := literal[1 : len(literal)-1]
	if bytes.IndexByte(text, '\\') < 0 && utf8.Valid(text) {
		return text
	}
	var s string
	if err := json.Unmarshal(literal, &s); err != nil {
		panic("audit: internal error: a part of valid JSON is not valid") // data has checked the whole
	}
	return []byte(s)
}

// textEnd returns where the text that begins at doc[at] ends.
func textEnd(doc []byte, at int) int {
	for at++; doc[at] != '"'; at++ {
		if doc[at] == '\\' {
			at++
		}
	}
	return at + 1
}

func skipSpace(doc []byte, at int) int {
	for at < len(doc) && (doc[at] == ' ' || doc[at] == '\t' || doc[at] == '\r' || doc[at] == '\n') {
		at++
	}
	return at
}

// valueEnd returns where the value that begins at doc[at] ends.
func valueEnd(doc []byte, at int) int {
	depth := 0
	for at < len(doc) {
		switch doc[at] {
		case '"':
			at = textEnd(doc, at) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return at // of what surrounds a number, true, false or null
			}
			depth--
		case ',':
			if depth == 0 {
				return at
			}
		}
		at++
		if depth == 0 && (doc[at-1] == '"' || doc[at-1] == '}' || doc[at-1] == ']') {
			return at
		}
	}
	return at
}

// countElements returns how many elements or members value has, a JSON list or
// object.
func countElements(value []byte) int {
	at := skipSpace(value, 1)
	if value[at] == ']' || value[at] == '}' {
		return 0
	}
	for n := 1; ; n++ {
		at = valueEnd(value, at)
		at = skipSpace(value, at)
		if value[at] == ':' { // it was a name
			at = skipSpace(value, valueEnd(value, skipSpace(value, at+1)))
		}
		if value[at] != ',' {
			return n
		}
		at = skipSpace(value, at+1)
	}
}
