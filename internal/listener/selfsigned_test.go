package listener

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"io"
	"log"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/config"
)

var quiet = log.New(io.Discard, "", 0)

// template is of a certificate that is good at now.
func template(now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: "test"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		DNSNames: []string{"localhost"},
	}
}

func authorityTemplate(now time.Time) *x509.Certificate {
	t := template(now)
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	return t
}

func mustPair(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	pair, err := makePair(filepath.Join(t.TempDir(), "pair"), template, nil)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// own opens a listener with a certificate of its own, kept in dir.
func own(t *testing.T, dir string, c *clock, names ...string) *Listener {
	t.Helper()
	return open(t, config.Listener{TLS: config.TLS{SelfSignedDir: dir}}, Options{Now: c.Now, Names: names})
}

func TestTheOwnCertificateIsForEveryNameOfTheMachine(t *testing.T) {
	c := &clock{start}
	l := own(t, t.TempDir(), c, "coffer.example.com", "192.0.2.9", "bad name")
	serve(t, l)
	cert := shown(t, l)
	trust, _ := l.Trust()
	pool := x509.NewCertPool()
	pool.AddCert(readCA(t, trust.CAFile))
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	wanted := append([]string{"localhost", "127.0.0.1", "::1", host, "coffer.example.com", "192.0.2.9"}, machineAddrs()...)
	for _, name := range wanted {
		if _, err := cert.Verify(x509.VerifyOptions{DNSName: name, Roots: pool, CurrentTime: start}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := cert.Verify(x509.VerifyOptions{DNSName: "other.example.com", Roots: pool, CurrentTime: start}); err == nil {
		t.Error("the certificate is for any name")
	}
}

func TestTheFingerprintIsTheAuthoritys(t *testing.T) {
	trust, _ := own(t, t.TempDir(), &clock{start}).Trust()
	sum := sha256.Sum256(readCA(t, trust.CAFile).Raw)
	if want := hex.EncodeToString(sum[:]); trust.Fingerprint != want {
		t.Errorf("got %s, want %s", trust.Fingerprint, want)
	}
}

func TestOnlyTheServerReadsItsKeys(t *testing.T) {
	dir := t.TempDir()
	own(t, dir, &clock{start})
	for name, mode := range map[string]os.FileMode{
		authorityFile: 0o600, serverFile: 0o600, caFile: 0o644,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want %v", name, info.Mode(), err, mode)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 3 {
		t.Errorf("there are %d files, want 3", len(files))
	}
	if block, _ := pem.Decode(read(t, filepath.Join(dir, caFile))); block.Type != "CERTIFICATE" {
		t.Errorf("clients are given a %s", block.Type)
	}
}

func TestTheOwnCertificateIsKeptWhileItIsGood(t *testing.T) {
	dir, c := t.TempDir(), &clock{start}
	first := own(t, dir, c)
	trust, _ := first.Trust()
	cert, ca := leaf(first), readCA(t, trust.CAFile)

	c.now = start.Add(serverLife - renewBefore - time.Hour)
	if !leaf(own(t, dir, c)).Equal(cert) {
		t.Error("a good certificate was replaced")
	}

	c.now = start.Add(serverLife - renewBefore + time.Hour)
	if err := first.Reload(); err != nil {
		t.Fatal(err)
	}
	renewed := leaf(first)
	if renewed.Equal(cert) || renewed.NotAfter.Sub(c.now) != serverLife {
		t.Errorf("near its end, the certificate lasts until %s", renewed.NotAfter)
	}
	if !readCA(t, trust.CAFile).Equal(ca) {
		t.Error("clients must trust another authority after a renewal")
	}
	if !leaf(own(t, dir, c)).Equal(renewed) {
		t.Error("the renewed certificate was not kept")
	}
	if leaf(own(t, dir, c, "new.example.com")).Equal(renewed) {
		t.Error("a certificate without the new name was kept")
	}
}

func TestTheAuthorityIsReplacedBeforeWhatItSignsOutlivesIt(t *testing.T) {
	dir, c := t.TempDir(), &clock{start}
	trust, _ := own(t, dir, c).Trust()
	ca := readCA(t, trust.CAFile)
	c.now = start.Add(authorityLife - serverLife + time.Hour)
	l := own(t, dir, c)
	if readCA(t, trust.CAFile).Equal(ca) {
		t.Error("the authority is the old one")
	}
	if err := leaf(l).CheckSignatureFrom(readCA(t, trust.CAFile)); err != nil {
		t.Errorf("the server's certificate is the old authority's: %v", err)
	}
}

func TestWhatClientsTrustIsNotReplacedSilently(t *testing.T) {
	dir, c := t.TempDir(), &clock{start}
	own(t, dir, c)
	if err := os.WriteFile(filepath.Join(dir, authorityFile), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(config.Listener{
		Network: config.TCP, Address: "127.0.0.1:0", TLS: config.TLS{SelfSignedDir: dir},
	}, Options{Now: c.Now})
	if err == nil {
		t.Error("a broken authority was replaced")
	}
}

func TestABrokenServerCertificateIsMadeAnew(t *testing.T) {
	dir, c := t.TempDir(), &clock{start}
	trust, _ := own(t, dir, c).Trust()
	for _, name := range []string{serverFile, caFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := own(t, dir, c)
	if err := leaf(l).CheckSignatureFrom(readCA(t, trust.CAFile)); err != nil {
		t.Error(err)
	}
}

func TestAnOwnCertificateNeedsAFolder(t *testing.T) {
	if _, err := Open(config.Listener{Network: config.TCP, Address: "127.0.0.1:0"}, Options{}); err == nil {
		t.Error("got no error")
	}
}

// leaf returns the certificate that l has for its next connection.
func leaf(l *Listener) *x509.Certificate { return l.tls.Load().config.Certificates[0].Leaf }

func readCA(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(read(t, path))
	if block == nil {
		t.Fatalf("%s is not PEM", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
