package secrets

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Transport is an [http.RoundTripper] that adds a secret to a header of every
// request: always the newest one. If the other side refuses it with 401 it asks the
// server for a newer one and, if there is one, sends the request again, once,
// provided that its body can be had again (as of [http.NewRequest] with a buffer or a
// text). A version is in use until the last answer to it is closed, so a rotation that
// waits for its consumers does not take it from a request under way.
//
// When a redirect leads to another host, or from https to http, the secret stays
// behind.
type Transport struct {
	Secret *Secret           // is the caller's to close
	Header string            // empty: Authorization
	Format string            // of the header, with one %s; empty: "Bearer %s" in Authorization, else "%s"
	Base   http.RoundTripper // nil: [http.DefaultTransport]

	mu    sync.Mutex // guards the fields below
	vain  Value      // that a refresh has found to be the newest
	until time.Time  // when that may be asked again
}

var _ http.RoundTripper = (*Transport)(nil)

const (
	// refreshTimeout bounds how long a request that was refused waits for a newer
	// value.
	refreshTimeout = 5 * time.Second
	// vainTime is for how long nobody asks again for a value newer than one that was
	// the newest.
	vainTime = 10 * time.Second
)

// RoundTrip sends r with the header.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if leavesHome(r) {
		return t.base().RoundTrip(r)
	}
	used, done := t.Secret.Use()
	resp, err := t.send(r, used, done)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || !replayable(r) || !t.renew(r.Context(), used) {
		return resp, err
	}
	again := r.Clone(r.Context())
	if r.GetBody != nil {
		if again.Body, err = r.GetBody(); err != nil {
			return resp, nil // the refusal is the best that there is
		}
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrain) // for the connection's sake
	resp.Body.Close()
	used, done = t.Secret.Use()
	return t.send(again, used, done)
}

// maxDrain is how much of an answer is read only to keep its connection.
const maxDrain = 64 << 10

func (t *Transport) base() http.RoundTripper {
	if t.Base == nil {
		return http.DefaultTransport
	}
	return t.Base
}

// send makes the request with one value, and calls done when that is not used any
// more.
func (t *Transport) send(r *http.Request, v Value, done func()) (*http.Response, error) {
	header, format := t.Header, t.Format
	if header == "" {
		header = "Authorization"
	}
	if format == "" {
		format = "%s"
		if http.CanonicalHeaderKey(header) == "Authorization" {
			format = "Bearer %s"
		}
	}
	text := strings.Replace(format, "%s", v.Reveal(), 1)
	if strings.ContainsAny(text, "\r\n\x00") {
		done()
		closeBody(r)
		return nil, errors.New("the secret has a line end or a zero byte, which no header can have")
	}
	r = r.Clone(r.Context())
	r.Header.Set(header, text)
	resp, err := t.base().RoundTrip(r)
	if err != nil {
		done()
		return nil, err
	}
	resp.Body = held(resp.Body, done)
	return resp, nil
}

// closeBody is what a RoundTripper owes the caller who gets an error.
func closeBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}

// leavesHome says whether a request was made by following a redirect to where the
// secret must not go.
func leavesHome(r *http.Request) bool {
	first := r
	for first.Response != nil && first.Response.Request != nil {
		first = first.Response.Request
	}
	return first != r && (r.URL.Host != first.URL.Host || first.URL.Scheme == "https" && r.URL.Scheme != "https")
}

func replayable(r *http.Request) bool {
	return r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
}

// renew says whether there is a newer value than one that was refused.
func (t *Transport) renew(ctx context.Context, refused Value) bool {
	if !t.Secret.Value().Equal(refused) {
		return true
	}
	if t.inVain(refused) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	_ = t.Secret.Refresh(ctx) // the error handler is told
	if !t.Secret.Value().Equal(refused) {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.vain, t.until = refused, time.Now().Add(vainTime)
	return false
}

// inVain says whether it is known, and not for long, that there is no newer value.
func (t *Transport) inVain(v Value) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Now().Before(t.until) && t.vain.Equal(v)
}

// held calls done when a body is closed. A body that can be written to, of a
// connection that speaks another protocol from then on, stays so.
func held(body io.ReadCloser, done func()) io.ReadCloser {
	b := heldBody{body, done}
	if w, ok := body.(io.Writer); ok {
		return struct {
			heldBody
			io.Writer
		}{b, w}
	}
	return b
}

type heldBody struct {
	io.ReadCloser
	done func()
}

func (b heldBody) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}
