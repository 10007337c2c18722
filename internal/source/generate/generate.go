// Package generate is the source of secrets that are nothing but chance: passwords,
// random bytes, UUIDs, key pairs and certificates. They are valid as soon as their
// readers have them; there is nothing to set, and nowhere to log in.
package generate

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/password"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/source"
	"github.com/cofferhq/coffer/internal/uuid"
)

// Kind returns the kind of source. Policies finds password policies by their names.
func Kind(policies password.Source) *source.Kind {
	return &source.Kind{
		Type: "generate", Help: "Passwords, random bytes, UUIDs, key pairs and certificates.",
		Strategies: []source.Strategy{source.Replace, source.Alternate},
		Secret:     []string{"ca_private_key"},
		Open: func(config json.RawMessage, _ source.Strategy) (source.Source, error) {
			return open(config, policies)
		},
	}
}

// settings is the configuration of a source.
type settings struct {
	Type string `json:"type"` // see makers

	Policy   string `json:"policy"`   // of a password; empty: Vault's default for databases
	Length   int    `json:"length"`   // of bytes: 32 if zero
	Encoding string `json:"encoding"` // of bytes: base64 (default), base64url or hex
	Bits     int    `json:"bits"`     // of RSA keys: 3072 if zero
	Curve    string `json:"curve"`    // of ECDSA keys: P256 (default), P384 or P521

	Key           string   `json:"key"`         // of a certificate: ed25519, rsa or ecdsa (default)
	CommonName    string   `json:"common_name"` // of a certificate
	Names         []string `json:"alt_names"`   // DNS names and addresses
	Lifetime      string   `json:"ttl"`         // of a certificate: 90d if empty
	CACertificate string   `json:"ca_certificate"`
	CAPrivateKey  string   `json:"ca_private_key"` // with CACertificate; without, certificates sign themselves
}

// maker makes one type of secret.
type maker struct {
	fields []string
	check  func(s *settings) error // completes s with defaults
	make   func(g *generator, ctx context.Context) (source.Values, error)
}

// makers are the types that there are.
var makers = map[string]maker{
	"password":    {[]string{"password"}, nil, (*generator).password},
	"bytes":       {[]string{"value"}, (*settings).checkBytes, (*generator).bytes},
	"uuid":        {[]string{"value"}, nil, (*generator).uuid},
	"ed25519":     {keyFields, nil, (*generator).keyPair},
	"rsa":         {keyFields, (*settings).checkRSA, (*generator).keyPair},
	"ecdsa":       {keyFields, (*settings).checkECDSA, (*generator).keyPair},
	"certificate": {certificateFields, (*settings).checkCertificate, (*generator).certificate},
}

func types() []string {
	return []string{"password", "bytes", "uuid", "ed25519", "rsa", "ecdsa", "certificate"}
}

// generator is a source.
type generator struct {
	settings
	maker
	policies password.Source
	now      func() time.Time
}

var _ source.Source = (*generator)(nil)

func open(config json.RawMessage, policies password.Source) (source.Source, error) {
	s := settings{Type: "password"}
	if len(config) > 0 {
		d := json.NewDecoder(bytes.NewReader(config))
		d.DisallowUnknownFields()
		if err := d.Decode(&s); err != nil {
			return nil, logical.Invalid("config: a field is unknown, or of a wrong type").
				WithHint("a generated secret takes type, policy, length, encoding, bits, curve, key, common_name, alt_names, ttl, ca_certificate, ca_private_key")
		}
	}
	m, ok := makers[s.Type]
	if !ok {
		return nil, logical.Invalid("config: there is no type %q to generate", s.Type).WithHint("types are: %s", strings.Join(types(), ", "))
	}
	if m.check != nil {
		if err := m.check(&s); err != nil {
			return nil, err
		}
	}
	return &generator{settings: s, maker: m, policies: policies, now: time.Now}, nil
}

// Fields implements [source.Source].
func (g *generator) Fields() []string { return g.fields }

// Create implements [source.Source].
func (g *generator) Create(ctx context.Context, _ source.Attempt) (source.Values, error) {
	return g.make(g, ctx)
}

// Set implements [source.Source].
func (g *generator) Set(context.Context, source.Attempt) error { return nil }

// Test implements [source.Source].
func (g *generator) Test(context.Context, source.Values) error { return source.ErrNoLogin }

// Retire implements [source.Source].
func (g *generator) Retire(context.Context, source.Attempt) error { return nil }

// Sessions implements [source.Source].
func (g *generator) Sessions(context.Context, source.Values) (int, error) {
	return 0, source.ErrNoSessions
}

// Close implements [source.Source].
func (g *generator) Close() error { return nil }

func (g *generator) password(ctx context.Context) (source.Values, error) {
	policy := password.Policy{}
	if g.Policy != "" {
		var err error
		if policy, err = g.policies(ctx, g.Policy); err != nil {
			return nil, err
		}
	}
	return source.Values{"password": policy.Generate()}, nil
}

func (g *generator) uuid(context.Context) (source.Values, error) {
	return source.Values{"value": secret.Text(uuid.New())}, nil
}

// Bounds of random bytes: fewer can be guessed, more are no key.
const (
	minBytes = 16
	maxBytes = 4096
)

func (s *settings) checkBytes() error {
	s.Length = cmp.Or(s.Length, 32)
	s.Encoding = cmp.Or(s.Encoding, "base64")
	if s.Length < minBytes || s.Length > maxBytes {
		return logical.Invalid("config: length must lie between %d and %d bytes", minBytes, maxBytes)
	}
	if !slices.Contains([]string{"base64", "base64url", "hex"}, s.Encoding) {
		return logical.Invalid("config: encoding %q: expected base64, base64url or hex", s.Encoding)
	}
	return nil
}

func (g *generator) bytes(context.Context) (source.Values, error) {
	b := make([]byte, g.Length)
	rand.Read(b) // never fails
	var text string
	switch g.Encoding {
	case "hex":
		text = hex.EncodeToString(b)
	case "base64url":
		text = base64.RawURLEncoding.EncodeToString(b)
	default:
		text = base64.StdEncoding.EncodeToString(b)
	}
	return source.Values{"value": secret.Text(text)}, nil
}
