package lease_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/lease"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/storetest"
)

func TestRevokeFreesAndForgetDoesNot(t *testing.T) {
	w := newWorld(t)
	a, b := w.grant("a/b", "tok", noon), w.grant("a/b", "tok", noon)
	if err := w.Revoke(t.Context(), ns, a.ID, noon); err != nil {
		t.Fatal(err)
	}
	if err := w.Forget(t.Context(), ns, b.ID); err != nil {
		t.Fatal(err)
	}
	if w.count(a.ID) != 1 || w.count(b.ID) != 0 || len(w.rows()) != 0 {
		t.Errorf("freed %d and %d times, left %v", w.count(a.ID), w.count(b.ID), w.rows())
	}
	for name, err := range map[string]error{
		"revoke": w.Revoke(t.Context(), ns, a.ID, noon), "forget": w.Forget(t.Context(), ns, a.ID),
	} {
		if err != nil {
			t.Errorf("%s what is gone: %v", name, err)
		}
	}
}

func TestWhatAnEngineCannotRevokeIsTriedAgain(t *testing.T) {
	tests := []struct {
		name string
		down error
		last string
	}{
		{"of a kind", fmt.Errorf("drop role \"v-secret\": %w", logical.ErrUpstream), "upstream failed"},
		{"of no kind", errors.New("password=hunter2"), "internal error"},
		{"it took too long", context.DeadlineExceeded, "context deadline exceeded"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.set(test.down)
				w.run()
				l := w.grant("a/b", "tok", time.Now())
				for range 3 { // an operator is impatient
					if err := w.Revoke(t.Context(), ns, l.ID, time.Now()); !errors.Is(err, test.down) {
						t.Fatalf("%v", err)
					}
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				got, err := w.Lookup(t.Context(), ns, l.ID)
				if err != nil {
					t.Fatal(err)
				}
				if got.Failures < 5 || got.Failures > 20 || got.LastError != test.last || got.Renewable {
					t.Errorf("failures %d, last %q, renewable %t", got.Failures, got.LastError, got.Renewable)
				}
				if err := got.Extend(time.Now(), 0); err == nil {
					t.Error("it can be renewed")
				}
				if n := w.rows()["due"]; n != 1 {
					t.Errorf("%d items are due", n)
				}
				w.set(nil)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if w.count(l.ID) != 1 || len(w.rows()) != 0 {
					t.Errorf("freed %d times, left %v", w.count(l.ID), w.rows())
				}
			})
		})
	}
}

// A renewal that has looked before the revocation began must find that out.
func TestARenewalDoesNotUndoARevocation(t *testing.T) {
	for _, now := range []time.Time{noon, noon.Add(time.Hour), noon.Add(2 * time.Hour)} {
		w := newWorld(t)
		w.set(logical.ErrUpstream)
		l := w.grant("a/b", "", noon)
		if err := w.Revoke(t.Context(), ns, l.ID, now); err == nil {
			t.Fatal("no error")
		}
		got, err := w.Lookup(t.Context(), ns, l.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.Expires.Equal(l.Expires) || got.Expires.After(now) {
			t.Errorf("at %s: its end is %s, was %s", now, got.Expires, l.Expires)
		}
	}
}

func TestATokensLeasesGoWithIt(t *testing.T) {
	w := newWorld(t)
	a, b := w.grant("a/b", "tok", noon), w.grant("c/d", "tok", noon)
	other, batch := w.grant("a/b", "other", noon), w.grant("a/b", "", noon)
	if err := w.RevokeToken(t.Context(), ns, "tok", noon); err != nil {
		t.Fatal(err)
	}
	for l, want := range map[*lease.Lease]int{a: 1, b: 1, other: 0, batch: 0} {
		if w.count(l.ID) != want {
			t.Errorf("%s: freed %d times", l.ID, w.count(l.ID))
		}
	}
	t.Run("an engine that fails does not keep the token", func(t *testing.T) {
		w.set(logical.ErrUpstream)
		if err := w.RevokeToken(t.Context(), ns, "other", noon); err != nil {
			t.Errorf("%v", err)
		}
		if got, err := w.Lookup(t.Context(), ns, other.ID); err != nil || got.Revoking.IsZero() {
			t.Errorf("%v", err)
		}
	})
	t.Run("a store that fails does", func(t *testing.T) {
		w := newWorld(t)
		w.grant("a/b", "tok", noon)
		broken := lease.NewStore(&storetest.Faulty{Store: w.under, N: 1}, w.free)
		if err := broken.RevokeToken(t.Context(), ns, "tok", noon); !errors.Is(err, storetest.ErrFault) {
			t.Errorf("%v", err)
		}
	})
	t.Run("a caller who has gone does", func(t *testing.T) {
		w := newWorld(t)
		l := w.grant("a/b", "tok", noon)
		ctx, cancel := context.WithCancel(t.Context())
		leaving := lease.NewStore(w.under, func(context.Context, *lease.Lease) error { cancel(); return ctx.Err() })
		if err := leaving.RevokeToken(ctx, ns, "tok", noon); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if got, err := w.Lookup(t.Context(), ns, l.ID); err != nil || got.Failures != 1 {
			t.Errorf("%v", err)
		}
	})
}

// Whatever commit fails, the outside is freed in the end and nothing is left.
func TestRevocationGoesOnAfterACrash(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			tripped := false
			synctest.Test(t, func(t *testing.T) { tripped = crash(t, n, after) })
			if !tripped {
				if n < 3 {
					t.Error("the fault has never happened")
				}
				break
			}
		}
	}
}

func crash(t *testing.T, n int, after bool) (tripped bool) {
	w := newWorld(t)
	l := w.grant("a/b", "tok", time.Now())
	faulty := &storetest.Faulty{Store: w.under, N: n, After: after, Dead: true}
	err := lease.NewStore(faulty, w.free).Revoke(t.Context(), ns, l.ID, time.Now())
	if tripped = faulty.Tripped(); !tripped {
		return false
	}
	if err == nil {
		t.Errorf("commit %d failed and nobody was told", n)
	}
	begun := n > 1 || after
	w.run()
	time.Sleep(time.Minute)
	synctest.Wait()
	if begun && (w.count(l.ID) == 0 || len(w.rows()) != 0) {
		t.Errorf("commit %d failed: freed %d times, left %v", n, w.count(l.ID), w.rows())
	}
	time.Sleep(time.Hour)
	synctest.Wait()
	if w.count(l.ID) == 0 || w.count(l.ID) > 2 || len(w.rows()) != 0 {
		t.Errorf("commit %d failed: freed %d times, left %v", n, w.count(l.ID), w.rows())
	}
	return true
}

func TestAnItemIsKeptIfTheClockWasPutBack(t *testing.T) {
	w := newWorld(t)
	l := w.grant("a/b", "", noon)
	item := due.Item{At: l.Expires, Kind: lease.Kind, Namespace: ns, Ref: l.Ref}
	if err := w.Expire(t.Context(), item, noon); err != nil {
		t.Fatal(err)
	}
	if w.rows()["due"] != 1 || w.count(l.ID) != 0 {
		t.Errorf("left %v", w.rows())
	}
	stale := item
	stale.At = stale.At.Add(-time.Second)
	w.update(func(tx *storage.Tx) error { return due.Schedule(tx, stale) })
	if err := w.Expire(t.Context(), stale, noon); err != nil {
		t.Fatal(err)
	}
	moved := item
	moved.At = noon.Add(-time.Hour)
	w.update(func(tx *storage.Tx) error { due.Cancel(tx, item); return due.Schedule(tx, moved) })
	if err := w.Expire(t.Context(), moved, noon); err != nil {
		t.Fatal(err)
	}
	if w.rows()["due"] != 1 || w.count(l.ID) != 0 {
		t.Errorf("the queue moved it: left %v", w.rows())
	}
	gone := due.Item{At: noon, Kind: lease.Kind, Namespace: ns, Ref: "nobody"}
	w.update(func(tx *storage.Tx) error { return due.Schedule(tx, gone) })
	if err := w.Expire(t.Context(), gone, noon); err != nil {
		t.Fatal(err)
	}
	if w.rows()["due"] != 1 || w.count(l.ID) != 0 {
		t.Errorf("left %v", w.rows())
	}
}
