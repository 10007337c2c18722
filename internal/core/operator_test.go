package core_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/audit"
	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/custody"
	"github.com/cofferhq/coffer/internal/engine/cubbyhole"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/seal/keyfile"
	"github.com/cofferhq/coffer/internal/storage/inmem"
	"github.com/cofferhq/coffer/internal/sys"
)

// selfOpening returns a core on the store of h that a key file unseals.
func (h *house) selfOpening(s *keyfile.Seal, devices ...audit.Declared) *core.Core {
	b := barrier.New(h.store)
	return core.New(core.Options{
		Store: h.store, Barrier: b, Keeper: custody.New(h.store, b, s), Now: h.now, Audit: devices,
		Kinds: []logical.Kind{cubbyhole.Kind}, Log: slog.New(slog.DiscardHandler),
		System: func(c *core.Core) []logical.Kind {
			return sys.Kinds(sys.Deps{
				House: c, Store: b, Tokens: c.Tokens(), Leases: c.Leases(), Policies: c.Policies(),
				Devices: c.Devices(), Barrier: b,
			})
		},
	})
}

func TestAServerWithASealOpensItself(t *testing.T) {
	s, err := keyfile.Create(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, store: inmem.New()}
	h.clock.Store(1_767_323_045)
	h.Core = h.selfOpening(s)
	if err := h.AutoUnseal(t.Context()); err == nil {
		t.Error("it opens what was never initialized")
	}
	if _, err := h.Init(t.Context(), custody.Params{RecoveryShares: 1, RecoveryThreshold: 1}, rootText); err != nil {
		t.Fatal(err)
	}
	if h.Sealed() {
		t.Fatal("it is sealed after the initialization")
	}
	h.must(logical.Write, "cubbyhole/a", `{"v":"kept"}`)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h.Core = h.selfOpening(s)
	if err := h.AutoUnseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := h.must(logical.Read, "cubbyhole/a", ""); !strings.Contains(string(a.Data), "kept") {
		t.Errorf("after a new start: %s", a.Data)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// The configuration's devices come and go with it, and the API leaves them alone.
func TestDevicesOfTheConfiguration(t *testing.T) {
	s, err := keyfile.Create(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	device := func(name string) audit.Declared {
		return audit.Declared{Path: "conf/", Type: "file", Options: map[string]string{"file_path": filepath.Join(dir, name)}}
	}
	h := &house{t: t, store: inmem.New()}
	h.clock.Store(1_767_323_045)
	start := func(devices ...audit.Declared) {
		t.Helper()
		h.Core = h.selfOpening(s, devices...)
		if err := h.AutoUnseal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	h.Core = h.selfOpening(s, device("first"))
	if _, err := h.Init(t.Context(), custody.Params{}, rootText); err != nil {
		t.Fatal(err)
	}
	h.must(logical.Write, "cubbyhole/one", `{"v":1}`)
	_, err = h.ask(rootText, logical.Delete, "sys/audit/conf", "")
	wantKind(t, err, logical.ErrInvalid)
	h.must(logical.Write, "sys/audit/own", `{"type":"file","options":{"file_path":"`+filepath.Join(dir, "own")+`"}}`)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}

	start(device("second"))
	h.must(logical.Write, "cubbyhole/two", `{"v":1}`)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	start()
	h.must(logical.Write, "cubbyhole/three", `{"v":1}`)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for file, paths := range map[string][]string{"first": {"one"}, "second": {"two"}, "own": {"two", "three"}} {
		text := readAll(t, filepath.Join(dir, file))
		for _, name := range []string{"one", "two", "three"} {
			want := false
			for _, p := range paths {
				want = want || p == name
			}
			if got := strings.Contains(text, `"cubbyhole/`+name+`"`); got != want {
				t.Errorf("cubbyhole/%s in %s: %v, want %v", name, file, got, want)
			}
		}
	}
}

// What an engine cannot revoke is counted, and can be forgotten by force.
func TestRevokeForceForgets(t *testing.T) {
	h := newHouse(t)
	h.must(logical.Read, "lend/creds", "")
	h.failFree.Store(true)
	if _, err := h.ask(rootText, logical.Write, "sys/leases/revoke-prefix/lend", ""); err == nil {
		t.Error("a revocation that failed is told to have worked")
	}
	if a := h.must(logical.Read, "sys/leases", ""); !strings.Contains(string(a.Data), "lend/creds/") {
		t.Errorf("irrevocable: %s", a.Data)
	}
	h.must(logical.Write, "sys/leases/revoke-force/lend", "")
	if ids, err := h.Leases().Below(t.Context(), "root", ""); err != nil || len(ids) > 0 {
		t.Errorf("leases: %v %v", ids, err)
	}
}
