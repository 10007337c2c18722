package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/storage"
)

var applyTests = map[string]func(*testing.T, storage.Store){
	"a new store is empty and at revision zero": func(t *testing.T, s storage.Store) {
		snap := snapshot(t, s)
		defer snap.Close()
		if snap.Revision() != 0 {
			t.Errorf("revision %d", snap.Revision())
		}
		if list := entries(t, snap, "", ""); list != nil {
			t.Errorf("entries %v", list)
		}
	},
	"each commit has a larger revision, which its entries bear": func(t *testing.T, s storage.Store) {
		first := apply(t, s, nil, storage.Put("a", []byte("1")), storage.Put("b", []byte("1")))
		second := put(t, s, "b", "2")
		if first == 0 || second <= first {
			t.Fatalf("revisions %d, %d", first, second)
		}
		snap := snapshot(t, s)
		defer snap.Close()
		want(t, snap, "a", "1", first)
		want(t, snap, "b", "2", second)
		if snap.Revision() != second {
			t.Errorf("snapshot at %d, want %d", snap.Revision(), second)
		}
	},
	"a deleted entry is gone, and deleting nothing is a commit too": func(t *testing.T, s storage.Store) {
		put(t, s, "a", "1")
		gone := apply(t, s, nil, storage.Delete("a"))
		if again := apply(t, s, nil, storage.Delete("a")); again <= gone {
			t.Errorf("revisions %d, %d", gone, again)
		}
		snap := snapshot(t, s)
		defer snap.Close()
		absent(t, snap, "a")
	},
	"an empty value is a value": func(t *testing.T, s storage.Store) {
		rev := apply(t, s, nil, storage.Put("a", nil))
		snap := snapshot(t, s)
		defer snap.Close()
		want(t, snap, "a", "", rev)
	},
	"keys and values are any bytes": func(t *testing.T, s storage.Store) {
		raw := strings.Repeat("\x00\xff\x01\xfe", 3)
		rev := put(t, s, raw, raw)
		snap := snapshot(t, s)
		defer snap.Close()
		want(t, snap, raw, raw, rev)
	},
	"Absent holds while there is no entry": func(t *testing.T, s storage.Store) {
		apply(t, s, []storage.Cond{storage.Absent("a")}, storage.Put("a", nil))
		refused(t, s, storage.ErrConflict, []storage.Cond{storage.Absent("a")}, storage.Put("a", nil))
		apply(t, s, nil, storage.Delete("a"))
		apply(t, s, []storage.Cond{storage.Absent("a")}, storage.Put("a", nil))
	},
	"At holds at exactly its revision": func(t *testing.T, s storage.Store) {
		first := put(t, s, "a", "1")
		second := put(t, s, "a", "2")
		refused(t, s, storage.ErrConflict, []storage.Cond{storage.At("a", first)}, storage.Put("a", nil))
		refused(t, s, storage.ErrConflict, []storage.Cond{storage.At("a", second+1)}, storage.Put("a", nil))
		refused(t, s, storage.ErrConflict, []storage.Cond{storage.At("b", second)}, storage.Put("a", nil))
		apply(t, s, []storage.Cond{storage.At("a", second)}, storage.Put("a", []byte("3")))
	},
	"an entry that was deleted and made anew is not the old one": func(t *testing.T, s storage.Store) {
		old := put(t, s, "a", "1")
		apply(t, s, nil, storage.Delete("a"))
		put(t, s, "a", "1")
		refused(t, s, storage.ErrConflict, []storage.Cond{storage.At("a", old)}, storage.Put("a", nil))
	},
	"one condition that fails keeps all ops from happening": func(t *testing.T, s storage.Store) {
		rev := put(t, s, "a", "1")
		before := all(t, s)
		refused(t, s, storage.ErrConflict,
			[]storage.Cond{storage.At("a", rev), storage.Absent("b"), storage.Absent("a")},
			storage.Put("b", nil), storage.Delete("a"))
		if after := all(t, s); !slices.Equal(before, after) {
			t.Errorf("%v became %v", before, after)
		}
		if next := put(t, s, "c", ""); next <= rev {
			t.Errorf("revision %d after %d", next, rev)
		}
	},
	"a call without ops checks and changes nothing": func(t *testing.T, s storage.Store) {
		rev := put(t, s, "a", "1")
		if got := apply(t, s, []storage.Cond{storage.At("a", rev), storage.Absent("b")}); got != rev {
			t.Errorf("revision %d, want %d", got, rev)
		}
		refused(t, s, storage.ErrConflict, []storage.Cond{storage.Absent("a")})
		snap := snapshot(t, s)
		defer snap.Close()
		if snap.Revision() != rev {
			t.Errorf("snapshot at %d, want %d", snap.Revision(), rev)
		}
	},
	"the store does not keep a caller's slice": func(t *testing.T, s storage.Store) {
		value := []byte("value")
		rev := apply(t, s, nil, storage.Put("a", value))
		copy(value, "spoil")
		snap := snapshot(t, s)
		defer snap.Close()
		want(t, snap, "a", "value", rev)
		if c := watched(t, s, "", rev-1, 1)[0]; string(c.Ops[0].Value) != "value" {
			t.Errorf("watch: %q", c.Ops[0].Value)
		}
	},
	"what is read is the reader's": func(t *testing.T, s storage.Store) {
		rev := put(t, s, "a", "value")
		snap := snapshot(t, s)
		defer snap.Close()
		spoil := func(b []byte) { copy(b, bytes.Repeat([]byte{'x'}, len(b))) }
		e, err := snap.Get(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		spoil(e.Value)
		for e := range snap.Range(t.Context(), "a", "") {
			spoil(e.Value)
		}
		c := watched(t, s, "", rev-1, 1)[0]
		spoil(c.Ops[0].Value)
		want(t, snap, "a", "value", rev)
		if c := watched(t, s, "", rev-1, 1)[0]; string(c.Ops[0].Value) != "value" {
			t.Errorf("watch: %q", c.Ops[0].Value)
		}
	},
	"a context that has ended commits nothing": func(t *testing.T, s storage.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Apply(ctx, nil, []storage.Op{storage.Put("a", nil)}); !errors.Is(err, context.Canceled) {
			t.Errorf("apply: %v", err)
		}
		if list := all(t, s); list != nil {
			t.Errorf("entries %v", list)
		}
	},
}
