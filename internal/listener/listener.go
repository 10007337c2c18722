// Package listener opens the addresses at which a server takes requests, with
// TLS, limits and the rules of who may speak for a client. What is said on a
// connection is internal/httpapi's business.
//
// Start reading at [Open].
package listener

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cofferhq/coffer/internal/config"
)

// Options are what a listener needs beside its configuration. The zero value is
// right for a server.
type Options struct {
	// Names are more names and addresses that a self-signed certificate is for,
	// such as the host of the server's own URL.
	Names []string

	Now func() time.Time // nil: time.Now
}

// defaultMaxConnections is how many connections may be open at once. Each costs
// some 20 KiB with TLS, so that all of them together are no danger.
const defaultMaxConnections = 10_000

// Listener is an address that the server listens on. Its connections are ready
// for [http.Server.Serve]. It is safe for concurrent use.
type Listener struct {
	net.Listener // Accept waits while the permitted number of connections is open

	cfg  config.Listener
	opts Options
	tls  atomic.Pointer[security] // nil without TLS

	reload sync.Mutex // held by the one who reads certificates
}

var _ net.Listener = (*Listener)(nil)

// Open listens at the address of cfg. It reads the certificates that cfg names,
// or makes one if it names none. Close the Listener.
func Open(cfg config.Listener, opts Options) (*Listener, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	l := &Listener{cfg: cfg, opts: opts}
	if err := l.Reload(); err != nil { // before the address is taken: it takes nothing back
		return nil, err
	}
	inner, err := listen(cfg)
	if err != nil {
		return nil, err
	}
	conns := cfg.MaxConnections
	if conns == 0 {
		conns = defaultMaxConnections
	}
	l.Listener = newLimited(inner, conns)
	if !cfg.TLS.Disabled {
		// TLS stands outside the limit: http.Server speaks HTTP/2 only on a *tls.Conn.
		l.Listener = tls.NewListener(l.Listener, &tls.Config{
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				return l.tls.Load().config, nil
			},
		})
	}
	return l, nil
}

// keepAlive finds clients that are gone within two minutes.
var keepAlive = net.KeepAliveConfig{
	Enable: true, Idle: 30 * time.Second, Interval: 15 * time.Second, Count: 6,
}

func listen(cfg config.Listener) (net.Listener, error) {
	if cfg.Network == config.Unix {
		return listenUnix(cfg.Address, cfg.Socket)
	}
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	return lc.Listen(context.Background(), "tcp", cfg.Address)
}

// Reload reads the certificates again, and makes a new one of a self-signed
// one that has less than 30 days left. Connections that are made afterwards use
// them. If it fails, all stays as it was. A server calls it when it is told to
// (SIGHUP) and once a day. Without TLS it does nothing.
func (l *Listener) Reload() error {
	if l.cfg.TLS.Disabled {
		return nil
	}
	l.reload.Lock()
	defer l.reload.Unlock()
	s, err := l.readSecurity()
	if err != nil {
		return fmt.Errorf("certificate of listener %s: %w", l.cfg.Address, err)
	}
	l.tls.Store(s)
	return nil
}

// Config returns what the listener was opened with.
func (l *Listener) Config() config.Listener { return l.cfg }

// URL returns an address at which clients on this machine reach the listener,
// such as "https://127.0.0.1:8200" or "unix:///run/coffer.sock".
func (l *Listener) URL() string {
	if l.cfg.Network == config.Unix {
		return "unix://" + l.cfg.Address
	}
	scheme := "https://"
	if l.cfg.TLS.Disabled {
		scheme = "http://"
	}
	at, err := netip.ParseAddrPort(l.Addr().String())
	if err == nil && at.Addr().IsUnspecified() {
		return fmt.Sprintf("%s127.0.0.1:%d", scheme, at.Port())
	}
	return scheme + l.Addr().String()
}

// Limits of a server whose configuration says nothing, as Vault has them.
const (
	defaultReadHeaderTimeout = 10 * time.Second
	defaultReadTimeout       = 30 * time.Second
	defaultIdleTimeout       = 5 * time.Minute
	maxHeaderBytes           = 64 << 10

	// maxStreams is how many requests one connection of HTTP/2 can have under way:
	// the least that RFC 9113 §6.5.2 recommends.
	maxStreams = 100
)

// Configure sets the limits of s to those of the listener.
func (l *Listener) Configure(s *http.Server) {
	s.ReadHeaderTimeout = orDefault(l.cfg.ReadHeaderTimeout, defaultReadHeaderTimeout)
	s.ReadTimeout = orDefault(l.cfg.ReadTimeout, defaultReadTimeout)
	s.WriteTimeout = l.cfg.WriteTimeout
	s.IdleTimeout = orDefault(l.cfg.IdleTimeout, defaultIdleTimeout)
	s.MaxHeaderBytes = maxHeaderBytes
	s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxStreams}
}

func orDefault(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}
