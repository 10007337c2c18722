package token_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/storetest"
	"github.com/cofferhq/coffer/internal/token"
)

// family is a tree of tokens:
//
//	root ─ a ─ a1, a2
//	     └ b
//
// root lives for a minute, the others for an hour.
func (w *world) family() (root string, all []string) {
	first := &token.Token{TTL: time.Minute, Orphan: true}
	w.create(first, "")
	root = first.ID
	a, b := w.child(root), w.child(root)
	return root, []string{root, a, b, w.child(a), w.child(a)}
}

func (w *world) living(ids []string) (n int) {
	for _, id := range ids {
		if w.lives(id) {
			n++
		}
	}
	return n
}

func TestRevocationTakesDescendantsFirstAndLeavesNothing(t *testing.T) {
	w := newWorld(t)
	empty := rows(t, w.under)
	root, all := w.family()
	other := w.child("")
	var order []string
	w.OnRevoke(func(_ context.Context, tok *token.Token) error {
		if w.lives(tok.ID) {
			t.Error("a token still works when what hangs on it is freed")
		}
		order = append(order, tok.ID)
		return nil
	})
	if err := w.Revoke(t.Context(), ns, root, w.now); err != nil {
		t.Fatal(err)
	}
	at := func(i int) int { return slices.Index(order, all[i]) }
	if len(order) != len(all) || at(0) != 4 || at(3) > at(1) || at(4) > at(1) {
		t.Errorf("revoked in the order %q of %q", order, all)
	}
	if w.living(all) != 0 || !w.lives(other) {
		t.Error("the wrong ones live")
	}
	if err := w.Revoke(t.Context(), ns, other, w.now); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(empty, rows(t, w.under)); diff != "" {
		t.Errorf("rows are left: %s", diff)
	}
	if err := w.Revoke(t.Context(), ns, root, w.now); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestRevokeOrphanLetsChildrenLive(t *testing.T) {
	w := newWorld(t)
	root, all := w.family()
	if err := w.RevokeOrphan(t.Context(), ns, root, w.now); err != nil {
		t.Fatal(err)
	}
	if w.lives(root) || w.living(all) != 4 {
		t.Errorf("%d live", w.living(all))
	}
	for i, orphan := range []bool{true, true, false, false} {
		tok, err := w.ByID(t.Context(), ns, all[i+1], w.now)
		if err != nil || tok.Orphan != orphan || (tok.Parent == "") != orphan {
			t.Errorf("token %d: orphan %t, parent %q, %v", i+1, tok.Orphan, tok.Parent, err)
		}
	}
	if err := w.Revoke(t.Context(), ns, all[1], w.now); err != nil || w.living(all) != 1 {
		t.Errorf("%v, %d live", err, w.living(all))
	}
}

func TestMoreDescendantsThanOneCommitTakes(t *testing.T) {
	tests := []struct {
		name   string
		parent func(root, last string) string
		count  int
	}{
		{"side by side", func(root, _ string) string { return root }, 150},
		{"one below the other", func(_, last string) string { return last }, 150},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			root := w.child("")
			all, last := []string{root}, root
			for range test.count {
				last = w.child(test.parent(root, last))
				all = append(all, last)
			}
			if err := w.Revoke(t.Context(), ns, root, w.now); err != nil {
				t.Fatal(err)
			}
			if n := rows(t, w.under)["token"]; n != 0 || w.living(all) != 0 {
				t.Errorf("%d rows are left", n)
			}
		})
	}
}

// Records that are as large as they may be must not make a commit too large.
func TestChildrenThatCarryMuch(t *testing.T) {
	for name, revoke := range map[string]func(w *world, id string) error{
		"revoked":  func(w *world, id string) error { return w.Revoke(w.t.Context(), ns, id, w.now) },
		"released": func(w *world, id string) error { return w.RevokeOrphan(w.t.Context(), ns, id, w.now) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			root := w.child("")
			for range 5 {
				w.create(&token.Token{Parent: root, Meta: map[string]string{"k": string(make([]byte, 86000))}}, "")
			}
			if err := revoke(w, root); err != nil {
				t.Error(err)
			}
		})
	}
}

// Whatever commit of a revocation fails, and whether it happened or not, the
// process ends there; the next one finishes the work.
func TestRevocationGoesOnAfterACrash(t *testing.T) {
	type fate struct {
		revoke  func(ctx context.Context, s *token.Store, id string, now time.Time) error
		survive int // of five
	}
	fates := map[string]fate{
		"revoked": {func(ctx context.Context, s *token.Store, id string, now time.Time) error {
			return s.Revoke(ctx, ns, id, now)
		}, 0},
		"revoked, children released": {func(ctx context.Context, s *token.Store, id string, now time.Time) error {
			return s.RevokeOrphan(ctx, ns, id, now)
		}, 4},
		"expired": {func(ctx context.Context, s *token.Store, id string, now time.Time) error {
			time.Sleep(time.Minute)
			now = now.Add(time.Minute)
			return s.Expire(ctx, due.Item{At: now, Kind: token.Kind, Namespace: ns, Ref: id}, now)
		}, 0},
	}
	for name, fate := range fates {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, last commit happened: %t", name, after), func(t *testing.T) {
				for n := 1; ; n++ {
					if !crash(t, n, after, fate.revoke, fate.survive) {
						if n < 3 {
							t.Error("the fault has never happened")
						}
						return
					}
				}
			})
		}
	}
}

// crash lets the n-th commit fail and reports whether there was one.
func crash(t *testing.T, n int, after bool, revoke func(context.Context, *token.Store, string, time.Time) error, survive int) (tripped bool) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.now = time.Now()
		root, all := w.family()
		faulty := &storetest.Faulty{Store: w.keys, N: n, After: after, Dead: true}
		var freed sync.Map // id → true
		free := func(_ context.Context, tok *token.Token) error { freed.Store(tok.ID, true); return nil }
		first, next := token.NewStore(faulty, w.keys), token.NewStore(w.keys, w.keys)
		first.OnRevoke(free)
		next.OnRevoke(free)
		err := revoke(t.Context(), first, root, w.now)
		if tripped = faulty.Tripped(); !tripped {
			if err != nil {
				t.Errorf("without a fault: %v", err)
			}
			return
		}
		if err == nil && !after {
			t.Errorf("commit %d failed and nobody was told", n)
		}
		w.now = time.Now()
		begun := n > 1 || after
		if begun && w.lives(root) {
			t.Errorf("commit %d failed and the token still works", n)
		}
		run(t, w.keys, next)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if begun && w.living(all) != survive {
			t.Errorf("commit %d failed: %d live, want %d", n, w.living(all), survive)
		}
		for _, id := range all {
			if _, ok := freed.Load(id); begun && ok == w.lives(id) {
				t.Errorf("commit %d failed: freed: %t, lives: %t", n, ok, w.lives(id))
			}
		}
		time.Sleep(2 * time.Hour) // all expire
		synctest.Wait()
		for table, count := range rows(t, w.keys) {
			if count > 0 {
				t.Errorf("commit %d failed: %d rows of %s are left", n, count, table)
			}
		}
	})
	return tripped
}

func TestRevocationIsTriedAgainAndDoesNotMultiply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.now = time.Now()
		root, all := w.family()
		var calls atomic.Int32
		var mended atomic.Bool
		w.OnRevoke(func(context.Context, *token.Token) error {
			if calls.Add(1); !mended.Load() {
				return errors.New("not now")
			}
			return nil
		})
		if err := w.Revoke(t.Context(), ns, root, w.now); err == nil {
			t.Fatal("a failure is hidden")
		}
		run(t, w.under, w.Store)
		time.Sleep(50 * time.Minute) // before their own time is over
		synctest.Wait()
		if n := calls.Load(); n < 5 || n > 40 {
			t.Errorf("tried %d times in 50 minutes", n)
		}
		// The expiry of five, and one for the revocation.
		if n := rows(t, w.under)["due"]; n != 6 {
			t.Errorf("%d items are due", n)
		}
		if w.lives(root) {
			t.Error("the token still works")
		}
		mended.Store(true)
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		if left := rows(t, w.under); left["token"] != 0 || left["due"] != 0 || w.living(all) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestTokensExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.now = time.Now()
		run(t, w.under, w.Store)
		parent := &token.Token{TTL: time.Minute}
		w.create(parent, "")
		child := w.child(parent.ID) // for an hour
		endless := &token.Token{Created: w.now, Policies: []string{"root"}}
		w.create(endless, "")
		renewed := &token.Token{TTL: time.Minute, Renewable: true}
		w.create(renewed, "")
		time.Sleep(30 * time.Second)
		if _, err := renewed.Renew(time.Now(), 10*time.Minute, limits); err != nil {
			t.Fatal(err)
		}
		if _, err := storage.Update(t.Context(), w.under, func(tx *storage.Tx) error { return w.Save(t.Context(), tx, renewed) }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		w.now = time.Now()
		if w.lives(child) || !w.lives(endless.ID) || !w.lives(renewed.ID) {
			t.Error("the wrong ones live after a minute")
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if left := rows(t, w.under); left["token"] != 1 || left["due"] != 0 || left["child"] != 0 || left["accessor"] != 1 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestAnItemIsKeptIfTheClockWasPutBack(t *testing.T) {
	w := newWorld(t)
	tok := &token.Token{TTL: time.Minute}
	w.create(tok, "")
	item := due.Item{At: tok.Expires, Kind: token.Kind, Namespace: ns, Ref: tok.ID}
	if err := w.Expire(t.Context(), item, w.now); err != nil {
		t.Fatal(err)
	}
	if n := rows(t, w.under)["due"]; n != 1 || !w.lives(tok.ID) {
		t.Errorf("%d items are due", n)
	}
	item.At = item.At.Add(-time.Second) // of an earlier end, as after a renewal
	if _, err := storage.Update(t.Context(), w.under, func(tx *storage.Tx) error { return due.Schedule(tx, item) }); err != nil {
		t.Fatal(err)
	}
	if err := w.Expire(t.Context(), item, w.now); err != nil {
		t.Fatal(err)
	}
	if n := rows(t, w.under)["due"]; n != 1 || !w.lives(tok.ID) {
		t.Errorf("%d items are due", n)
	}
}

// The request that took the last use needs what hangs on the token a while yet;
// if the process ends before it revokes the token, the queue does.
func TestAUsedUpTokenOutlivesItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.now = time.Now()
		var freed atomic.Bool
		w.OnRevoke(func(context.Context, *token.Token) error { freed.Store(true); return nil })
		run(t, w.under, w.Store)
		tok := &token.Token{NumUses: 1}
		w.create(tok, "")
		if left, err := w.Use(t.Context(), tok, w.now); left != 0 || err != nil {
			t.Fatal(left, err)
		}
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if freed.Load() {
			t.Error("revoked under the request's feet")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if left := rows(t, w.under); !freed.Load() || left["token"]+left["due"] != 0 {
			t.Errorf("freed: %t, left: %v", freed.Load(), left)
		}
	})
}

func TestRevokingTheSameTwiceAtOnce(t *testing.T) {
	w := newWorld(t)
	root, all := w.family()
	done := make(chan error)
	for range 4 {
		go func() { done <- w.Revoke(t.Context(), ns, root, w.now) }()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if w.living(all) != 0 || len(rows(t, w.under)) != 0 {
		t.Errorf("left: %v", rows(t, w.under))
	}
}

// A token with the same text that is made while the old one is being buried is
// another, and stays.
func TestANewTokenOfTheSameTextIsNotBuried(t *testing.T) {
	w := newWorld(t)
	old := &token.Token{}
	w.create(old, "word")
	again := token.NewStore(w.under, w.keys)
	w.OnRevoke(func(ctx context.Context, _ *token.Token) error {
		if err := again.Revoke(ctx, ns, old.ID, w.now); err != nil {
			return err
		}
		w.create(&token.Token{}, "word")
		return nil
	})
	if err := w.Revoke(t.Context(), ns, old.ID, w.now); err != nil {
		t.Fatal(err)
	}
	if found, err := w.Lookup(t.Context(), ns, "word", w.now); err != nil || found.Accessor == old.Accessor {
		t.Errorf("%v", err)
	}
}
