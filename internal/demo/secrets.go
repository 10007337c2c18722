package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// Where the three secrets are kept, and the address at which the policy must
// name them.
const (
	mountPath    = "secret/"
	databasePath = "app/database"
	apiPath      = "app/api"
	tlsPath      = "app/tls"
)

// envFile is all that the application's folder has of its secrets.
const envFile = `# References, not secrets: this file can be committed.
DATABASE_URL=vault:secret/app/database#url
API_KEY=vault:secret/app/api#key
TLS_CERT=vault:secret/app/tls#certificate
TLS_KEY=vault:secret/app/tls#private_key
`

// secrets are the three of the demo, new each time.
type secrets struct {
	databaseURL string
	apiKey      string
	certificate string // PEM
	privateKey  string // PEM
}

func newSecrets() (secrets, error) {
	certificate, privateKey, err := newCertificate()
	return secrets{
		databaseURL: "postgresql://app:" + rand.Text() + "@db.internal/app",
		apiKey:      rand.Text(),
		certificate: certificate,
		privateKey:  privateKey,
	}, err
}

// newCertificate makes a certificate for this machine's loopback address that
// vouches for itself.
func newCertificate() (certificate, privateKey string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "application of the coffer demo"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", "", err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	privateKey = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	return certificate, privateKey, nil
}
