package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/cofferhq/coffer/api"
)

// MaxResponseBytes is the largest body that is read of an answer.
const MaxResponseBytes = 64 << 20

// Request is one call of the API.
type Request struct {
	Method string // empty: GET
	Path   string // below /v1, without it: "secret/data/db"
	Query  url.Values

	// Body is sent as JSON; a []byte goes out as it is. Nil: no body.
	Body any

	// IfNoneMatch is the [api.Secret.ETag] of an answer that the caller has. If it
	// would come again, Do returns [ErrNotModified]. Servers that know no tags send
	// the answer; empty: it is always sent.
	IfNoneMatch string

	Header  http.Header // beside, and in place of, the client's own
	WrapTTL string      // in place of the client's; empty: the client's
}

// Answer is what a server said, whatever the status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // at most MaxResponseBytes; the receiver owns it
}

// Do makes a request and returns the envelope of the answer. It returns nil and
// no error if the server has nothing to say (204) or there is no such entry
// (404 without data); a 404 with data or warnings is returned as an answer.
// What the server refuses is an [*Error].
//
// An answer without the envelope, as some of sys/ are, is in Data whole.
//
// Attempts are repeated, at most Config.MaxRetries times, when the server could
// not be reached, or answers 412, 429 or 503; a request that only reads also on
// 500, 502, 504 and the like, and on broken connections. A write may have
// happened then, so it is not repeated.
func (c *Client) Do(ctx context.Context, r Request) (*api.Secret, error) {
	a, err := c.Raw(ctx, r)
	if err != nil {
		return nil, err
	}
	return r.result(a)
}

// result is what Do makes of an answer.
func (r Request) result(a *Answer) (*api.Secret, error) {
	switch {
	case a.Status == http.StatusNotModified && r.IfNoneMatch != "":
		return nil, ErrNotModified
	case a.Status >= http.StatusMultipleChoices && a.Status != http.StatusNotFound:
		return nil, newError(r, a)
	}
	s, err := parseSecret(a.Body)
	if a.Status != http.StatusNotFound {
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.method(), r.Path, err)
		}
		if s != nil {
			s.ETag = a.Header.Get("ETag")
		}
		return s, nil
	}
	if err == nil && s != nil && (s.Data != nil || len(s.Warnings) > 0) {
		return s, nil
	}
	if e := newError(r, a); len(e.Errors) > 0 {
		return nil, e
	}
	return nil, nil
}

// Raw is Do without a view on the answer: every status is returned, and no error
// but the network's. It repeats attempts as Do does.
func (c *Client) Raw(ctx context.Context, r Request) (*Answer, error) {
	body, err := encodeBody(r.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method(), r.Path, err)
	}
	ctx, cancel := c.wire.timeout.bound(ctx)
	defer cancel()
	for attempt := 0; ; attempt++ {
		a, err := c.attempt(ctx, r, body)
		if attempt >= c.wire.retries || !worthRetry(r.method(), a, err) {
			return a, err
		}
		if wait(ctx, pause(attempt, a)) != nil {
			return a, err
		}
	}
}

// attempt sends the request once, or twice if the server sends it elsewhere.
func (c *Client) attempt(ctx context.Context, r Request, body []byte) (*Answer, error) {
	u := c.URL(r.Path, r.Query)
	a, err := c.send(ctx, r, u, body)
	if err != nil || !isRedirect(a) {
		return a, err
	}
	next, err := redirected(u, a)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method(), r.Path, err)
	}
	return c.send(ctx, r, next, body)
}

func (c *Client) send(ctx context.Context, r Request, u *url.URL, body []byte) (*Answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.method(), u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method(), r.Path, err)
	}
	req.Header = c.header(r, body)
	resp, err := c.wire.http.Do(req)
	if err != nil {
		return nil, networkError(r, u, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, MaxResponseBytes+1))
	if err != nil {
		return nil, networkError(r, u, err)
	}
	if len(got) > MaxResponseBytes {
		return nil, fmt.Errorf("%s %s: answer exceeds %d bytes", r.method(), r.Path, MaxResponseBytes)
	}
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: got}, nil
}

func (c *Client) header(r Request, body []byte) http.Header {
	h := c.Header()
	switch {
	case r.Method == http.MethodPatch:
		h.Set("Content-Type", "application/merge-patch+json")
	case len(body) > 0:
		h.Set("Content-Type", "application/json")
	}
	ttl := r.WrapTTL
	if ttl == "" {
		ttl = c.wrapTTL
	}
	if ttl != "" {
		h.Set("X-Vault-Wrap-TTL", ttl)
	}
	if r.IfNoneMatch != "" {
		h.Set("If-None-Match", r.IfNoneMatch)
	}
	maps.Copy(h, r.Header)
	return h
}

func (r Request) method() string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}

func encodeBody(body any) ([]byte, error) {
	switch b := body.(type) {
	case nil:
		return nil, nil
	case []byte:
		return b, nil
	}
	b, err := json.Marshal(body)
	if err != nil {
		// The cause may quote what could not be encoded.
		return nil, errors.New("body cannot be encoded as JSON")
	}
	return b, nil
}

// timeout bounds a request; negative: it does not.
type timeout time.Duration

func (t timeout) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if t < 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(t))
}
