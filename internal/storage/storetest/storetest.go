// Package storetest holds what every driver of package storage has to pass, and
// [Faulty], a store that fails on demand.
//
// A driver's test calls [Run], and [RunDurable] if what it holds outlives the
// process.
package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cofferhq/coffer/internal/storage"
)

// Open returns a new, empty store. [Run] closes it.
type Open func(t *testing.T) storage.Store

// Run holds the stores that open returns to the contract of [storage.Store].
func Run(t *testing.T, open Open) {
	t.Helper()
	groups := []struct {
		name  string
		tests map[string]func(*testing.T, storage.Store)
	}{
		{"apply", applyTests},
		{"limits", limitTests},
		{"snapshot", snapshotTests},
		{"range", rangeTests},
		{"watch", watchTests},
		{"concurrency", concurrencyTests},
		{"close", closeTests},
		{"model", modelTests},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for name, test := range g.tests {
				t.Run(name, func(t *testing.T) {
					s := open(t)
					test(t, s)
					if err := s.Close(); err != nil && !errors.Is(err, storage.ErrClosed) {
						t.Errorf("close: %v", err)
					}
				})
			}
		})
	}
}

// apply is Apply that must succeed.
func apply(t *testing.T, s storage.Store, conds []storage.Cond, ops ...storage.Op) storage.Revision {
	t.Helper()
	rev, err := s.Apply(t.Context(), conds, ops)
	if err != nil {
		t.Fatalf("apply: %v", err)
	}
	return rev
}

// put sets one entry.
func put(t *testing.T, s storage.Store, key, value string) storage.Revision {
	t.Helper()
	return apply(t, s, nil, storage.Put(key, []byte(value)))
}

// refused is Apply that must fail with want.
func refused(t *testing.T, s storage.Store, want error, conds []storage.Cond, ops ...storage.Op) {
	t.Helper()
	if rev, err := s.Apply(t.Context(), conds, ops); !errors.Is(err, want) || rev != 0 {
		t.Fatalf("apply: revision %d, error %v, want %v", rev, err, want)
	}
}

// snapshot takes one that lives as long as the test's store.
func snapshot(t *testing.T, s storage.Store) storage.Snapshot {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	return snap
}

// entries reads a range of a snapshot as "key=value@revision".
func entries(t *testing.T, snap storage.Snapshot, prefix, after string) []string {
	t.Helper()
	var list []string
	for e, err := range snap.Range(t.Context(), prefix, after) {
		if err != nil {
			t.Fatalf("range %q after %q: %v", prefix, after, err)
		}
		list = append(list, show(e))
	}
	return list
}

// all reads everything that the store has now.
func all(t *testing.T, s storage.Store) []string {
	t.Helper()
	snap := snapshot(t, s)
	defer snap.Close()
	return entries(t, snap, "", "")
}

// want reads one entry and compares.
func want(t *testing.T, snap storage.Snapshot, key, value string, rev storage.Revision) {
	t.Helper()
	e, err := snap.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	if got := (storage.Entry{Key: key, Value: []byte(value), Revision: rev}); show(e) != show(got) {
		t.Fatalf("get: %s, want %s", show(e), show(got))
	}
	if got, err := snap.Stat(t.Context(), key); err != nil || got != rev {
		t.Fatalf("stat %q: %d, %v, want %d", key, got, err, rev)
	}
}

// absent makes sure that key has no entry.
func absent(t *testing.T, snap storage.Snapshot, key string) {
	t.Helper()
	if e, err := snap.Get(t.Context(), key); !errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("get %q: %s, error %v, want ErrNotFound", key, show(e), err)
	}
	if rev, err := snap.Stat(t.Context(), key); !errors.Is(err, storage.ErrNotFound) || rev != 0 {
		t.Fatalf("stat %q: %d, error %v, want ErrNotFound", key, rev, err)
	}
}

func show(e storage.Entry) string {
	return fmt.Sprintf("%q=%q@%d", e.Key, e.Value, e.Revision)
}
