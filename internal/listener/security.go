package listener

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/cofferhq/coffer/internal/config"
)

// security is what a listener has read to protect connections. It is immutable
// and swapped whole.
type security struct {
	config *tls.Config
	trust  *Trust // nil if the certificate is not of the server's own making
}

// Trust is what a client needs to believe a certificate that the server made.
type Trust struct {
	CAFile      string // PEM, for VAULT_CACERT
	Fingerprint string // SHA-256 of the authority's certificate, in hex
}

// Trust returns what clients need, and false if they need nothing special: the
// certificate was configured, or there is none.
func (l *Listener) Trust() (Trust, bool) {
	s := l.tls.Load()
	if s == nil || s.trust == nil {
		return Trust{}, false
	}
	return *s.trust, true
}

func (l *Listener) readSecurity() (*security, error) {
	t := l.cfg.TLS
	c := &tls.Config{
		MinVersion: max(t.MinVersion, tls.VersionTLS12),
		MaxVersion: t.MaxVersion,
		NextProtos: []string{"h2", "http/1.1"},
	}
	if err := askClients(c, t); err != nil {
		return nil, err
	}
	if t.SelfSigned() {
		cert, trust, err := l.selfSigned()
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{cert}
		return &security{c, &trust}, nil
	}
	cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, err
	}
	c.Certificates = []tls.Certificate{cert}
	return &security{c, nil}, nil
}

// askClients sets what c asks of clients' certificates. As with Vault, they are
// asked for one but need none, so that an auth method can use it.
func askClients(c *tls.Config, t config.TLS) error {
	switch {
	case t.NoClientCert:
		return nil
	case !t.RequireClientCert:
		c.ClientAuth = tls.RequestClientCert
		return nil
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	if t.ClientCAFile == "" {
		return nil
	}
	pem, err := os.ReadFile(t.ClientCAFile)
	if err != nil {
		return err
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("read %s: %w", t.ClientCAFile, errNoCertificate)
	}
	return nil
}

var errNoCertificate = errors.New("no certificate in the file")
