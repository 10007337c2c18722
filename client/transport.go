package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// parseAddress returns the address with a clean path, and the path of the
// socket if it is a unix address.
func parseAddress(address string) (base *url.URL, socket string, err error) {
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		if path == "" {
			return nil, "", fmt.Errorf("address %q: no socket", address)
		}
		return &url.URL{Scheme: "http", Host: "localhost"}, path, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		// The cause would repeat the address, which may hold a password.
		return nil, "", fmt.Errorf("address: not a URL")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, "", fmt.Errorf("address %q: want http://, https:// or unix://", u.Redacted())
	}
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/v1")
	u.RawPath, u.RawQuery, u.Fragment = "", "", ""
	return u, "", nil
}

// newTransports returns the transport of requests, and that of upgrades, which
// does not speak HTTP/2.
func newTransports(cfg Config, socket string) (requests, upgrades http.RoundTripper, err error) {
	tlsConfig, err := newTLS(cfg)
	if err != nil {
		return nil, nil, err
	}
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     90 * time.Second,
	}
	if socket != "" {
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	u := t.Clone()
	u.ForceAttemptHTTP2, u.Protocols = false, new(http.Protocols)
	u.Protocols.SetHTTP1(true)
	if cfg.WrapTransport != nil {
		return cfg.WrapTransport(t), cfg.WrapTransport(u), nil
	}
	return t, u, nil
}

func newTLS(cfg Config) (*tls.Config, error) {
	t := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         cfg.TLSServerName,
		InsecureSkipVerify: cfg.SkipVerify, //nolint:gosec // the caller's explicit wish
	}
	var err error
	if t.RootCAs, err = loadAuthorities(cfg); err != nil {
		return nil, err
	}
	if (cfg.ClientCert == "") != (cfg.ClientKey == "") {
		return nil, fmt.Errorf("client certificate and client key go together")
	}
	if cfg.ClientCert == "" {
		return t, nil
	}
	pair, err := tls.LoadX509KeyPair(cfg.ClientCert, cfg.ClientKey)
	if err != nil {
		return nil, fmt.Errorf("client certificate: %w", err)
	}
	t.Certificates = []tls.Certificate{pair}
	return t, nil
}

// loadAuthorities returns nil for the system's.
func loadAuthorities(cfg Config) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	switch {
	case len(cfg.CACertPEM) > 0:
		if !pool.AppendCertsFromPEM(cfg.CACertPEM) {
			return nil, fmt.Errorf("CA certificate: no PEM certificate")
		}
	case cfg.CACertFile != "":
		return pool, addAuthority(pool, cfg.CACertFile)
	case cfg.CAPath != "":
		return pool, addAuthorities(pool, cfg.CAPath)
	default:
		return nil, nil
	}
	return pool, nil
}

func addAuthority(pool *x509.CertPool, file string) error {
	pem, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("CA certificate: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("CA certificate: %s: no PEM certificate", file)
	}
	return nil
}

func addAuthorities(pool *x509.CertPool, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("CA path: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if err := addAuthority(pool, filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
