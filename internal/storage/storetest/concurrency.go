package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cofferhq/coffer/internal/storage"
)

var concurrencyTests = map[string]func(*testing.T, storage.Store){
	"no increment of a shared counter is lost": func(t *testing.T, s storage.Store) {
		const writers, each = 8, 15
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for range each {
					if err := increment(t.Context(), s, "shared", fmt.Sprint("own ", w)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		snap := snapshot(t, s)
		defer snap.Close()
		if n := count(t, snap, "shared"); n != writers*each {
			t.Errorf("shared counter at %d, want %d", n, writers*each)
		}
		for w := range writers {
			if n := count(t, snap, fmt.Sprint("own ", w)); n != each {
				t.Errorf("counter of %d at %d, want %d", w, n, each)
			}
		}
	},
	"of many who create one key, one succeeds": func(t *testing.T, s storage.Store) {
		const writers, keys = 16, 20
		for k := range keys {
			key := fmt.Sprint("key ", k)
			var won atomic.Int32
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					_, err := s.Apply(t.Context(), []storage.Cond{storage.Absent(key)}, []storage.Op{storage.Put(key, nil)})
					if err == nil {
						won.Add(1)
					} else if !errors.Is(err, storage.ErrConflict) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if won.Load() != 1 {
				t.Errorf("%d created %q", won.Load(), key)
			}
		}
	},
	"what a writer was promised it reads": func(t *testing.T, s storage.Store) {
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				key := fmt.Sprint(w)
				for range 25 {
					rev, err := s.Apply(t.Context(), nil, []storage.Op{storage.Put(key, nil)})
					if err != nil {
						t.Error(err)
						return
					}
					if err := readsAt(t.Context(), s, key, rev); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	},
	"every snapshot shows whole commits": func(t *testing.T, s storage.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if err := sameEverywhere(t.Context(), s); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for i := range 150 {
			var ops []storage.Op
			for k := range 5 {
				ops = append(ops, storage.Put(fmt.Sprint(k), fmt.Append(nil, i)))
			}
			apply(t, s, nil, ops...)
		}
		cancel()
		wg.Wait()
	},
}

// increment adds one to each counter, all or none.
func increment(ctx context.Context, s storage.Store, keys ...string) error {
	_, err := storage.Update(ctx, s, func(tx *storage.Tx) error {
		for _, key := range keys {
			e, err := tx.Get(ctx, key)
			if err != nil && !errors.Is(err, storage.ErrNotFound) {
				return err
			}
			var n uint64
			if err == nil {
				n = binary.BigEndian.Uint64(e.Value)
			}
			tx.Put(key, binary.BigEndian.AppendUint64(nil, n+1))
		}
		return nil
	})
	return err
}

func count(t *testing.T, snap storage.Snapshot, key string) int {
	t.Helper()
	e, err := snap.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	return int(binary.BigEndian.Uint64(e.Value))
}

// readsAt returns an error unless a new snapshot has key as rev wrote it.
func readsAt(ctx context.Context, s storage.Store, key string, rev storage.Revision) error {
	snap, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer snap.Close()
	e, err := snap.Get(ctx, key)
	if err == nil && (e.Revision != rev || snap.Revision() < rev) {
		err = fmt.Errorf("wrote %q at %d, read it at %d in a snapshot at %d", key, rev, e.Revision, snap.Revision())
	}
	return err
}

// sameEverywhere returns an error if entries differ, which one commit writes.
func sameEverywhere(ctx context.Context, s storage.Store) error {
	snap, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer snap.Close()
	first, n := "", 0
	for e, err := range snap.Range(ctx, "", "") {
		if err != nil {
			return err
		}
		if n == 0 {
			first = string(e.Value)
		}
		if n++; string(e.Value) != first || e.Revision != snap.Revision() {
			return fmt.Errorf("torn: %s beside %q at %d", show(e), first, snap.Revision())
		}
	}
	if n != 0 && n != 5 {
		return fmt.Errorf("torn: %d entries", n)
	}
	return nil
}
