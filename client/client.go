// Package client talks to a server that speaks Vault's HTTP API: coffer, or any
// other. It moves the structs of package api, knows the few rules that every
// caller needs (retries, redirects, what a 404 means, the two versions of the
// key-value engine) and, but for WebSockets ([Client.Events]), uses the standard
// library only. It does not renew tokens and leases or watch secrets for changes:
// package secrets does.
//
// Start reading at [New] and [Client.Read].
package client

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
)

// Client makes requests to one server, in one namespace, with one token. It is
// safe for concurrent use.
type Client struct {
	wire      *wire
	namespace string
	wrapTTL   string
	extra     http.Header // beside the wire's; never changed
	token     atomic.Pointer[token]
}

// token keeps the text from fmt, which cannot see what a func returns.
type token struct{ reveal func() string }

// wire is what clients that were made of one another share. It is immutable, but
// for what maker finds out.
type wire struct {
	base     *url.URL // scheme, host, and the path in front of /v1
	http     *http.Client
	upgrades *http.Client // HTTP/1.1 only, as upgrades to WebSockets want it
	header   http.Header  // sent with every request
	retries  int
	timeout  timeout
	maker    maker
}

// New returns a client. It opens no connection. The error tells of settings
// that cannot be used: an address that is none, certificates that cannot be
// read.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	base, socket, err := parseAddress(cfg.Address)
	if err != nil {
		return nil, err
	}
	transport, upgrades, err := newTransports(cfg, socket)
	if err != nil {
		return nil, err
	}
	c := &Client{
		wire: &wire{
			base:     base,
			http:     &http.Client{Transport: transport, CheckRedirect: neverRedirect},
			upgrades: &http.Client{Transport: upgrades, CheckRedirect: neverRedirect},
			header:   fixedHeader(cfg),
			retries:  max(0, cfg.MaxRetries),
			timeout:  timeout(cfg.Timeout),
		},
		namespace: strings.Trim(cfg.Namespace, "/"),
		wrapTTL:   cfg.WrapTTL,
	}
	c.SetToken(cfg.Token)
	return c, nil
}

func fixedHeader(cfg Config) http.Header {
	h := cfg.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("User-Agent", cfg.UserAgent)
	// Servers may demand it as a defence against forged requests from browsers.
	h.Set("X-Vault-Request", "true")
	return h
}

// SetToken makes c use another token from now on. Empty: none.
func (c *Client) SetToken(text string) {
	c.token.Store(&token{reveal: func() string { return text }})
}

// Token returns the token in use. Show it to nobody.
func (c *Client) Token() string { return c.token.Load().reveal() }

// Namespace returns the namespace in use, without slashes at its ends.
func (c *Client) Namespace() string { return c.namespace }

// WithToken returns a client that differs from c in its token only. The two
// share connections.
func (c *Client) WithToken(text string) *Client {
	d := &Client{wire: c.wire, namespace: c.namespace, wrapTTL: c.wrapTTL, extra: c.extra}
	d.SetToken(text)
	return d
}

// WithNamespace returns a client that differs from c in its namespace only. The
// two share connections.
func (c *Client) WithNamespace(namespace string) *Client {
	d := c.WithToken(c.Token())
	d.namespace = strings.Trim(namespace, "/")
	return d
}

// WithWrapTTL returns a client that differs from c only in that its answers are
// wrapped for ttl, a duration as Vault takes it. Empty: they are not.
func (c *Client) WithWrapTTL(ttl string) *Client {
	d := c.WithToken(c.Token())
	d.wrapTTL = ttl
	return d
}

// WithHeader returns a client that differs from c only in that it sends one more
// header, in place of one of that name. The two share connections.
func (c *Client) WithHeader(name, value string) *Client {
	d := c.WithToken(c.Token())
	d.extra = d.extra.Clone()
	if d.extra == nil {
		d.extra = http.Header{}
	}
	d.extra.Set(name, value)
	return d
}

// URL returns the address of path, which is relative to /v1.
func (c *Client) URL(path string, query url.Values) *url.URL {
	u := *c.wire.base
	u.Path += "/v1/" + strings.TrimLeft(path, "/")
	u.RawQuery = query.Encode()
	return &u
}

// Header returns what goes with every request: token, namespace, user agent.
// Together with [Client.URL] and [Client.HTTP] it serves protocols that are not
// plain requests, such as event subscriptions.
func (c *Client) Header() http.Header {
	h := c.wire.header.Clone()
	maps.Copy(h, c.extra)
	if t := c.Token(); t != "" {
		h.Set("X-Vault-Token", t)
	}
	if c.namespace != "" {
		h.Set("X-Vault-Namespace", c.namespace+"/")
	}
	return h
}

// HTTP returns the client below, with its TLS settings. It follows no redirect.
func (c *Client) HTTP() *http.Client { return c.wire.http }

// String tells where c points, and no token.
func (c *Client) String() string {
	return fmt.Sprintf("client(%s, namespace %q)", c.wire.base.Redacted(), c.namespace)
}
