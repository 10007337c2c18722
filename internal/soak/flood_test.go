package soak

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// flood has many clients send requests to the listener without TLS, so many a
// second, and fails the test if an answer is of a status that is not wanted. That a
// connection is closed before all was sent is the server's right.
//
// The pace leaves some of the machine to the server, on which is more than a
// processor's time to be found out.
func flood(ctx context.Context, t *testing.T, clients, perSecond int, make func() *http.Request, wanted ...int) {
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	pace := time.NewTicker(time.Second / time.Duration(perSecond))
	defer pace.Stop()
	// On a busy machine it may take longer to the first answer than the attack lasts.
	sending, stop := context.WithTimeout(context.WithoutCancel(ctx), firstAnswer)
	defer stop()
	var answers atomic.Int64
	stopIfAnswered := func() {
		if ctx.Err() != nil && answers.Load() > 0 {
			stop()
		}
	}
	defer context.AfterFunc(ctx, stopIfAnswered)()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			until(sending, func() {
				select {
				case <-pace.C:
				case <-sending.Done():
					return
				}
				resp, err := transport.RoundTrip(make().WithContext(sending))
				if err != nil {
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				answers.Add(1)
				stopIfAnswered()
				if !slices.Contains(wanted, resp.StatusCode) {
					t.Errorf("an answer of status %d, want one of %v", resp.StatusCode, wanted)
				}
			})
		})
	}
	all.Wait()
	if answers.Load() == 0 {
		t.Error("not one request of the flood was answered")
	}
}

const firstAnswer = 30 * time.Second

func (h *house) request(method, path string, body []byte) *http.Request {
	r, err := http.NewRequest(method, "http://"+h.plain+"/v1/"+path, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	return r
}

func longHeaders(ctx context.Context, t *testing.T, h *house) {
	long := func(bytes int) http.Header { return http.Header{"X-Long": {strings.Repeat("x", bytes)}} }
	many := make(http.Header)
	for n := range 10_000 {
		many[fmt.Sprintf("X-%d", n)] = []string{"x"}
	}
	var all sync.WaitGroup
	defer all.Wait()
	for _, f := range []struct {
		clients, perSecond int
		header             http.Header
		want               int
	}{
		{50, 50, long(1 << 20), http.StatusRequestHeaderFieldsTooLarge},
		{50, 50, many, http.StatusRequestHeaderFieldsTooLarge},
		{500, 200, long(60 << 10), http.StatusOK}, // as long as is just permitted
	} {
		all.Go(func() {
			flood(ctx, t, f.clients, f.perSecond, func() *http.Request {
				r := h.request(http.MethodGet, "sys/health", nil)
				r.Header = f.header
				return r
			}, f.want)
		})
	}
}

const maxBody = 32 << 20

func hugeBodies(ctx context.Context, t *testing.T, h *house) {
	body := append(append([]byte(`{"secret_id":"`), bytes.Repeat([]byte("x"), maxBody)...), `"}`...)
	flood(ctx, t, 32, 20, func() *http.Request {
		r := h.request(http.MethodPost, "auth/approle/login", body)
		if rand.IntN(2) == 0 {
			r.ContentLength, r.Body = -1, io.NopCloser(bytes.NewReader(body)) // of a length that it does not tell
		}
		return r
	}, http.StatusRequestEntityTooLarge)
}

// largeBodies also go where they are read: the server learns only afterwards who
// has sent them.
func largeBodies(ctx context.Context, t *testing.T, h *house) {
	body := append(append([]byte(`{"secret_id":"`), bytes.Repeat([]byte("x"), maxBody-100)...), `"}`...)
	flood(ctx, t, 64, 20, func() *http.Request {
		if rand.IntN(2) == 0 {
			return h.request(http.MethodPost, "auth/approle/login", body)
		}
		r := h.request(http.MethodPost, plainMount+"/large", body)
		r.Header.Set("X-Vault-Token", "of nobody")
		return r
	}, http.StatusRequestEntityTooLarge, http.StatusForbidden, http.StatusTooManyRequests)
}

func deepJSON(ctx context.Context, t *testing.T, h *house) {
	const depth = 100_000
	body := []byte(`{"data":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`)
	flood(ctx, t, 32, 100, func() *http.Request { return h.request(http.MethodPost, "auth/approle/login", body) },
		http.StatusBadRequest)
}

func wideJSON(ctx context.Context, t *testing.T, h *house) {
	body := []byte(`{`)
	for n := range 1_000_000 {
		body = fmt.Appendf(body, `"key-%d":"v",`, n)
	}
	body[len(body)-1] = '}'
	flood(ctx, t, 32, 20, func() *http.Request {
		r := h.request(http.MethodPost, "auth/approle/login", body)
		if rand.IntN(2) == 0 {
			r = h.request(http.MethodPost, plainMount+"/wide", body)
			r.Header.Set("X-Vault-Token", h.RootToken)
		}
		return r
	}, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests)
}

func wrongLogins(ctx context.Context, t *testing.T, h *house) {
	wrong := func() string { return fmt.Sprintf("%x", rand.Uint64()) }
	flood(ctx, t, 300, 1000, func() *http.Request {
		switch rand.IntN(3) {
		case 0:
			return h.request(http.MethodPost, "auth/approle/login", fmt.Appendf(nil, `{"role_id":%q,"secret_id":%q}`, wrong(), wrong()))
		case 1:
			return h.request(http.MethodPost, "auth/userpass/login/somebody", fmt.Appendf(nil, `{"password":%q}`, wrong()))
		}
		return h.request(http.MethodPost, "auth/userpass/login/"+wrong(), fmt.Appendf(nil, `{"password":%q}`, wrong()))
	}, http.StatusBadRequest, http.StatusForbidden)
}

func unknownPaths(ctx context.Context, t *testing.T, h *house) {
	methods := []string{http.MethodGet, http.MethodPut, http.MethodDelete, "LIST", "BREW"}
	flood(ctx, t, 100, 1000, func() *http.Request {
		method := methods[rand.IntN(len(methods))]
		if method == "BREW" {
			method += fmt.Sprint(rand.Uint64())
		}
		r := h.request(method, fmt.Sprintf("%x/%x", rand.Uint64(), rand.Uint64()), nil)
		if rand.IntN(2) == 0 {
			r.Header.Set("X-Vault-Token", h.RootToken)
		}
		return r
	}, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed)
}
