package listener

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/config"
)

// start is any time: certificates are made for it, and clients live in it.
var start = time.Date(2030, 5, 4, 12, 0, 0, 0, time.UTC)

// clock stands still until a test moves it.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// open opens a listener that is closed when the test ends.
func open(t *testing.T, cfg config.Listener, opts Options) *Listener {
	t.Helper()
	if cfg.Network == "" {
		cfg.Network = config.TCP
	}
	if cfg.Address == "" {
		cfg.Address = "127.0.0.1:0"
	}
	l, err := Open(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// serve answers every request with the protocol it came by.
func serve(t *testing.T, l *Listener) {
	t.Helper()
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto)
	})}
	s.ErrorLog = quiet
	l.Configure(s)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done })
}

// client trusts the authority in the file at caFile and lives at the time of c.
func client(t *testing.T, caFile string, c *clock) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	tr := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: pool, Time: c.Now},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func get(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// shown returns the certificate that l shows to a new connection.
func shown(t *testing.T, l *Listener) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true}) // what is looked at is the certificate
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

func TestClientsSpeakHTTP2OverTLS(t *testing.T) {
	c := &clock{start}
	l := open(t, config.Listener{TLS: config.TLS{SelfSignedDir: t.TempDir()}}, Options{Now: c.Now})
	serve(t, l)
	trust, ok := l.Trust()
	if !ok {
		t.Fatal("there is nothing to trust")
	}
	if !strings.HasPrefix(l.URL(), "https://127.0.0.1:") {
		t.Errorf("URL is %s", l.URL())
	}
	if got := get(t, client(t, trust.CAFile, c), l.URL()); got != "HTTP/2.0" {
		t.Errorf("got %s", got)
	}
}

func TestClientsSpeakHTTP1WithoutTLS(t *testing.T) {
	l := open(t, config.Listener{TLS: config.TLS{Disabled: true}}, Options{})
	serve(t, l)
	if _, ok := l.Trust(); ok {
		t.Error("there is something to trust")
	}
	if err := l.Reload(); err != nil {
		t.Errorf("reload: %v", err)
	}
	if got := get(t, http.DefaultClient, l.URL()); got != "HTTP/1.1" {
		t.Errorf("got %s", got)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestPlainHTTPToTLSIsToldSo(t *testing.T) {
	l := open(t, config.Listener{TLS: config.TLS{SelfSignedDir: t.TempDir()}}, Options{})
	serve(t, l)
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "HTTP request to an HTTPS server") {
		t.Errorf("got %d %q", resp.StatusCode, body)
	}
}

func TestVersionsOfTLSAreHeldTo(t *testing.T) {
	for _, tt := range []struct {
		name     string
		cfg      config.TLS
		low, top uint16 // of the client
		ok       bool
	}{
		{"1.2 is the lowest by default", config.TLS{}, tls.VersionTLS10, tls.VersionTLS11, false},
		{"1.2 is taken by default", config.TLS{}, tls.VersionTLS12, tls.VersionTLS12, true},
		{"1.3 is taken by default", config.TLS{}, tls.VersionTLS13, tls.VersionTLS13, true},
		{"1.2 is below a minimum of 1.3", config.TLS{MinVersion: tls.VersionTLS13}, tls.VersionTLS12, tls.VersionTLS12, false},
		{"1.3 is above a maximum of 1.2", config.TLS{MaxVersion: tls.VersionTLS12}, tls.VersionTLS13, tls.VersionTLS13, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.SelfSignedDir = t.TempDir()
			l := open(t, config.Listener{TLS: tt.cfg}, Options{})
			serve(t, l)
			conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{
				InsecureSkipVerify: true, MinVersion: tt.low, MaxVersion: tt.top,
			})
			if err == nil {
				conn.Close()
			}
			if (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAConfiguredCertificateIsReloaded(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	for _, path := range []string{first, second} {
		if _, err := makePair(path, template(start), nil); err != nil {
			t.Fatal(err)
		}
	}
	used := filepath.Join(dir, "used")
	copyFile(t, first, used)
	l := open(t, config.Listener{TLS: config.TLS{CertFile: used, KeyFile: used}}, Options{})
	serve(t, l)
	if _, ok := l.Trust(); ok {
		t.Error("a configured certificate is said to be of the server's own making")
	}
	before := shown(t, l)

	if err := os.WriteFile(used, []byte("-----BEGIN NONSENSE-----"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Reload(); err == nil {
		t.Error("a broken certificate was taken")
	}
	if !shown(t, l).Equal(before) {
		t.Error("the certificate changed though it could not be read")
	}

	copyFile(t, second, used)
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	if shown(t, l).Equal(before) {
		t.Error("the certificate is the old one")
	}
}

func TestAMissingCertificateIsFoundBeforeTheAddressIsTaken(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone.pem")
	_, err := Open(config.Listener{
		Network: config.TCP, Address: "127.0.0.1:0",
		TLS: config.TLS{CertFile: gone, KeyFile: gone},
	}, Options{})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

func TestClientsWithoutACertificateAreRefusedIfItIsRequired(t *testing.T) {
	dir := t.TempDir()
	ca, err := makePair(filepath.Join(dir, "ca"), authorityTemplate(time.Now()), nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf := template(time.Now())
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	mine, err := makePair(filepath.Join(dir, "mine"), leaf, &ca)
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, config.Listener{TLS: config.TLS{
		SelfSignedDir: t.TempDir(), RequireClientCert: true, ClientCAFile: filepath.Join(dir, "ca"),
	}}, Options{})
	serve(t, l)

	for _, tt := range []struct {
		name  string
		certs []tls.Certificate
		ok    bool
	}{
		{"without", nil, false},
		{"with one of another authority", []tls.Certificate{mustPair(t, template(time.Now()))}, false},
		{"with one of the right authority", []tls.Certificate{mine}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: tt.certs}}
			defer tr.CloseIdleConnections()
			resp, err := (&http.Client{Transport: tr}).Get(l.URL())
			if err == nil {
				resp.Body.Close()
			}
			if (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestServersGetTheListenersLimits(t *testing.T) {
	var s http.Server
	open(t, config.Listener{TLS: config.TLS{Disabled: true}, WriteTimeout: time.Minute, IdleTimeout: time.Second}, Options{}).Configure(&s)
	if s.ReadHeaderTimeout != 10*time.Second || s.ReadTimeout != 30*time.Second ||
		s.WriteTimeout != time.Minute || s.IdleTimeout != time.Second {
		t.Errorf("got %v %v %v %v", s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout)
	}
}

func TestTheURLOfEveryAddressIsLoopback(t *testing.T) {
	l := open(t, config.Listener{Address: "0.0.0.0:0", TLS: config.TLS{Disabled: true}}, Options{})
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil || l.URL() != "http://127.0.0.1:"+port {
		t.Errorf("got %s of %s", l.URL(), l.Addr())
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
