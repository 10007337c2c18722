package redact

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
)

// ErrMarshal is returned when a value is about to be marshalled by reflection.
var ErrMarshal = errors.New("redact: refusing to marshal a secret")

// Value is a secret to remove, and its name. It prints, logs and marshals as
// nothing of use. The zero Value is empty, and no text is removed for it.
type Value struct {
	name   string
	secret func() []byte // nil: empty; a func so that fmt cannot look inside
}

// Secret returns a value with a copy of text. The name is what warnings call it,
// and markers if [WithNames] is given: a variable's, for example.
func Secret[T ~string | ~[]byte](name string, text T) Value {
	own := []byte(string(text))
	return Value{name: name, secret: func() []byte { return own }}
}

// Name returns the name.
func (v Value) Name() string { return v.name }

func (v Value) reveal() []byte {
	if v.secret == nil {
		return nil
	}
	return v.secret()
}

const hidden = "[secret]"

// Format prints a fixed text under every verb.
func (v Value) Format(f fmt.State, _ rune) { fmt.Fprint(f, hidden) }

// LogValue gives logs the fixed text.
func (v Value) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText refuses, and with it every encoder that works by reflection.
func (v Value) MarshalText() ([]byte, error) { return nil, ErrMarshal }

// Warning tells of a value that is not removed.
type Warning struct {
	Name   string // of the value
	Reason string // "it has less than 6 bytes"
}

// String is a sentence with the name and without the value.
func (w Warning) String() string {
	name := w.Name
	if name == "" {
		name = "a value without a name"
	}
	return name + " is not removed from output: " + w.Reason
}

// The floor. Below it a value occurs in texts by chance: removing it would
// garble them, and the markers would tell what the value is.
const (
	minBytes   = 6
	minEntropy = 12 // bits, by the frequencies of the value's own bytes
)

// Reasons of warnings.
const (
	tooShort   = "it has less than 6 bytes"
	tooUniform = "it has little more than one character, again and again"
	tooCommon  = "it is a word that texts are full of"
)

// floor returns why the value is not to be removed, or nothing. A value that is
// empty but for white space is no secret, and worth a warning still: someone
// expects one there.
func (v Value) floor() string { return floor(bytes.TrimSpace(v.reveal())) }

func floor(text []byte) string {
	switch {
	case len(text) < minBytes:
		return tooShort
	case entropy(text) < minEntropy:
		return tooUniform
	case common[string(bytes.ToLower(text))]:
		return tooCommon
	}
	return ""
}

// entropy returns the bits of text if its bytes are drawn independently, each as
// often as it occurs in it: an upper bound for what is repetitive.
func entropy(text []byte) float64 {
	var count [256]int
	for _, b := range text {
		count[b]++
	}
	bits := 0.0
	for _, n := range count {
		if n > 0 {
			bits += float64(n) * math.Log2(float64(len(text))/float64(n))
		}
	}
	return bits
}

// common are values of settings that are no secrets, although references may
// name them, and passwords that are words of every log. Lower case.
var common = setOf(
	"accept", "access", "account", "active", "administrator", "address", "application", "authorization", "bearer",
	"client", "coffer", "config", "connection", "content", "cookie", "database", "default", "delete", "disable", "disabled",
	"develop", "development", "docker", "domain", "enable", "enabled", "example", "example.com", "failed", "failure",
	"gateway", "handler", "header", "health", "hostname", "internal", "invalid", "kubernetes", "localhost", "logger",
	"manager", "master", "memory", "message", "method", "module", "monitor", "mongodb", "network", "object", "option",
	"origin", "password", "passwd", "postgres", "postgresql", "primary", "private", "process", "prod-eu", "product",
	"production", "public", "rabbitmq", "readonly", "redacted", "reference", "release", "replica", "request", "require",
	"required", "response", "result", "schema", "secret", "secrets", "server", "service", "session", "sqlite", "staging",
	"started", "status", "stopped", "storage", "string", "success", "system", "testing", "timeout", "tokens", "unknown",
	"update", "username", "vaults", "verify-full", "version", "warning", "worker",
	"127.0.0.1", "0.0.0.0", "https://", "http://",
)

func setOf(words ...string) map[string]bool {
	set := make(map[string]bool, len(words))
	for _, w := range words {
		set[w] = true
	}
	return set
}
