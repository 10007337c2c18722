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
	var answers atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			until(ctx, func() {
				select {
				case <-pace.C:
				case <-ctx.Done():
					return
				}
				resp, err := transport.RoundTrip(make().WithContext(ctx))
				if err != nil {
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				answers.Add(1)
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

func (h *house) request(method, path string, body []byte) *http.Request {
	r, err := http.NewRequest(method, "http://"+h.plain+"/v1/"+path, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	return r
}

func longHeaders(ctx context.Context, t *testing.T, h *house) {
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		flood(ctx, t, 100, 50, func() *http.Request {
			r := h.request(http.MethodGet, "sys/health", nil)
			r.Header.Set("X-Long", strings.Repeat("x", 1<<20))
			return r
		}, http.StatusRequestHeaderFieldsTooLarge)
	})
	all.Go(func() {
		flood(ctx, t, 100, 50, func() *http.Request {
			r := h.request(http.MethodGet, "sys/health", nil)
			for n := range 10_000 {
				r.Header.Set(fmt.Sprintf("X-%d", n), "x")
			}
			return r
		}, http.StatusRequestHeaderFieldsTooLarge)
	})
	// As long as is just permitted, on many connections that stay.
	all.Go(func() {
		flood(ctx, t, 500, 200, func() *http.Request {
			r := h.request(http.MethodGet, "sys/health", nil)
			r.Header.Set("X-Long", strings.Repeat("x", 60<<10))
			return r
		}, http.StatusOK)
	})
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

func largeBodies(ctx context.Context, t *testing.T, h *house) {
	body := append(append([]byte(`{"secret_id":"`), bytes.Repeat([]byte("x"), maxBody-100)...), `"}`...)
	flood(ctx, t, 64, 20, func() *http.Request { return h.request(http.MethodPost, "auth/approle/login", body) },
		http.StatusRequestEntityTooLarge, http.StatusTooManyRequests)
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
