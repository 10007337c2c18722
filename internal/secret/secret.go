// Package secret holds values that must not be seen. Its one type keeps them out
// of everything that formats, logs or marshals.
package secret

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
)

// ErrMarshal is returned when a secret is about to be marshalled by reflection.
var ErrMarshal = errors.New("secret: refusing to marshal a secret")

// Bytes is a secret value. Its zero value is an empty one. It is immutable and
// safe for concurrent use.
type Bytes struct {
	// A func, because fmt cannot call Format on another struct's unexported
	// field: it would print a slice's elements, and even a pointer's under %s.
	reveal func() []byte
}

// New returns a secret with a copy of b.
func New(b []byte) Bytes {
	own := append([]byte(nil), b...)
	return Bytes{reveal: func() []byte { return own }}
}

// Text returns a secret with the bytes of s.
func Text(s string) Bytes { return New([]byte(s)) }

// Reveal returns the value. The caller must not change it, and gives it to
// nothing that keeps or prints it.
func (s Bytes) Reveal() []byte {
	if s.reveal == nil {
		return nil
	}
	return s.reveal()
}

// RevealText is Reveal as a string.
func (s Bytes) RevealText() string { return string(s.Reveal()) }

// Empty says whether there is no value.
func (s Bytes) Empty() bool { return len(s.Reveal()) == 0 }

// Equal compares in a time that depends on the lengths only.
func (s Bytes) Equal(t Bytes) bool {
	return subtle.ConstantTimeCompare(s.Reveal(), t.Reveal()) == 1
}

const hidden = "[secret]"

// Format prints a fixed text under every verb.
func (s Bytes) Format(f fmt.State, _ rune) { fmt.Fprint(f, hidden) }

// LogValue gives logs the fixed text.
func (s Bytes) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText refuses, and with it every encoder that works by reflection.
func (s Bytes) MarshalText() ([]byte, error) { return nil, ErrMarshal }
