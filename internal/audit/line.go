package audit

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// line is one line under way. The methods that take a key append a member of the
// object that is open, and leave it out if the value is empty, as Vault does.
type line struct {
	buf    []byte
	format *format
	hasher *hasher
}

func (l *line) open()  { l.buf = append(l.buf, '{') }
func (l *line) close() { l.buf = append(l.buf, '}') }

// key begins a member whose name needs no escaping.
func (l *line) key(name string) {
	l.comma()
	l.buf = append(l.buf, '"')
	l.buf = append(l.buf, name...)
	l.buf = append(l.buf, '"', ':')
}

// nameKey begins a member whose name is not ours.
func (l *line) nameKey(name string) {
	l.comma()
	l.buf = appendQuoted(l.buf, name)
	l.buf = append(l.buf, ':')
}

// comma separates a member from the one before it.
func (l *line) comma() {
	if l.buf[len(l.buf)-1] != '{' {
		l.buf = append(l.buf, ',')
	}
}

func (l *line) text(key, value string) {
	if value != "" {
		l.key(key)
		l.buf = appendQuoted(l.buf, value)
	}
}

// hashed is text for a secret.
func (l *line) hashed(key, value string) {
	if value != "" {
		l.key(key)
		l.value(value, true)
	}
}

// accessor is text for an accessor, which is hashed unless the device says
// otherwise.
func (l *line) accessor(key, value string) {
	if value != "" {
		l.key(key)
		l.value(value, l.format.hashAccessor)
	}
}

// value appends a text, hashed if asked for and the device does hash.
func (l *line) value(value string, hash bool) {
	if !hash || l.format.raw {
		l.buf = appendQuoted(l.buf, value)
		return
	}
	l.buf = append(l.buf, '"')
	l.buf = l.hasher.appendTextHash(l.buf, value)
	l.buf = append(l.buf, '"')
}

func (l *line) texts(key string, values []string) {
	if len(values) == 0 {
		return
	}
	l.key(key)
	l.buf = append(l.buf, '[')
	for i, value := range values {
		if i > 0 {
			l.buf = append(l.buf, ',')
		}
		l.buf = appendQuoted(l.buf, value)
	}
	l.buf = append(l.buf, ']')
}

func (l *line) textMap(key string, values map[string]string) {
	if len(values) == 0 {
		return
	}
	l.key(key)
	l.open()
	for name, value := range values {
		l.nameKey(name)
		l.buf = appendQuoted(l.buf, value)
	}
	l.close()
}

func (l *line) boolean(key string, value bool) {
	l.key(key)
	l.buf = strconv.AppendBool(l.buf, value)
}

func (l *line) number(key string, value int64) {
	if value != 0 {
		l.key(key)
		l.buf = strconv.AppendInt(l.buf, value, 10)
	}
}

func (l *line) seconds(key string, value time.Duration) { l.number(key, int64(value/time.Second)) }

func (l *line) time(key string, value time.Time) {
	l.key(key)
	l.buf = append(l.buf, '"')
	l.buf = value.UTC().AppendFormat(l.buf, time.RFC3339Nano)
	l.buf = append(l.buf, '"')
}

const hexDigits = "0123456789abcdef"

// appendQuoted appends s as a JSON text. Bytes that are not UTF-8 become U+FFFD.
func appendQuoted(to []byte, s string) []byte {
	to = append(to, '"')
	done := 0 // bytes of s that are in to
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if size > 1 {
			i += size
			continue
		}
		to = append(to, s[done:i]...)
		switch {
		case r == utf8.RuneError:
			to = append(to, "\ufffd"...)
		case c < ' ':
			to = append(to, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			to = append(to, '\\', c)
		}
		i++
		done = i
	}
	to = append(to, s[done:]...)
	return append(to, '"')
}
