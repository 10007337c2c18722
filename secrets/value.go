package secrets

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
)

// ErrMarshal is returned when a value is about to be marshalled by reflection.
var ErrMarshal = errors.New("secrets: refusing to marshal a secret")

// Value is one version of a secret value. It prints, logs and marshals as
// nothing of use: [Value.Reveal] alone gives it away. It is immutable; the zero
// Value is an empty text.
type Value struct {
	text    hidden // nil: empty
	version int
}

// Reveal returns the value, for those who need it and keep it to themselves.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return v.text()
}

// Version tells values of one reference apart. On mounts of the key-value
// engine, version 2, it is the secret's version, elsewhere a count of the
// changes that were seen, from 1. Of a text with several references it is that
// of the first one's secret.
func (v Value) Version() int { return v.version }

// Equal compares the texts, in a time that depends on their lengths only.
func (v Value) Equal(w Value) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(w.Reveal())) == 1
}

const hiddenText = "[secret]"

// Format prints a fixed text under every verb.
func (v Value) Format(f fmt.State, _ rune) { fmt.Fprint(f, hiddenText) }

// LogValue gives logs the fixed text.
func (v Value) LogValue() slog.Value { return slog.StringValue(hiddenText) }

// MarshalText refuses, and with it every encoder that works by reflection.
func (v Value) MarshalText() ([]byte, error) { return nil, ErrMarshal }

// Snapshot is the values of a [Group] that belong together: those of one path
// come from one read, so that a user name and its password match. It is
// immutable.
type Snapshot struct {
	generation uint64
	values     map[string]Value
	versions   map[place]int // of what can be acknowledged: the oldest in use
}

// Value returns the value of that name; if it is absent, the zero Value.
func (s Snapshot) Value(name string) Value { return s.values[name] }

// Lookup is Value that tells what is absent, because its reference is optional,
// from what is empty.
func (s Snapshot) Lookup(name string) (Value, bool) {
	v, ok := s.values[name]
	return v, ok
}

// Generation numbers the snapshots of a group, from 1 and without gaps.
func (s Snapshot) Generation() uint64 { return s.generation }
