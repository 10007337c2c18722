package listener

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/cofferhq/coffer/internal/file"
)

// A server without a certificate is its own authority: what clients trust lasts
// long, what the server shows is renewed below it without their noticing.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	serverLife    = 365 * 24 * time.Hour
	renewBefore   = 30 * 24 * time.Hour
	clockSkew     = time.Hour // by which a client's clock may be behind
)

// The files in TLS.SelfSignedDir. Certificate and key share a file, so that no
// crash leaves one without the other.
const (
	authorityFile = "authority.pem" // certificate and key, 0600
	serverFile    = "server.pem"    // certificate and key, 0600
	caFile        = "ca.pem"        // the authority's certificate alone, for clients
)

// selfSigned returns the server's own certificate, made now if there is none,
// it is about to expire, or it is not for all the names it should be.
func (l *Listener) selfSigned() (tls.Certificate, Trust, error) {
	dir := l.cfg.TLS.SelfSignedDir
	if dir == "" {
		return tls.Certificate{}, Trust{}, errors.New("no folder is named to keep the server's own certificate in")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { // clients read the authority's certificate there
		return tls.Certificate{}, Trust{}, err
	}
	now := l.opts.Now()
	authority, err := loadAuthority(dir, now)
	if err != nil {
		return tls.Certificate{}, Trust{}, err
	}
	cert, err := loadServer(dir, now, authority, l.names())
	if err != nil {
		return tls.Certificate{}, Trust{}, err
	}
	sum := sha256.Sum256(authority.Leaf.Raw)
	trust := Trust{CAFile: filepath.Join(dir, caFile), Fingerprint: hex.EncodeToString(sum[:])}
	return cert, trust, nil
}

// loadAuthority reads the authority in dir, or makes one if there is none or it
// could not outlive a server's certificate. One that cannot be read is an error:
// clients trust it, so it is not replaced behind their backs.
func loadAuthority(dir string, now time.Time) (tls.Certificate, error) {
	path := filepath.Join(dir, authorityFile)
	authority, err := readPair(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return tls.Certificate{}, fmt.Errorf("%w (remove the file to have a new one made, which clients must then be told to trust)", err)
	case now.Add(serverLife).Before(authority.Leaf.NotAfter):
		return authority, writeCA(dir, authority)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "coffer authority of " + hostname()},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(authorityLife),
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if authority, err = makePair(path, template, nil); err != nil {
		return tls.Certificate{}, err
	}
	return authority, writeCA(dir, authority)
}

// writeCA keeps the file for clients the same as what signs.
func writeCA(dir string, authority tls.Certificate) error {
	path := filepath.Join(dir, caFile)
	want := certificatePEM(authority.Leaf.Raw)
	if have, err := os.ReadFile(path); err == nil && string(have) == string(want) {
		return nil
	}
	return file.ReplaceWith(path, 0o644, want)
}

// loadServer reads the certificate in dir if it is good for names and a while
// yet, and else makes a new one.
func loadServer(dir string, now time.Time, authority tls.Certificate, names []string) (tls.Certificate, error) {
	path := filepath.Join(dir, serverFile)
	if cert, err := readPair(path); err == nil && stillGood(cert.Leaf, now, authority.Leaf, names) {
		return cert, nil
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "coffer at " + hostname()},
		NotBefore:   now.Add(-clockSkew),
		NotAfter:    now.Add(serverLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return makePair(path, template, &authority)
}

func stillGood(cert *x509.Certificate, now time.Time, authority *x509.Certificate, names []string) bool {
	if cert.CheckSignatureFrom(authority) != nil {
		return false
	}
	if now.Before(cert.NotBefore) || now.Add(renewBefore).After(cert.NotAfter) {
		return false
	}
	for _, name := range names {
		if cert.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}

// makePair signs template with the issuer's key, or its own if there is no
// issuer, and keeps certificate and key in the file at path.
func makePair(path string, template *x509.Certificate, issuer *tls.Certificate) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return tls.Certificate{}, err
	}
	parent, signer := template, any(key)
	if issuer != nil {
		parent, signer = issuer.Leaf, issuer.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	text := append(certificatePEM(der), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
	if err := file.ReplaceWith(path, 0o600, text); err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(text, text)
}

// readPair reads a certificate and its key from one file.
func readPair(path string) (tls.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return tls.Certificate{}, err
	}
	cert, err := tls.X509KeyPair(text, text)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read %s: %w", path, err)
	}
	return cert, nil
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
