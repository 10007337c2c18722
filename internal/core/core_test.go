package core_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/custody"
	"github.com/cofferhq/coffer/internal/engine/cubbyhole"
	"github.com/cofferhq/coffer/internal/engine/kv"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
	"github.com/cofferhq/coffer/internal/sys"
	"github.com/cofferhq/coffer/internal/uuid"
)

const rootText = "root"

// house is a core on an in-memory store, with an engine of these tests.
type house struct {
	*core.Core
	t     testing.TB
	store storage.Store
	key   secret.Bytes // the only share
	log   *safeBuffer
	world *world

	clock    atomic.Int64 // Unix seconds
	onLend   func(r *logical.Request)
	freed    atomic.Int64 // leases that the engine has revoked
	failFree atomic.Bool  // the engine can't revoke
}

// safeBuffer is a log that many write.
type safeBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.buf.String() }

func (h *house) now() time.Time { return time.Unix(h.clock.Load(), 0).UTC() }

// lender is an engine whose answers are leased, and whose logins always succeed.
func (h *house) lender(auth bool) logical.Kind {
	typ := "lender"
	if auth {
		typ = "door"
	}
	return logical.Kind{Type: typ, Auth: auth, New: func(logical.MountPoint) (*logical.Engine, error) {
		return &logical.Engine{
			Endpoints: logical.Bind(h, logical.Routes[*house]{
				{Op: logical.Read, Path: "creds", Do: (*house).lend, Help: "Lend."},
				{Op: logical.Write, Path: "login", Do: (*house).login, Open: true, Fields: logical.Fields{"role": {}}, Help: "Log in."},
			}),
			LoginRole: func(_ context.Context, r *logical.Request) (string, error) { return r.Text("role"), nil },
			RenewLogin: func(_ context.Context, r *logical.Request, _ *logical.Auth) error {
				if h.onLend != nil {
					h.onLend(r)
				}
				return nil
			},
			RevokeLease: func(context.Context, *logical.Request, *logical.Lease) error {
				if h.failFree.Load() {
					return errors.New("the database is away")
				}
				h.freed.Add(1)
				return nil
			},
		}, nil
	}}
}

func (h *house) lend(_ context.Context, r *logical.Request) (*logical.Response, error) {
	if h.onLend != nil {
		h.onLend(r)
	}
	return &logical.Response{
		Data:  map[string]string{"password": "lent"},
		Lease: &logical.Lease{TTL: time.Hour, Renewable: true, State: json.RawMessage(`{}`)},
	}, nil
}

func (h *house) login(_ context.Context, r *logical.Request) (*logical.Response, error) {
	if h.onLend != nil {
		h.onLend(r)
	}
	return &logical.Response{Auth: &logical.Auth{
		Policies: []string{"app"}, Alias: logical.Alias{Name: "visitor"}, TTL: time.Hour, Renewable: true,
	}}, nil
}

// newHouse returns an unsealed core. wrap may put something between it and its
// store.
func newHouse(t testing.TB, wrap ...func(storage.Store) storage.Store) *house {
	t.Helper()
	h := &house{t: t, log: &safeBuffer{}, store: inmem.New(), world: &world{users: map[string]bool{}}}
	for _, w := range wrap {
		h.store = w(h.store)
	}
	h.clock.Store(1_767_323_045)
	h.Core = h.newCore()
	result, err := h.Init(t.Context(), custody.Params{Shares: 1, Threshold: 1}, rootText)
	if err != nil {
		t.Fatal(err)
	}
	h.key = result.Keys[0]
	h.unseal()
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// newCore returns a sealed core on the store of h.
func (h *house) newCore() *core.Core {
	b := barrier.New(h.store)
	return core.New(core.Options{
		Store: h.store, Barrier: b, Keeper: custody.New(h.store, b, nil), Now: h.now,
		Kinds: []logical.Kind{kv.Kind, cubbyhole.Kind, h.lender(false), h.lender(true), h.world.kind()},
		Log:   slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		FirstMounts: []*mount.Entry{
			{Path: "secret/", Type: "kv", Options: map[string]string{"version": "1"}},
			{Path: "lend/", Type: "lender"},
			{Path: "auth/door/", Type: "door"},
		},
		System: func(c *core.Core) []logical.Kind {
			return sys.Kinds(sys.Deps{
				House: c, Store: b, Tokens: c.Tokens(), Leases: c.Leases(), Policies: c.Policies(),
				Devices: c.Devices(), Barrier: b,
				Host:    func() (any, error) { return nil, nil },
				Metrics: func(string) (string, []byte, error) { return "text/plain", nil, nil },
			})
		},
	})
}

func (h *house) unseal() {
	h.t.Helper()
	if _, err := h.Unseal(h.t.Context(), h.key.Reveal()); err != nil {
		h.t.Fatal(err)
	}
}

// ask makes a call.
func (h *house) ask(token string, op logical.Op, path, body string) (*core.Answer, error) {
	return h.Handle(h.t.Context(), h.call(token, op, path, body))
}

func (h *house) call(token string, op logical.Op, path, body string) *core.Call {
	c := &core.Call{
		ID: uuid.New(), Op: op, Path: path, Token: token, Now: h.now(),
		Remote: netip.MustParseAddrPort("192.0.2.1:5000"),
	}
	if body != "" {
		c.Body = json.RawMessage(body)
	}
	return c
}

// must is ask with the root token, for what has to succeed.
func (h *house) must(op logical.Op, path, body string) *core.Answer {
	h.t.Helper()
	a, err := h.ask(rootText, op, path, body)
	if err != nil {
		h.t.Fatalf("%s %s: %v", op, path, err)
	}
	return a
}

// policy writes a policy and returns a token that has it alone.
func (h *house) policy(name, text string, more ...string) string {
	h.t.Helper()
	body, err := json.Marshal(map[string]string{"policy": text})
	if err != nil {
		h.t.Fatal(err)
	}
	h.must(logical.Write, "sys/policies/acl/"+name, string(body))
	return h.token(`{"policies":["` + name + `"],"no_default_policy":true` + strings.Join(more, "") + `}`)
}

func (h *house) token(body string) string {
	h.t.Helper()
	return h.must(logical.Write, "auth/token/create", body).Auth.ClientToken
}

// wantKind fails the test unless err is of the kind; nil wants none.
func wantKind(t testing.TB, err, kind error) {
	t.Helper()
	if kind == nil && err != nil || kind != nil && !errors.Is(err, kind) {
		t.Errorf("got %v, want %v", err, kind)
	}
}

// auditTo enables a file device at a path that breakAudit can lead astray.
func (h *house) auditTo() (link string) {
	h.t.Helper()
	dir := h.t.TempDir()
	link = filepath.Join(dir, "audit.log")
	if err := os.Symlink(filepath.Join(dir, "real.log"), link); err != nil {
		h.t.Fatal(err)
	}
	h.must(logical.Write, "sys/audit/file", `{"type":"file","options":{"file_path":"`+link+`"}}`)
	return link
}

// breakAudit makes every write to the device fail from here on.
func (h *house) breakAudit(link string) {
	h.t.Helper()
	if err := errors.Join(os.Remove(link), os.Symlink("/dev/full", link), h.Devices().Reopen()); err != nil {
		h.t.Fatal(err)
	}
}

func readAll(t testing.TB, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
