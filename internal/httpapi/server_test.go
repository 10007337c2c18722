package httpapi_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/auth/approle"
	"github.com/cofferhq/coffer/internal/auth/userpass"
	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/custody"
	"github.com/cofferhq/coffer/internal/engine/cubbyhole"
	"github.com/cofferhq/coffer/internal/engine/kv"
	"github.com/cofferhq/coffer/internal/httpapi"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/metrics"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/seal"
	"github.com/cofferhq/coffer/internal/seal/keyfile"
	"github.com/cofferhq/coffer/internal/source"
	"github.com/cofferhq/coffer/internal/source/exec"
	"github.com/cofferhq/coffer/internal/source/generate"
	"github.com/cofferhq/coffer/internal/source/webhook"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
	"github.com/cofferhq/coffer/internal/sys"
)

// rootText is the root token of every server of these tests.
const rootText = "root"

// start is when the clock of these tests stands.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// clock stands still unless it is told to go on.
type clock struct {
	mu  sync.Mutex // guards the field below
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// server is a real core on an in-memory store behind the HTTP API.
type server struct {
	*httptest.Server
	t     testing.TB
	core  *core.Core
	store storage.Store // below the barrier
	clock *clock
	log   *bytes.Buffer // read it after the server has closed
	keys  []string      // shares of the unseal key, in hex
}

// lender is an engine whose answers are leased.
var lender = logical.Kind{
	Type: "lender",
	New: func(logical.MountPoint) (*logical.Engine, error) {
		lend := func(_ struct{}, _ context.Context, r *logical.Request) (*logical.Response, error) {
			return &logical.Response{
				Data:  map[string]string{"password": "lent-" + r.Text("name")},
				Lease: &logical.Lease{TTL: time.Hour, Renewable: true, State: json.RawMessage(`{}`)},
			}, nil
		}
		return &logical.Engine{Endpoints: logical.Bind(struct{}{}, logical.Routes[struct{}]{
			{Op: logical.Read, Path: "creds/{name}", Do: lend, Help: "Lend a password."},
		})}, nil
	},
}

// newCore returns a core without an initialized store. auto may be nil.
func newCore(t testing.TB, store storage.Store, auto seal.Seal, c *clock, log io.Writer) (*core.Core, *metrics.Metrics) {
	t.Helper()
	b := barrier.New(store)
	var m *metrics.Metrics
	house := core.New(core.Options{
		Store: store, Barrier: b, Keeper: custody.New(store, b, auto),
		Kinds: []logical.Kind{kv.Kind, cubbyhole.Kind, approle.Kind, userpass.Kind, lender, panicker},
		Log:   slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: c.Now,
		Sources: source.Kinds{generate.Kind(sys.NewPasswordPolicies(b, core.RootNamespace).Policy), exec.Kind([]string{"/bin/false"}), webhook.Kind()},
		FirstMounts: []*mount.Entry{{
			Path: "secret/", Type: "kv", Description: "key/value secret storage", Options: map[string]string{"version": "2"},
		}},
		System: func(c *core.Core) []logical.Kind {
			m = metrics.New(c.Sealed)
			return sys.Kinds(sys.Deps{
				House: c, Store: b, Tokens: c.Tokens(), Leases: c.Leases(), Policies: c.Policies(),
				Devices: c.Devices(), Barrier: b, Metrics: m.Render,
				Host:          func() (any, error) { return map[string]string{"timestamp": "now"}, nil },
				Configuration: func() any { return map[string]string{"cluster_name": "coffer"} },
			})
		},
	})
	return house, m
}

// newSealed returns a server that was not initialized yet.
func newSealed(t testing.TB, options ...func(*httpapi.Options)) *server {
	t.Helper()
	return newWith(t, nil, options...)
}

// newSelfUnsealing is newSealed for one that has a key file.
func newSelfUnsealing(t testing.TB) *server {
	t.Helper()
	auto, err := keyfile.Create(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	return newWith(t, auto)
}

func newWith(t testing.TB, auto seal.Seal, options ...func(*httpapi.Options)) *server {
	t.Helper()
	s := &server{t: t, store: inmem.New(), clock: &clock{now: start}, log: &bytes.Buffer{}}
	log := &guarded{to: s.log}
	house, m := newCore(t, s.store, auto, s.clock, log)
	s.core = house
	o := httpapi.Options{
		Core: house, Log: slog.New(slog.NewJSONHandler(log, nil)), StorageType: "inmem", ClusterName: "coffer",
		ClientAddr: func(r *http.Request) (netip.AddrPort, error) { return netip.ParseAddrPort(r.RemoteAddr) },
		Metrics:    m.Render, Observe: m.Observe,
	}
	for _, set := range options {
		set(&o)
	}
	s.Server = httptest.NewServer(httpapi.New(o))
	// A redirect is an answer like any other here.
	s.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(func() {
		s.Close()
		if err := house.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// newServer returns a server that serves.
func newServer(t testing.TB, options ...func(*httpapi.Options)) *server {
	t.Helper()
	s := newSealed(t, options...)
	s.initialize(1, 1)
	s.unseal()
	return s
}

func (s *server) initialize(shares, threshold int) {
	s.t.Helper()
	result, err := s.core.Init(s.t.Context(), custody.Params{Shares: shares, Threshold: threshold}, rootText)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, k := range result.Keys {
		s.keys = append(s.keys, hex.EncodeToString(k.Reveal()))
	}
}

func (s *server) unseal() {
	s.t.Helper()
	for _, k := range s.keys {
		share, err := hex.DecodeString(k)
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := s.core.Unseal(s.t.Context(), share); err != nil {
			s.t.Fatal(err)
		}
	}
}

// guarded is a writer for many.
type guarded struct {
	mu sync.Mutex // held while to is written
	to io.Writer
}

func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.to.Write(p)
}

// answer is a response with its body.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// text returns a field of the answer by its path: "auth.client_token", "keys.0".
func (a answer) text(t testing.TB, path string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("answer %d is no JSON: %s", a.status, a.body)
	}
	for name := range strings.SplitSeq(path, ".") {
		if list, ok := v.([]any); ok {
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(list) {
				t.Fatalf("no element %s: %s", name, a.body)
			}
			v = list[i]
			continue
		}
		m, _ := v.(map[string]any)
		v = m[name]
	}
	s, ok := v.(string)
	if !ok {
		t.Fatalf("answer %d has no text %s: %s", a.status, path, a.body)
	}
	return s
}

// do makes a request with the root token, unless header says otherwise.
func (s *server) do(method, path, body string, header ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", rootText)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			req.Header.Del(header[i])
		}
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, got}
}

// must is do for what has to succeed.
func (s *server) must(method, path, body string, header ...string) answer {
	s.t.Helper()
	a := s.do(method, path, body, header...)
	if a.status >= 300 {
		s.t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a
}
