package storetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/storage"
)

// manyOps returns n ops on different keys.
func manyOps(n int) []storage.Op {
	ops := make([]storage.Op, n)
	for i := range ops {
		ops[i] = storage.Put(fmt.Sprintf("key %03d", i), nil)
	}
	return ops
}

// manyConds returns n conditions that hold in an empty store.
func manyConds(n int) []storage.Cond {
	conds := make([]storage.Cond, n)
	for i := range conds {
		conds[i] = storage.Absent(fmt.Sprintf("other %03d", i))
	}
	return conds
}

var limitTests = map[string]func(*testing.T, storage.Store){
	"as many ops and conditions as allowed": func(t *testing.T, s storage.Store) {
		apply(t, s, manyConds(storage.MaxOps), manyOps(storage.MaxOps)...)
		if n := len(all(t, s)); n != storage.MaxOps {
			t.Errorf("%d entries", n)
		}
	},
	"one op too many": func(t *testing.T, s storage.Store) {
		refused(t, s, storage.ErrTooLarge, nil, manyOps(storage.MaxOps+1)...)
	},
	"one condition too many": func(t *testing.T, s storage.Store) {
		refused(t, s, storage.ErrTooLarge, manyConds(storage.MaxOps+1), storage.Put("a", nil))
	},
	"as many bytes as allowed": func(t *testing.T, s storage.Store) {
		value := strings.Repeat("v", storage.MaxCommitBytes-1)
		rev := put(t, s, "a", value)
		snap := snapshot(t, s)
		defer snap.Close()
		e, err := snap.Get(t.Context(), "a")
		if err != nil || string(e.Value) != value || e.Revision != rev {
			t.Errorf("%d bytes at %d, error %v", len(e.Value), e.Revision, err)
		}
	},
	"one byte too many in one value": func(t *testing.T, s storage.Store) {
		refused(t, s, storage.ErrTooLarge, nil, storage.Put("a", make([]byte, storage.MaxCommitBytes)))
	},
	"one byte too many in all ops together": func(t *testing.T, s storage.Store) {
		half := make([]byte, storage.MaxCommitBytes/2)
		refused(t, s, storage.ErrTooLarge, nil, storage.Put("a", half), storage.Put("b", half))
		if list := all(t, s); list != nil {
			t.Errorf("%d entries", len(list))
		}
	},
	"a key as long as allowed": func(t *testing.T, s storage.Store) {
		key := strings.Repeat("k", storage.MaxKeyBytes)
		rev := put(t, s, key, "v")
		snap := snapshot(t, s)
		defer snap.Close()
		want(t, snap, key, "v", rev)
	},
	"a key one byte too long": func(t *testing.T, s storage.Store) {
		key := strings.Repeat("k", storage.MaxKeyBytes+1)
		refused(t, s, storage.ErrTooLarge, nil, storage.Put(key, nil))
		refused(t, s, storage.ErrTooLarge, nil, storage.Delete(key))
		refused(t, s, storage.ErrTooLarge, []storage.Cond{storage.Absent(key)}, storage.Put("a", nil))
	},
	"an empty key": func(t *testing.T, s storage.Store) {
		refused(t, s, storage.ErrInvalid, nil, storage.Put("", nil))
		refused(t, s, storage.ErrInvalid, []storage.Cond{storage.Absent("")}, storage.Put("a", nil))
	},
	"one key in two of a few ops": func(t *testing.T, s storage.Store) {
		refused(t, s, storage.ErrInvalid, nil, storage.Put("a", nil), storage.Put("b", nil), storage.Delete("a"))
		if list := all(t, s); list != nil {
			t.Errorf("entries %v", list)
		}
	},
	"one key in two of many ops": func(t *testing.T, s storage.Store) {
		refused(t, s, storage.ErrInvalid, nil, append(manyOps(50), storage.Delete("key 049"))...)
	},
}
