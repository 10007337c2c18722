package server

import (
	"bytes"
	"io"

	"github.com/cofferhq/coffer/redact"
)

// CleanLog returns what passes whole lines on to a log, without the values that
// known has, and without what looks like a secret: the tokens of coffer and
// Vault, web tokens (RFC 7519), passwords in URLs and in settings such as
// password=…. The server does not log any of these; this is the net below it,
// for the errors of drivers and libraries.
func CleanLog(to io.Writer, known *redact.Redactor) io.Writer { return &cleanLog{to, known} }

type cleanLog struct {
	to    io.Writer
	known *redact.Redactor
}

// Write implements [io.Writer]. A record is one call.
func (l *cleanLog) Write(record []byte) (int, error) {
	if _, err := l.to.Write(hideShapes(l.known.Bytes(record))); err != nil {
		return 0, err
	}
	return len(record), nil
}

// hideShapes returns text without what looks like a secret; text itself if there
// is nothing.
func hideShapes(text []byte) []byte {
	var out []byte
	done := 0 // all before it is in out
	for i := 0; i < len(text); {
		start, end := shapeAt(text, i)
		if start == end {
			i++
			continue
		}
		out = append(out, text[done:i]...)
		out = append(out, hideShapes(text[i:start])...) // the user name of a URL may be a token
		out = append(out, redact.Marker...)
		i, done = end, end
	}
	if done == 0 {
		return text
	}
	return append(out, text[done:]...)
}

// shapeAt returns what to hide of that which begins at i; nothing if start and
// end are the same.
func shapeAt(text []byte, i int) (start, end int) {
	switch text[i] {
	case ':':
		return urlPassword(text, i)
	case '=':
		return setting(text, i)
	}
	if i == 0 || !isTokenByte(text[i-1]) {
		return tokenAt(text, i)
	}
	return i, i
}

// tokenForms are how tokens begin, and how much follows at least.
var tokenForms = []struct {
	prefix string
	rest   int
}{
	{"cfs.", 20}, {"cfb.", 20}, {"cfr.", 20}, {"hvs.", 20}, {"hvb.", 20}, {"hvr.", 20},
	{"s.", 24}, {"b.", 24}, {"r.", 24}, // Vault's, of old
	{"eyJ", 20}, // an object in base64: a web token
}

func tokenAt(text []byte, i int) (start, end int) {
	for _, form := range tokenForms {
		if !bytes.HasPrefix(text[i:], []byte(form.prefix)) {
			continue
		}
		end := i + len(form.prefix)
		for end < len(text) && (isTokenByte(text[end]) || text[end] == '.') {
			end++
		}
		if end-i-len(form.prefix) >= form.rest {
			return i, end
		}
	}
	return i, i
}

func isTokenByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '_' || b == '-'
}

// urlPassword is that of the URL whose colon is at i. A password that is not
// encoded may have anything up to the last @.
func urlPassword(text []byte, i int) (start, end int) {
	rest, isURL := bytes.CutPrefix(text[i:], []byte("://"))
	if !isURL {
		return i, i
	}
	if n := bytes.IndexAny(rest, " \t\r\n\"'`<>\\"); n >= 0 {
		rest = rest[:n]
	}
	at := bytes.LastIndexByte(rest, '@')
	colon := bytes.IndexByte(rest[:max(at, 0)], ':')
	if colon < 0 {
		return i, i
	}
	begin := i + len("://")
	return begin + colon + 1, begin + at
}

// secretSettings end the names of settings that hold secrets.
var secretSettings = [][]byte{[]byte("password"), []byte("passwd"), []byte("pwd"), []byte("secret_id"), []byte("token")}

// setting is the value behind the equals sign at i, if its name is that of a
// secret.
func setting(text []byte, i int) (start, end int) {
	for _, name := range secretSettings {
		if i < len(name) || !bytes.EqualFold(text[i-len(name):i], name) {
			continue
		}
		start, ends := i+1, " \t\r\n\"'`;&,)\\"
		for start < len(text) && text[start] == '\\' { // of a quote within a quoted text
			start++
		}
		if start < len(text) && (text[start] == '"' || text[start] == '\'') {
			ends = string(text[start]) + "\n"
			start++
		}
		n := bytes.IndexAny(text[start:], ends)
		if n < 0 {
			n = len(text) - start
		}
		return start, start + n
	}
	return i, i
}
