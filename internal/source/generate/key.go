package generate

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/source"
)

var keyFields = []string{"private_key", "public_key"}

// Bounds of RSA keys in bits: NIST SP 800-131A, and what can be made in time.
const (
	minRSABits     = 2048
	defaultRSABits = 3072
	maxRSABits     = 8192
)

func (s *settings) checkRSA() error {
	s.Bits = cmp.Or(s.Bits, defaultRSABits)
	if s.Bits < minRSABits || s.Bits > maxRSABits {
		return logical.Invalid("config: bits must lie between %d and %d", minRSABits, maxRSABits)
	}
	return nil
}

// curves are those of FIPS 186-5 that TLS knows.
var curves = map[string]elliptic.Curve{"P256": elliptic.P256(), "P384": elliptic.P384(), "P521": elliptic.P521()}

func (s *settings) checkECDSA() error {
	s.Curve = cmp.Or(s.Curve, "P256")
	if curves[s.Curve] == nil {
		return logical.Invalid("config: curve %q: expected P256, P384 or P521", s.Curve)
	}
	return nil
}

// newKey makes a key of type ed25519, rsa or ecdsa.
func (s *settings) newKey(typ string) (crypto.Signer, error) {
	switch typ {
	case "ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case "rsa":
		return rsa.GenerateKey(rand.Reader, s.Bits)
	}
	return ecdsa.GenerateKey(curves[s.Curve], rand.Reader)
}

// keyPair makes a key in PKCS #8 and its public half in PKIX form, both as PEM.
func (g *generator) keyPair(context.Context) (source.Values, error) {
	key, err := g.newKey(g.Type)
	if err != nil {
		return nil, fmt.Errorf("generate a key: %w", err)
	}
	private, err := privatePEM(key)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("generate a key: %w", err)
	}
	return source.Values{"private_key": private, "public_key": block("PUBLIC KEY", public)}, nil
}

func privatePEM(key crypto.Signer) (secret.Bytes, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("generate a key: %w", err)
	}
	return block("PRIVATE KEY", der), nil
}

func block(typ string, der []byte) secret.Bytes {
	return secret.New(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}))
}
