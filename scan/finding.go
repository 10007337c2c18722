package scan

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cofferhq/coffer/scan/rules"
)

// Finding is one secret in one place.
type Finding struct {
	RuleID      string
	Description string
	Severity    rules.Severity

	// Path is where the secret is, with slashes. A member of an archive stands behind
	// the archive's own path and an exclamation mark: "app.jar!/config/db.properties".
	Path string

	// Start is where the secret begins, End the place after its last byte. Of what
	// was decoded they are the encoded text's, as exactly as the encoding permits.
	Start, End Position

	Secret Secret
	Match  Secret // the secret with what gave it away: the name, the scheme, the header
	Line   Secret // the line of its start, or some hundred bytes around it
	Name   string // what the secret was assigned to; may be empty

	Entropy    float64 // bits a byte
	Confidence float64 // 0 to 1
	Reasons    []string
	Checked    bool     // the secret's own checksum is right
	Decoded    []string // what had to be undone, outermost first: "gzip", "base64"

	Commit *Commit // what introduced it; nil outside of a history
}

// Position is a place in a file. Line and Column count from one, Column in bytes.
type Position struct {
	Offset int64
	Line   int
	Column int
}

// Commit is where a secret entered a history.
type Commit struct {
	ID, Author, Email, Message string
	Time                       time.Time
}

// ErrMarshal is returned when a secret is about to be marshalled by reflection.
var ErrMarshal = errors.New("scan: refusing to marshal a secret")

// Secret is text that must not be seen. Nothing that formats, logs or marshals
// shows it; its zero value is an empty one.
type Secret struct {
	// A func, because fmt prints the elements of a slice in another struct's
	// unexported field.
	reveal func() string
}

// NewSecret returns text as a Secret.
func NewSecret(text string) Secret { return Secret{func() string { return text }} }

// Reveal returns the text. The caller gives it to nothing that keeps or prints it.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// Mask returns a form that may be shown: at most the first four characters, and
// never more than an eighth.
func (s Secret) Mask() string {
	text := s.Reveal()
	show := min(4, len(text)/8)
	for i := range show {
		if text[i] < 0x21 || text[i] > 0x7e {
			show = i
			break
		}
	}
	return text[:show] + "********"
}

const hidden = "[secret]"

// Format prints a fixed text under every verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, hidden) }

// LogValue gives logs the fixed text.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText refuses, and with it every encoder that works by reflection.
func (s Secret) MarshalText() ([]byte, error) { return nil, ErrMarshal }
