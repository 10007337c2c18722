package generate

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/source"
)

var certificateFields = []string{"certificate", "private_key", "issuing_ca"}

// Lifetimes of certificates.
const (
	defaultLifetime = 90 * 24 * time.Hour
	maxLifetime     = 10 * 365 * 24 * time.Hour
)

func (s *settings) checkCertificate() error {
	s.Key = cmp.Or(s.Key, "ecdsa")
	if s.Key != "ed25519" && s.Key != "rsa" && s.Key != "ecdsa" {
		return logical.Invalid("config: key %q: expected ed25519, rsa or ecdsa", s.Key)
	}
	if s.CommonName == "" && len(s.Names) == 0 {
		return logical.Invalid("config: a certificate needs common_name or alt_names")
	}
	if _, err := s.lifetime(); err != nil {
		return err
	}
	if (s.CACertificate == "") != (s.CAPrivateKey == "") {
		return logical.Invalid("config: ca_certificate and ca_private_key are needed both, or neither")
	}
	if s.CACertificate != "" {
		if _, _, err := s.issuer(); err != nil {
			return err
		}
	}
	if err := s.checkRSA(); err != nil {
		return err
	}
	return s.checkECDSA()
}

func (s *settings) lifetime() (time.Duration, error) {
	if s.Lifetime == "" {
		return defaultLifetime, nil
	}
	d, err := logical.ParseDuration(s.Lifetime)
	if err != nil || d <= 0 || d > maxLifetime {
		return 0, logical.Invalid("config: ttl must be a duration of at most ten years")
	}
	return d, nil
}

// issuer returns the configured CA.
func (s *settings) issuer() (*x509.Certificate, crypto.Signer, error) {
	pair, err := tls.X509KeyPair([]byte(s.CACertificate), []byte(s.CAPrivateKey))
	if err != nil {
		return nil, nil, logical.Invalid("config: ca_certificate and ca_private_key are not a PEM pair of a certificate and its key")
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, nil, logical.Invalid("config: ca_certificate is not that of an authority")
	}
	return pair.Leaf, key, nil
}

// certificate makes a key and a certificate for it. issuing_ca is the authority's
// certificate, or the certificate itself if that signs itself.
func (g *generator) certificate(context.Context) (source.Values, error) {
	key, err := g.newKey(g.Key)
	if err != nil {
		return nil, fmt.Errorf("generate a key: %w", err)
	}
	template, err := g.template()
	if err != nil {
		return nil, err
	}
	parent, signer := template, key
	if g.CACertificate != "" {
		if parent, signer, err = g.issuer(); err != nil {
			return nil, err
		}
		if template.NotAfter.After(parent.NotAfter) {
			template.NotAfter = parent.NotAfter
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("generate a certificate: %w", err)
	}
	private, err := privatePEM(key)
	if err != nil {
		return nil, err
	}
	certificate := block("CERTIFICATE", der)
	issuing := certificate
	if g.CACertificate != "" {
		issuing = secret.Text(g.CACertificate)
	}
	return source.Values{"certificate": certificate, "private_key": private, "issuing_ca": issuing}, nil
}

func (g *generator) template() (*x509.Certificate, error) {
	serial := make([]byte, 16) // RFC 5280 §4.1.2.2: at most 20 bytes
	rand.Read(serial)          // never fails
	serial[0] &= 0x7f
	lifetime, err := g.lifetime()
	if err != nil {
		return nil, err
	}
	now := g.now()
	t := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: g.CommonName},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(lifetime), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range g.Names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	return t, nil
}
