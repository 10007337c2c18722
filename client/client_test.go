package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fake answers requests from memory, so that time can stand still around it.
type fake struct {
	answers []string // "STATUS BODY", in turn; the last one repeats
	header  http.Header
	errs    []error // in place of the answer of that number, if not nil

	mu     sync.Mutex // guards the fields below
	seen   []*http.Request
	bodies []string
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.seen)
	body, _ := io.ReadAll(r.Body)
	f.seen = append(f.seen, r)
	f.bodies = append(f.bodies, string(body))
	if n < len(f.errs) && f.errs[n] != nil {
		return nil, f.errs[n]
	}
	number, text, _ := strings.Cut(f.answers[min(n, len(f.answers)-1)], " ")
	status, err := strconv.Atoi(number)
	if err != nil {
		return nil, err
	}
	h := f.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

func (f *fake) client(t *testing.T, cfg Config) *Client {
	t.Helper()
	cfg.WrapTransport = func(http.RoundTripper) http.RoundTripper { return f }
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDoReadsAnswersAsVaultsClientsDo(t *testing.T) {
	tests := []struct {
		name, answer string
		data         map[string]any // nil: no secret
		err          string
	}{
		{"an envelope", `200 {"request_id":"r","data":{"a":"b"}}`, map[string]any{"a": "b"}, ""},
		{"a big number stays exact", `200 {"request_id":"r","data":{"n":9007199254740993}}`, map[string]any{"n": json.Number("9007199254740993")}, ""},
		{"an answer without envelope is data", `200 {"sealed":false}`, map[string]any{"sealed": false}, ""},
		{"nothing to say", `204 `, nil, ""},
		{"a missing secret is no error", `404 {"errors":[]}`, nil, ""},
		{"a missing route is an error", `404 {"errors":["no handler for route"]}`, nil, "GET p: 404: no handler for route"},
		{"a 404 with data is an answer", `404 {"request_id":"r","data":{"data":null}}`, map[string]any{"data": nil}, ""},
		{"a 404 from elsewhere is no secret", `404 <html>`, nil, ""},
		{"a refusal", `403 {"errors":["permission denied"]}`, nil, "GET p: 403: permission denied"},
		{"a refusal without a reason", `400 `, nil, "GET p: 400: bad request"},
		{"two reasons", `400 {"errors":["a","b"]}`, nil, "GET p: 400: a; b"},
		{"a foreign body is not repeated", `502 <h1>hunter2</h1>`, nil, "GET p: 502: bad gateway"},
		{"not JSON", `200 hunter2`, nil, "GET p: answer is not a JSON object"},
		{"JSON with more behind", `200 {"data":{}} x`, nil, "GET p: answer is not a JSON object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{answers: []string{tt.answer}}
			s, err := f.client(t, Config{MaxRetries: NoRetries}).Read(t.Context(), "p")
			if got := fmt.Sprint(err); err != nil && got != tt.err || err == nil && tt.err != "" {
				t.Fatalf("error %q, want %q", got, tt.err)
			}
			if (s == nil) != (tt.data == nil) {
				t.Fatalf("secret %v, want data %v", s, tt.data)
			}
			if s != nil {
				if d := cmp.Diff(tt.data, s.Data); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

func TestRequestsCarryWhatServersExpect(t *testing.T) {
	f := &fake{answers: []string{"204 "}}
	c := f.client(t, Config{
		Address: "http://h:1/prefix/", Namespace: "/team/a/", Token: "tok", WrapTTL: "60",
		Header: http.Header{"X-Extra": {"1"}},
	})
	if _, err := c.Write(t.Context(), "/secret/a b", map[string]any{"k": "v"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Patch(t.Context(), "p", map[string]any{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.List(t.Context(), "l"); err != nil {
		t.Fatal(err)
	}
	r := f.seen[0]
	if got, want := r.Method+" "+r.URL.String(), "PUT http://h:1/prefix/v1/secret/a%20b"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for name, want := range map[string]string{
		"X-Vault-Token": "tok", "X-Vault-Namespace": "team/a/", "X-Vault-Wrap-TTL": "60", "X-Vault-Request": "true",
		"Content-Type": "application/json", "User-Agent": "coffer-client", "X-Extra": "1",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if f.bodies[0] != `{"k":"v"}` {
		t.Errorf("body %q", f.bodies[0])
	}
	if got := f.seen[1].Header.Get("Content-Type"); got != "application/merge-patch+json" {
		t.Errorf("a patch is %q", got)
	}
	if got := f.seen[2].URL.RawQuery; got != "list=true" {
		t.Errorf("a list asks %q", got)
	}
}

func TestAttemptsAreRepeatedWhenNothingWasDone(t *testing.T) {
	refused := &netOpError{op: "dial"}
	broken := &netOpError{op: "read"}
	tests := []struct {
		name   string
		method string
		answer string
		err    error
		want   int // attempts
	}{
		{"a read after 500", "GET", "500 ", nil, 3},
		{"a write after 500 may have happened", "PUT", "500 ", nil, 1},
		{"a read after 501", "GET", "501 ", nil, 1},
		{"a write after 503", "PUT", "503 ", nil, 3},
		{"a write after 429", "PUT", "429 ", nil, 3},
		{"a write after 412", "PUT", "412 ", nil, 3},
		{"a refusal", "GET", "403 ", nil, 1},
		{"success", "GET", "200 {}", nil, 1},
		{"a write to nobody", "PUT", "", refused.err(), 3},
		{"a read cut off", "GET", "", broken.err(), 3},
		{"a write cut off may have happened", "PUT", "", broken.err(), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{answers: []string{tt.answer}}
				if tt.err != nil {
					f.errs = []error{tt.err, tt.err, tt.err, tt.err}
				}
				_, _ = f.client(t, Config{}).Do(t.Context(), Request{Method: tt.method, Path: "p"})
				if len(f.seen) != tt.want {
					t.Errorf("%d attempts, want %d", len(f.seen), tt.want)
				}
			})
		})
	}
}

func TestRetryAfterIsObeyedUpToABound(t *testing.T) {
	for after, want := range map[string]time.Duration{"7": 7 * time.Second, "99999": maxRetryWait, "-3": 0} {
		t.Run(after, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{answers: []string{"429 ", "204 "}, header: http.Header{"Retry-After": {after}}}
				start := time.Now()
				if _, err := f.client(t, Config{}).Read(t.Context(), "p"); err != nil {
					t.Fatal(err)
				}
				if got := time.Since(start); got < want || got > want+want/4 {
					t.Errorf("waited %v, want %v and up to a quarter more", got, want)
				}
			})
		})
	}
}

func TestAPauseThatWouldOutlastTheDeadlineIsNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answers: []string{"503 {\"errors\":[\"sealed\"]}"}, header: http.Header{"Retry-After": {"20"}}}
		start := time.Now()
		_, err := f.client(t, Config{Timeout: 5 * time.Second}).Read(t.Context(), "p")
		if StatusOf(err) != 503 || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestRedirectsAreFollowedOnceAndNeverWithTheTokenToAnotherHost(t *testing.T) {
	tests := []struct {
		name, location string
		follows        bool
	}{
		{"to the same host", "http://h:8200/v1/p", true},
		{"to another port of it", "http://h:8300/v1/p", true},
		{"up to TLS", "https://h/v1/p", true},
		{"relative", "/v1/q", true},
		{"to another host", "http://evil/v1/p", false},
		{"to another host with TLS", "https://evil/v1/p", false},
		{"no address", "http://[::1", false},
		{"another scheme", "ftp://h/v1/p", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{answers: []string{"307 ", "204 "}, header: http.Header{"Location": {tt.location}}}
			_, err := f.client(t, Config{Address: "http://h:8200", Token: "tok"}).Write(t.Context(), "p", map[string]int{"a": 1})
			if (err == nil) != tt.follows || (len(f.seen) == 2) != tt.follows {
				t.Fatalf("error %v after %d requests", err, len(f.seen))
			}
			if tt.follows && (f.seen[1].Method != "PUT" || f.bodies[1] != `{"a":1}` || f.seen[1].Header.Get("X-Vault-Token") != "tok") {
				t.Error("the second request is not the first one again")
			}
		})
	}
	t.Run("down from TLS", func(t *testing.T) {
		f := &fake{answers: []string{"307 ", "204 "}, header: http.Header{"Location": {"http://h:8200/v1/p"}}}
		if _, err := f.client(t, Config{Address: "https://h:8200"}).Read(t.Context(), "p"); err == nil {
			t.Error("followed")
		}
	})
	t.Run("twice", func(t *testing.T) {
		f := &fake{answers: []string{"307 "}, header: http.Header{"Location": {"http://h:8200/v1/p"}}}
		_, err := f.client(t, Config{Address: "http://h:8200"}).Write(t.Context(), "p", nil)
		if err == nil || len(f.seen) != 2 {
			t.Errorf("%v after %d requests", err, len(f.seen))
		}
	})
}

func TestAnswersAreBounded(t *testing.T) {
	f := &fake{answers: []string{"200 " + strings.Repeat("x", MaxResponseBytes+1)}}
	if _, err := f.client(t, Config{}).Raw(t.Context(), Request{Path: "p"}); err == nil {
		t.Error("a body beyond the bound was read")
	}
}

func TestTheTokenIsInNothingThatPrints(t *testing.T) {
	const canary = "hvs.canary"
	cfg := Config{Address: "http://user:" + canary + "@h:1", Token: canary}
	c := (&fake{answers: []string{"204 "}}).client(t, cfg)
	_, bad := New(Config{Address: "http://h:port/" + canary})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		out := fmt.Sprintf(verb, c) + fmt.Sprintf(verb, &Config{Token: canary}) + fmt.Sprintf(verb, bad) + fmt.Sprintf(verb, c.token.Load())
		if strings.Contains(out, canary) {
			t.Errorf("%s shows the token: %s", verb, out)
		}
	}
}

func TestClonesDifferInOneThingOnly(t *testing.T) {
	f := &fake{answers: []string{"204 "}}
	c := f.client(t, Config{Token: "a", Namespace: "n"})
	d := c.WithToken("b")
	e := d.WithNamespace("m/")
	c.SetToken("c")
	for _, tt := range []struct {
		c                *Client
		token, namespace string
	}{{c, "c", "n"}, {d, "b", "n"}, {e, "b", "m"}} {
		if tt.c.Token() != tt.token || tt.c.Namespace() != tt.namespace {
			t.Errorf("%s in %s, want %s in %s", tt.c.Token(), tt.c.Namespace(), tt.token, tt.namespace)
		}
	}
}

func TestUnwrapSendsTheWrappingTokenWhereTheServerLooks(t *testing.T) {
	tests := []struct{ name, own, wrapping, header, body string }{
		{"beside a token", "own", "wrap", "own", `{"token":"wrap"}`},
		{"without a token", "", "wrap", "wrap", ""},
		{"as the token", "wrap", "", "wrap", ""},
		{"as the token and named", "wrap", "wrap", "wrap", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{answers: []string{`200 {"request_id":"r","data":{}}`}}
			c := f.client(t, Config{Token: tt.own, WrapTTL: "5m"})
			if _, err := c.Unwrap(t.Context(), tt.wrapping); err != nil {
				t.Fatal(err)
			}
			r := f.seen[0]
			if r.Header.Get("X-Vault-Token") != tt.header || f.bodies[0] != tt.body || r.Header.Get("X-Vault-Wrap-TTL") != "" {
				t.Errorf("token %q, body %q, wrap %q", r.Header.Get("X-Vault-Token"), f.bodies[0], r.Header.Get("X-Vault-Wrap-TTL"))
			}
		})
	}
}

func TestLoginNeitherSendsNorChangesTheToken(t *testing.T) {
	f := &fake{answers: []string{`200 {"request_id":"r","auth":{"client_token":"new","lease_duration":60}}`}}
	c := f.client(t, Config{Token: "old"})
	auth, err := c.LoginAppRole(t.Context(), "approle", "role", "sid")
	if err != nil || auth.ClientToken != "new" || auth.LeaseDuration != 60 {
		t.Fatalf("%+v, %v", auth, err)
	}
	if got := f.seen[0].Header.Get("X-Vault-Token"); got != "" || c.Token() != "old" {
		t.Errorf("sent %q, then has %q", got, c.Token())
	}
	if got := f.seen[0].URL.Path; got != "/v1/auth/approle/login" {
		t.Error(got)
	}
	f.answers = []string{"204 "}
	if _, err := c.LoginAppRole(t.Context(), "approle", "role", ""); err == nil {
		t.Error("a login that earned nothing succeeded")
	}
}

func TestAnEndedContextEndsTheRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := &fake{answers: []string{""}, errs: []error{context.Canceled}}
	if _, err := f.client(t, Config{}).Read(ctx, "p"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestURLKeepsPathsAndQueriesApart(t *testing.T) {
	c := (&fake{}).client(t, Config{Address: "https://h:8200"})
	got := c.URL("secret/a?b#c", url.Values{"x": {"1&2"}}).String()
	if want := "https://h:8200/v1/secret/a%3Fb%23c?x=1%262"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzParseSecretNeverQuotesWhatItCannotRead(f *testing.F) {
	for _, seed := range []string{`{"data":{"a":1}}`, `{"errors":[]}`, `{"lease_duration":"x"}`, `[1]`, `{"data":3}`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := parseSecret(body)
		if err != nil && err != errNotJSON {
			t.Errorf("error %q", err)
		}
		if s == nil || err != nil {
			return
		}
		out, err := json.Marshal(s)
		if err != nil {
			t.Fatalf("not encodable again: %v", err)
		}
		again, err := parseSecret(out)
		if err != nil || again == nil {
			t.Fatalf("not readable again: %v from %s", err, bytes.TrimSpace(out))
		}
	})
}

func TestAHeaderOfAClientGoesWithItsRequests(t *testing.T) {
	f := &fake{answers: []string{"204 "}}
	c := f.client(t, Config{Token: "t"})
	one := c.WithHeader("X-One", "1")
	two := one.WithHeader("X-Two", "2").WithNamespace("ns").WithToken("u")
	for _, tt := range []struct {
		c        *Client
		one, two string
	}{{c, "", ""}, {one, "1", ""}, {two, "1", "2"}} {
		if _, err := tt.c.Read(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		got := f.seen[len(f.seen)-1].Header
		if got.Get("X-One") != tt.one || got.Get("X-Two") != tt.two {
			t.Errorf("got %v", got)
		}
	}
}
