package parts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// certify writes a key and a certificate for the loopback interface, signed by
// itself, and returns the certificate in PEM form.
func certify(dir string) (ca string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: "a test server"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	if _, err := write(dir, "server.crt", ca); err != nil {
		return "", err
	}
	path, err := write(dir, "server.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	if err != nil {
		return "", err
	}
	if c := credential(); c != nil {
		if err := os.Chown(path, int(c.Uid), int(c.Gid)); err != nil {
			return "", err
		}
	}
	return ca, os.Chmod(path, 0o600) // servers refuse a key that others can read
}

// Certificate returns a certificate for the loopback interface with its key, for a
// server that a test is itself; ca is the certificate in PEM form.
func Certificate(t testing.TB) (ca string, pair tls.Certificate) {
	t.Helper()
	dir := t.TempDir()
	ca, err := certify(dir)
	if err != nil {
		t.Fatal(err)
	}
	pair, err = tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	return ca, pair
}

// OtherCA returns the certificate of a CA that no server's is of.
func OtherCA(t testing.TB) string {
	t.Helper()
	ca, _ := Certificate(t)
	return ca
}
