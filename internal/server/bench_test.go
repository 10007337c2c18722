package server

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/cofferhq/coffer/internal/builtin"
	"github.com/cofferhq/coffer/internal/config"
	"github.com/cofferhq/coffer/internal/custody"
)

// rig is a whole server, but for sockets, on Pebble.
type rig struct {
	http.Handler
	token string
}

func newRig(b testing.TB) *rig {
	b.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	cfg := &config.Config{
		Storage:   config.Storage{Kind: config.Pebble, Path: filepath.Join(b.TempDir(), "data")},
		Listeners: []config.Listener{{Network: config.TCP, Address: "127.0.0.1:0", TLS: config.TLS{Disabled: true}}},
	}
	store, err := builtin.OpenStorage(cfg.Storage, log)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	o := Options{Config: cfg, Log: log, Dev: true}
	c, m, err := assemble(b.Context(), o, store)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	w, err := listen(o, c, m)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(w.stop)
	first, err := c.Init(b.Context(), custody.Params{Shares: 1, Threshold: 1}, "root")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := c.Unseal(b.Context(), first.Keys[0].Reveal()); err != nil {
		b.Fatal(err)
	}
	return &rig{Handler: w.servers[0].Handler, token: "root"}
}

func (r *rig) do(b testing.TB, method, path, body string, want int) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "/v1/"+path, bytes.NewBufferString(body))
	req.Header.Set("X-Vault-Token", r.token)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	if w.Code != want {
		b.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	return w
}

// sink is a ResponseWriter that costs nothing.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

// reader returns a function that reads path, at no cost of its own.
func (r *rig) reader(b testing.TB, path string) func() {
	req := httptest.NewRequest(http.MethodGet, "/v1/"+path, nil)
	req.Header.Set("X-Vault-Token", r.token)
	w := &sink{header: http.Header{}}
	return func() {
		clear(w.header)
		r.ServeHTTP(w, req)
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
}

func (r *rig) read(b *testing.B, path string) {
	read := r.reader(b, path)
	b.ReportAllocs()
	for b.Loop() {
		read()
	}
}

// What a read allocates decides what it costs: a quarter of a server's time can
// go to collecting. Some 12 of these are in the encryption.
func TestAReadAllocatesLittle(t *testing.T) {
	r := newRig(t)
	r.do(t, http.MethodPost, "secret/data/k", `{"data":{"v":"0123456789abcdef0123456789abcdef"}}`, http.StatusOK)
	const limit = 60 + raceAllocations
	if n := testing.AllocsPerRun(500, r.reader(t, "secret/data/k")); n > limit {
		t.Errorf("%v allocations a read, at most %d are wanted", n, limit)
	}
}

func BenchmarkReadSecret(b *testing.B) {
	r := newRig(b)
	for i := range 1000 {
		r.do(b, http.MethodPost, fmt.Sprintf("secret/data/k%d", i), `{"data":{"v":"0123456789abcdef0123456789abcdef"}}`, http.StatusOK)
	}
	r.do(b, http.MethodPost, "sys/policies/acl/app", `{"policy":"path \"secret/data/*\" { capabilities = [\"read\"] }"}`, http.StatusNoContent)
	b.Run("as root", func(b *testing.B) { r.read(b, "secret/data/k500") })
	b.Run("with file audit", func(b *testing.B) {
		r.do(b, http.MethodPost, "sys/audit/file", `{"type":"file","options":{"file_path":"`+filepath.Join(b.TempDir(), "audit.log")+`"}}`, http.StatusNoContent)
		r.read(b, "secret/data/k500")
		r.do(b, http.MethodDelete, "sys/audit/file", "", http.StatusNoContent)
	})
}
