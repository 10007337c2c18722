package core_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

func TestAMountAnswersAtOnce(t *testing.T) {
	h := newHouse(t)
	for i := range 20 {
		path := fmt.Sprintf("m%d", i)
		h.must(logical.Write, "sys/mounts/"+path, `{"type":"kv"}`)
		h.must(logical.Write, path+"/a", `{"v":1}`)
		h.must(logical.Write, "sys/mounts/"+path+"/tune", `{"options":{"version":"2"}}`)
		h.must(logical.Write, path+"/data/b", `{"data":{"v":1}}`)
		h.must(logical.Delete, "sys/mounts/"+path, "")
		_, err := h.ask(rootText, logical.Read, path+"/a", "")
		wantKind(t, err, logical.ErrUnsupportedPath)
	}
}

func TestAPolicyIsInForceAtOnce(t *testing.T) {
	h := newHouse(t)
	tok := h.policy("p", `path "secret/a" { capabilities = ["update"] }`)
	for i := range 20 {
		h.policy("p", fmt.Sprintf(`path "secret/a%d" { capabilities = ["create"] }`, i))
		if _, err := h.ask(tok, logical.Write, fmt.Sprintf("secret/a%d", i), `{"v":1}`); err != nil {
			t.Fatal(err)
		}
		if _, err := h.ask(tok, logical.Write, "secret/a", `{"v":1}`); !errors.Is(err, logical.ErrDenied) {
			t.Fatalf("by the old policy: %v", err)
		}
	}
}

func TestUnmountRevokesAndDeletes(t *testing.T) {
	h := newHouse(t)
	h.must(logical.Read, "lend/creds", "")
	h.must(logical.Read, "lend/creds", "")
	login := h.must(logical.Write, "auth/door/login", "").Auth.ClientToken
	h.must(logical.Delete, "sys/mounts/lend", "")
	if h.freed.Load() != 2 {
		t.Errorf("%d leases were revoked, want 2", h.freed.Load())
	}
	h.must(logical.Delete, "sys/auth/door", "")
	if _, err := h.Tokens().Lookup(t.Context(), "root", login, h.now()); err == nil {
		t.Error("a token of the auth method is left")
	}

	h.must(logical.Write, "secret/a", `{"v":1}`)
	h.must(logical.Delete, "sys/mounts/secret", "")
	h.must(logical.Write, "sys/mounts/secret", `{"type":"kv"}`)
	_, err := h.ask(rootText, logical.Read, "secret/a", "")
	wantKind(t, err, logical.ErrNotFound)
}

func TestAnUnmountThatFailsGoesOnLater(t *testing.T) {
	h := newHouse(t)
	h.must(logical.Read, "lend/creds", "")
	h.failFree.Store(true)
	if _, err := h.ask(rootText, logical.Delete, "sys/mounts/lend", ""); err == nil {
		t.Fatal("no error although the engine could not revoke")
	}
	_, err := h.ask(rootText, logical.Read, "lend/creds", "")
	wantKind(t, err, logical.ErrUnsupportedPath) // it answers no more, all the same
	h.failFree.Store(false)
	h.clock.Add(3600)
	h.eventually(func() bool { // the path is free
		_, err := h.ask(rootText, logical.Write, "sys/mounts/lend", `{"type":"lender"}`)
		return err == nil
	})
	if ids, err := h.Leases().Below(t.Context(), "root", ""); err != nil || len(ids) > 0 {
		t.Errorf("leases are left: %v %v", ids, err)
	}
}

func TestAnUnmountThatFailedGoesOnWhenAskedAgain(t *testing.T) {
	h := newHouse(t)
	h.must(logical.Read, "lend/creds", "")
	h.failFree.Store(true)
	for range 2 {
		if _, err := h.ask(rootText, logical.Delete, "sys/mounts/lend", ""); err == nil {
			t.Fatal("no error although the engine could not revoke")
		}
	}
	h.failFree.Store(false)
	h.must(logical.Delete, "sys/mounts/lend", "") // the clock stands still: not the due queue
	h.must(logical.Write, "sys/mounts/lend", `{"type":"lender"}`)
	if ids, err := h.Leases().Below(t.Context(), "root", ""); err != nil || len(ids) > 0 {
		t.Errorf("leases are left: %v %v", ids, err)
	}
}

// eventually waits for what the due queue does, which looks twice a second.
func (h *house) eventually(done func() bool) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	for tick := time.NewTicker(5 * time.Millisecond); !done(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			h.t.Fatalf("it never came to that; the log:\n%s", h.log)
		}
	}
}

func TestWhatHasExpiredIsRevoked(t *testing.T) {
	h := newHouse(t)
	h.must(logical.Read, "lend/creds", "")
	tok := h.token(`{"policies":["default"],"ttl":"1h"}`)
	h.clock.Add(3601)
	_, err := h.ask(tok, logical.Read, "auth/token/lookup-self", "")
	wantKind(t, err, logical.ErrDenied)
	h.eventually(func() bool { return h.freed.Load() == 1 && h.accessors() == 1 })
}

func TestRemountKeepsDataAndRevokesLeases(t *testing.T) {
	h := newHouse(t)
	h.must(logical.Write, "secret/a", `{"v":1}`)
	h.must(logical.Read, "lend/creds", "")
	h.must(logical.Write, "sys/remount", `{"from":"secret","to":"moved/deep"}`)
	h.must(logical.Write, "sys/remount", `{"from":"lend","to":"lent"}`)
	h.must(logical.Read, "moved/deep/a", "")
	_, err := h.ask(rootText, logical.Read, "secret/a", "")
	wantKind(t, err, logical.ErrUnsupportedPath)
	if h.freed.Load() != 1 {
		t.Errorf("%d leases of the old path were revoked, want 1", h.freed.Load())
	}
	for _, tt := range []struct{ name, from, to string }{
		{"from nowhere", "nowhere", "x"},
		{"to where another is", "lent", "moved/deep"},
		{"below another", "lent", "moved/deep/x"},
		{"of the system", "sys", "x"},
		{"between the classes", "lent", "auth/x"},
		{"to a reserved path", "lent", "sys/x"},
		{"to an empty path", "lent", "/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := h.ask(rootText, logical.Write, "sys/remount", `{"from":"`+tt.from+`","to":"`+tt.to+`"}`)
			wantKind(t, err, logical.ErrInvalid)
		})
	}
}

// Requests under way survive that their mount is tuned.
func TestTuningUnderLoad(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if _, err := h.ask(rootText, logical.Write, fmt.Sprintf("secret/%d/%d", i, n%10), `{"v":1}`); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 30 {
		h.must(logical.Write, "sys/mounts/secret/tune", fmt.Sprintf(`{"description":"%d"}`, i))
	}
	cancel()
	wg.Wait()
}

// Nothing is written for a mount that is gone.
func TestUnmountUnderLoad(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, err := h.ask(rootText, logical.Write, fmt.Sprintf("m/%d/%d", i, n), `{"v":1}`)
				if err != nil && !errors.Is(err, logical.ErrUnsupportedPath) {
					t.Error(err)
				}
				if _, err := h.ask(rootText, logical.Read, "l/creds", ""); err != nil && !errors.Is(err, logical.ErrUnsupportedPath) {
					t.Error(err)
				}
			}
		})
	}
	for range 10 {
		h.must(logical.Write, "sys/mounts/m", `{"type":"kv"}`)
		h.must(logical.Write, "sys/mounts/l", `{"type":"lender"}`)
		h.must(logical.Delete, "sys/mounts/m", "")
		h.must(logical.Delete, "sys/mounts/l", "")
	}
	cancel()
	wg.Wait()
	if ids, err := h.Leases().Below(t.Context(), "root", ""); err != nil || len(ids) > 0 {
		t.Errorf("leases are left: %v %v", ids, err)
	}
	h.must(logical.Write, "sys/mounts/m", `{"type":"kv"}`)
	_, err := h.ask(rootText, logical.List, "m/", "")
	wantKind(t, err, logical.ErrNotFound)
}

// A process that ends between any two commits of an unmount leaves one that the
// next start finishes.
func TestUnmountSurvivesACrash(t *testing.T) {
	for n := range int64(1000) {
		ctx, cancel := context.WithCancel(t.Context())
		disk := &mortal{end: cancel}
		disk.left.Store(1 << 40)
		h := newHouse(t, func(s storage.Store) storage.Store { disk.Store = s; return disk })
		h.must(logical.Read, "lend/creds", "")
		disk.left.Store(n)
		_, err := h.Handle(ctx, h.call(rootText, logical.Delete, "sys/mounts/lend", ""))
		cancel()
		ended := disk.dead()
		disk.left.Store(-1)

		next := &house{t: t, store: disk.Store, key: h.key, log: &safeBuffer{}}
		next.clock.Store(h.clock.Load() + 3600)
		next.Core = next.newCore()
		next.unseal()
		if !ended && err != nil {
			t.Errorf("without a crash: %v", err)
		}
		next.eventually(func() bool {
			ids, err := next.Leases().Below(t.Context(), "root", "")
			return err == nil && len(ids) == 0
		})
		// The unmount had begun, so it ended; or it had not, and the mount is there.
		_, err = next.ask(rootText, logical.Read, "lend/creds", "")
		if err != nil && !errors.Is(err, logical.ErrUnsupportedPath) {
			t.Errorf("end at commit %d: %v", n, err)
		}
		if err := next.Close(); err != nil {
			t.Error(err)
		}
		if !ended {
			return
		}
	}
}

// mortal is a store whose process ends at a commit.
type mortal struct {
	storage.Store
	left atomic.Int64 // commits until then
	end  func()
}

var errEnded = errors.New("the process has ended")

func (m *mortal) dead() bool { return m.left.Load() < 0 }

func (m *mortal) Apply(ctx context.Context, conds []storage.Cond, ops []storage.Op) (storage.Revision, error) {
	if m.left.Add(-1) < 0 {
		m.end()
		return 0, errEnded
	}
	return m.Store.Apply(ctx, conds, ops)
}

func (m *mortal) Snapshot(ctx context.Context) (storage.Snapshot, error) {
	if m.dead() {
		return nil, errEnded
	}
	return m.Store.Snapshot(ctx)
}

func TestSealingKeepsEverything(t *testing.T) {
	h := newHouse(t)
	h.must(logical.Write, "secret/a", `{"v":"kept"}`)
	h.must(logical.Write, "sys/mounts/m", `{"type":"kv","description":"d"}`)
	tok := h.policy("reader", `path "secret/*" { capabilities = ["read"] }`)
	lease := h.must(logical.Read, "lend/creds", "").LeaseID
	h.auditTo()
	for range 2 {
		h.must(logical.Write, "sys/seal", "")
		if !h.Sealed() {
			t.Fatal("it is not sealed")
		}
		_, err := h.ask(rootText, logical.Read, "secret/a", "")
		wantKind(t, err, logical.ErrSealed)
		h.unseal()
		if a, err := h.ask(tok, logical.Read, "secret/a", ""); err != nil || !strings.Contains(string(a.Data), "kept") {
			t.Errorf("after unsealing: %v", err)
		}
		h.must(logical.Write, "sys/leases/lookup", `{"lease_id":"`+lease+`"}`)
		h.must(logical.Read, "sys/mounts/m", "")
		if got := h.Devices().Paths(); len(got) != 1 {
			t.Errorf("audit devices: %v", got)
		}
	}
}

// While a server is sealed and unsealed, requests are answered or refused as
// sealed, and never without a record.
func TestSealingUnderLoad(t *testing.T) {
	h := newHouse(t)
	link := h.auditTo()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex
	var answered []string
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				call := h.call(rootText, logical.Write, "secret/a", `{"v":1}`)
				_, err := h.Handle(h.t.Context(), call)
				switch {
				case err == nil:
					mu.Lock()
					answered = append(answered, call.ID)
					mu.Unlock()
				case !errors.Is(err, logical.ErrSealed):
					t.Errorf("neither answered nor sealed: %v", err)
				}
			}
		})
	}
	for range 10 {
		if err := h.Seal(t.Context()); err != nil {
			t.Error(err)
		}
		h.unseal()
	}
	cancel()
	wg.Wait()
	text := readAll(t, link)
	for _, id := range answered {
		if strings.Count(text, id) < 2 {
			t.Errorf("request %s was answered and is %d times on record", id, strings.Count(text, id))
		}
	}
	if len(answered) == 0 {
		t.Error("nothing was answered at all")
	}
}
