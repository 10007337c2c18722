package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// A key is a sequence of typed segments, written one after another: a letter
// for the type, the content, and for texts a terminator. Keys are made by
// joining what [Plain], [Name], [Path] and [Order] return, with +.
//
// The types differ in what the barrier does with them: a plain segment and an
// order are kept readable, because the store must find and sort by them; a name
// is replaced by its keyed hash, because names tell secrets too.
const (
	segName  = 'n' // hidden by the barrier
	segOrder = 'o' // eight bytes, big endian
	segPlain = 'p' // kept readable

	// segLast sorts after every segment, see [After].
	segLast = '\xff'
)

// In a text a zero byte is written 00 FF, and 00 01 ends the text: no text is
// then the beginning of another, and their order is kept.
const (
	textEnd  = "\x00\x01"
	textZero = "\x00\xff"
)

// Plain is a segment that anyone may read in the store: tables and ids, never a
// name that a user chose.
func Plain(s string) string { return string(segPlain) + escaped(s) + textEnd }

// Name is a segment that the barrier hides.
func Name(s string) string { return string(segName) + escaped(s) + textEnd }

// Order is a segment that sorts by number.
func Order(n uint64) string {
	var b [9]byte
	b[0] = segOrder
	binary.BigEndian.PutUint64(b[1:], n)
	return string(b[:])
}

// Path is one Name for each element of a path as users write them, split after
// each slash: "a/b/c" gives the names "a/", "a" being a leaf and "a/" a folder.
// The empty path gives no segment.
func Path(p string) string {
	key := make([]byte, 0, len(p)+3*(1+strings.Count(p, "/")))
	for p != "" {
		n := strings.IndexByte(p, '/') + 1
		if n == 0 {
			n = len(p)
		}
		key = append(key, segName)
		key = append(key, escaped(p[:n])...)
		key = append(key, textEnd...)
		p = p[n:]
	}
	return string(key)
}

// After is a bound that sorts after key and after every key below it. It is of
// use as the last argument of Range only.
func After(key string) string { return key + string([]byte{segLast}) }

func escaped(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", textZero)
	}
	return s
}

// Segment is one part of a key.
type Segment struct {
	Raw  string // as it stands in the key
	kind byte
}

// Hidden says whether the barrier hides the segment.
func (s Segment) Hidden() bool { return s.kind == segName }

// Text returns the content of a name or of a plain segment.
func (s Segment) Text() string {
	if s.kind != segName && s.kind != segPlain {
		return ""
	}
	t := s.Raw[1 : len(s.Raw)-len(textEnd)]
	if strings.IndexByte(t, 0) >= 0 {
		t = strings.ReplaceAll(t, textZero, "\x00")
	}
	return t
}

// Number returns the content of an order segment.
func (s Segment) Number() uint64 {
	if s.kind != segOrder {
		return 0
	}
	return binary.BigEndian.Uint64([]byte(s.Raw[1:]))
}

var errKey = errors.New("storage: malformed key")

// Cut splits the first segment off key. The bound that [After] adds counts as a
// segment that is not hidden.
func Cut(key string) (first Segment, rest string, err error) {
	if key == "" {
		return Segment{}, "", fmt.Errorf("%w: empty", errKey)
	}
	switch kind := key[0]; kind {
	case segOrder:
		if len(key) < 9 {
			return Segment{}, "", fmt.Errorf("%w: short order", errKey)
		}
		return Segment{Raw: key[:9], kind: kind}, key[9:], nil
	case segLast:
		if len(key) != 1 {
			return Segment{}, "", fmt.Errorf("%w: bound inside", errKey)
		}
		return Segment{Raw: key, kind: kind}, "", nil
	case segName, segPlain:
		for i := 1; i+1 < len(key); i++ {
			if key[i] != 0 {
				continue
			}
			switch key[i+1] {
			case textEnd[1]:
				return Segment{Raw: key[:i+2], kind: kind}, key[i+2:], nil
			case textZero[1]:
				i++
			default:
				return Segment{}, "", fmt.Errorf("%w: stray zero byte", errKey)
			}
		}
	}
	return Segment{}, "", errKey
}
