package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cofferhq/coffer/internal/storage"
)

var snapshotTests = map[string]func(*testing.T, storage.Store){
	"a snapshot does not see what is committed later": func(t *testing.T, s storage.Store) {
		rev := apply(t, s, nil, storage.Put("a", []byte("1")), storage.Put("b", []byte("1")))
		snap := snapshot(t, s)
		defer snap.Close()
		before := entries(t, snap, "", "")
		apply(t, s, nil, storage.Put("a", []byte("2")), storage.Delete("b"), storage.Put("c", nil))
		for i := range 200 {
			put(t, s, fmt.Sprint("d", i), "")
		}
		want(t, snap, "a", "1", rev)
		want(t, snap, "b", "1", rev)
		absent(t, snap, "c")
		if after := entries(t, snap, "", ""); !slices.Equal(before, after) || snap.Revision() != rev {
			t.Errorf("%v became %v at %d", before, after, snap.Revision())
		}
	},
	"many snapshots live side by side": func(t *testing.T, s storage.Store) {
		var snaps []storage.Snapshot
		for i := range 50 {
			put(t, s, "a", fmt.Sprint(i))
			snaps = append(snaps, snapshot(t, s), snapshot(t, s))
		}
		for i, snap := range snaps {
			want(t, snap, "a", fmt.Sprint(i/2), snap.Revision())
			if err := snap.Close(); err != nil {
				t.Error(err)
			}
		}
	},
	"a closed snapshot says so, also when closed twice": func(t *testing.T, s storage.Store) {
		put(t, s, "a", "1")
		snap := snapshot(t, s)
		snap.Close()
		snap.Close()
		put(t, s, "a", "2")
		if _, err := snap.Get(t.Context(), "a"); !errors.Is(err, storage.ErrClosed) {
			t.Errorf("get: %v", err)
		}
		if err := rangeError(t.Context(), snap); !errors.Is(err, storage.ErrClosed) {
			t.Errorf("range: %v", err)
		}
		other := snapshot(t, s)
		defer other.Close()
		want(t, other, "a", "2", other.Revision())
	},
	"a context that has ended ends reading": func(t *testing.T, s storage.Store) {
		put(t, s, "a", "1")
		snap := snapshot(t, s)
		defer snap.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := snap.Get(ctx, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("get: %v", err)
		}
		if err := rangeError(ctx, snap); !errors.Is(err, context.Canceled) {
			t.Errorf("range: %v", err)
		}
		if _, err := s.Snapshot(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("snapshot: %v", err)
		}
	},
	"a context may end in the middle of a range": func(t *testing.T, s storage.Store) {
		apply(t, s, nil, manyOps(10)...)
		snap := snapshot(t, s)
		defer snap.Close()
		ctx, cancel := context.WithCancel(t.Context())
		seen, last := 0, error(nil)
		for _, err := range snap.Range(ctx, "", "") {
			if seen, last = seen+1, err; seen == 3 {
				cancel()
			}
		}
		cancel()
		if seen != 4 || !errors.Is(last, context.Canceled) {
			t.Errorf("%d yields, the last with error %v", seen, last)
		}
	},
}

// rangeError returns the error that ranging over everything ends with.
func rangeError(ctx context.Context, snap storage.Snapshot) (last error) {
	for _, err := range snap.Range(ctx, "", "") {
		last = err
	}
	return last
}

// rangeKeys are in byte order.
var rangeKeys = []string{
	"\x00", "\x00\xff", "a", "a\x00", "a\x00\x00", "aa", "ab", "a\xfe", "a\xff", "a\xff\x00", "a\xff\xff", "b", "ba",
	"\xff", "\xff\x00", "\xff\xff", "\xff\xff\xff",
}

var rangeTests = map[string]func(*testing.T, storage.Store){
	"every prefix with every after, in byte order": func(t *testing.T, s storage.Store) {
		for _, i := range []int{4, 0, 16, 2, 9, 1, 3, 5, 15, 6, 8, 7, 10, 14, 11, 12, 13} {
			put(t, s, rangeKeys[i], rangeKeys[i])
		}
		snap := snapshot(t, s)
		defer snap.Close()
		bounds := append([]string{"", "0", "a\x01", "c", "a\xff\xff\xff"}, rangeKeys...)
		for _, prefix := range bounds {
			for _, after := range bounds {
				checkRange(t, snap, prefix, after)
			}
		}
	},
	"a range may end early and begin again after what was seen": func(t *testing.T, s storage.Store) {
		apply(t, s, nil, manyOps(20)...)
		snap := snapshot(t, s)
		defer snap.Close()
		var got []string
		for after, more := "", true; more; {
			more = false
			for e, err := range snap.Range(t.Context(), "key ", after) {
				if err != nil {
					t.Fatal(err)
				}
				got, after, more = append(got, show(e)), e.Key, true
				break
			}
		}
		if all := entries(t, snap, "", ""); !slices.Equal(got, all) {
			t.Errorf("%v, want %v", got, all)
		}
	},
	"ranges nest, with reads and writes inside": func(t *testing.T, s storage.Store) {
		apply(t, s, nil, manyOps(5)...)
		snap := snapshot(t, s)
		defer snap.Close()
		pairs := 0
		for a, err := range snap.Range(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			put(t, s, a.Key, "new")
			for b := range snap.Range(t.Context(), "", a.Key) {
				want(t, snap, b.Key, "", b.Revision)
				pairs++
			}
		}
		if pairs != 10 {
			t.Errorf("%d pairs", pairs)
		}
	},
}

func checkRange(t *testing.T, snap storage.Snapshot, prefix, after string) {
	t.Helper()
	var got, want []string
	for e, err := range snap.Range(t.Context(), prefix, after) {
		if err != nil || string(e.Value) != e.Key {
			t.Fatalf("range %q after %q: %s, error %v", prefix, after, show(e), err)
		}
		got = append(got, e.Key)
	}
	for _, key := range rangeKeys {
		if len(key) >= len(prefix) && key[:len(prefix)] == prefix && (after == "" || key > after) {
			want = append(want, key)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("range %q after %q: %q, want %q", prefix, after, got, want)
	}
}
