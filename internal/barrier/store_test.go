package barrier_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

// randomKey returns one of some hundred keys of all kinds of segments.
func randomKey(r *rand.Rand) string {
	kinds := []func(int) string{
		func(i int) string { return storage.Plain(fmt.Sprint(i)) },
		func(i int) string { return storage.Name(strings.Repeat("\x00", i)) },
		func(i int) string { return storage.Order(uint64(i) * 0x7f) },
	}
	var key string
	for range 1 + r.IntN(3) {
		key += kinds[r.IntN(len(kinds))](r.IntN(3))
	}
	return key
}

// The barrier and a store in memory are the same but for the order of names.
func TestRandomCommitsAgreeWithAStoreInMemory(t *testing.T) {
	b, _ := unsealed(t)
	plain := inmem.New()
	r := rand.New(rand.NewPCG(1, 2))
	if _, err := plain.Apply(t.Context(), nil, []storage.Op{storage.Put("keyring", nil)}); err != nil {
		t.Fatal(err) // so that the revisions agree
	}
	if _, err := plain.Apply(t.Context(), nil, []storage.Op{storage.Delete("keyring")}); err != nil {
		t.Fatal(err)
	}
	put(t, b, storage.Plain("gone"), "")
	if _, err := plain.Apply(t.Context(), nil, []storage.Op{storage.Put(storage.Plain("gone"), nil)}); err != nil {
		t.Fatal(err)
	}
	offset := list(t, plain, "", "")[0].Revision - list(t, b, "", "")[0].Revision
	for range 300 {
		var conds, shifted []storage.Cond
		for range r.IntN(3) {
			key := randomKey(r)
			c := storage.Absent(key)
			if e, err := get(t, b, key); err == nil && r.IntN(2) == 0 {
				c = storage.At(key, e.Revision)
			}
			conds = append(conds, c)
			if c.Revision != 0 {
				c.Revision += offset
			}
			shifted = append(shifted, c)
		}
		ops := randomOps(r)
		rev1, err1 := b.Apply(t.Context(), conds, ops)
		rev2, err2 := plain.Apply(t.Context(), shifted, ops)
		if !errors.Is(err1, err2) || err1 == nil && rev1+offset != rev2 {
			t.Fatalf("the barrier says %d, %v and the store %d, %v", rev1, err1, rev2, err2)
		}
		prefix := ""
		if r.IntN(2) == 0 {
			prefix = randomKey(r)
		}
		got, want := list(t, b, prefix, ""), list(t, plain, prefix, "")
		for i := range got {
			got[i].Revision += offset
		}
		byKey := func(a, b storage.Entry) int { return strings.Compare(a.Key, b.Key) }
		slices.SortFunc(got, byKey)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("below %q: %s", prefix, diff)
		}
	}
}

func randomOps(r *rand.Rand) []storage.Op {
	ops := map[string]storage.Op{}
	for range 1 + r.IntN(4) {
		key := randomKey(r)
		ops[key] = storage.Put(key, fmt.Append([]byte{}, r.IntN(1000)))
		if r.IntN(3) == 0 {
			ops[key] = storage.Delete(key)
		}
	}
	var list []storage.Op
	for _, op := range ops {
		list = append(list, op)
	}
	return list
}

func TestARangeIsTakenUpAfterAnyOfItsKeys(t *testing.T) {
	b, _ := unsealed(t)
	prefix := storage.Plain("m")
	for _, p := range []string{"a", "a/b", "a/c", "b/x/y", "c", "d/", "e/f/g/h"} {
		put(t, b, prefix+storage.Path(p), p)
	}
	put(t, b, storage.Plain("n"), "")
	all := list(t, b, prefix, "")
	if len(all) != 7 {
		t.Fatalf("%d entries, want 7", len(all))
	}
	for i, e := range all {
		rest := list(t, b, prefix, e.Key)
		if !cmp.Equal(rest, all[i+1:]) && len(rest)+len(all[i+1:]) > 0 {
			t.Errorf("after %q: %+v, want %+v", e.Key, rest, all[i+1:])
		}
		for _, below := range list(t, b, prefix, storage.After(e.Key)) {
			if strings.HasPrefix(below.Key, e.Key) {
				t.Errorf("%q is found after the bound of %q", below.Key, e.Key)
			}
		}
	}
	if rest := list(t, b, prefix, storage.After(prefix)); len(rest) != 0 {
		t.Errorf("after everything: %+v", rest)
	}
}

func TestChildrenAreListedByNameAndOnce(t *testing.T) {
	b, _ := unsealed(t)
	prefix := storage.Plain("m")
	for _, p := range []string{"zeta", "a", "a/b", "a/c/d", "b/x/y", "mu"} {
		put(t, b, prefix+storage.Path(p), p)
	}
	err := storage.View(t.Context(), b, func(tx *storage.Tx) error {
		got, err := tx.Below(prefix).Children(t.Context(), "")
		if want := []string{"a", "a/", "b/", "mu", "zeta"}; !slices.Equal(got, want) {
			t.Errorf("children %q, want %q", got, want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOrdersAndPlainSegmentsKeepTheirOrder(t *testing.T) {
	b, _ := unsealed(t)
	orders := []uint64{0, 1, 255, 256, 1 << 40, ^uint64(0)}
	for _, i := range rand.Perm(len(orders)) {
		put(t, b, storage.Plain("due")+storage.Order(orders[i])+storage.Name("x"), "")
	}
	for i, e := range list(t, b, storage.Plain("due"), "") {
		if want := storage.Plain("due") + storage.Order(orders[i]) + storage.Name("x"); e.Key != want {
			t.Errorf("entry %d is %q, want %q", i, e.Key, want)
		}
	}
	late := list(t, b, storage.Plain("due"), storage.After(storage.Plain("due")+storage.Order(255)))
	if len(late) != 3 {
		t.Errorf("%d entries after 255, want 3", len(late))
	}
}

func TestMalformedKeysAreRefused(t *testing.T) {
	b, _ := unsealed(t)
	snap, err := b.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	for _, key := range []string{"x", "nname", "o1234567", storage.Plain("a") + "b", storage.After(storage.Plain("a")), "p\x00\x02"} {
		if _, err := b.Apply(t.Context(), nil, []storage.Op{storage.Put(key, nil)}); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("put %q: %v", key, err)
		}
		if _, err := b.Apply(t.Context(), []storage.Cond{storage.Absent(key)}, nil); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("condition on %q: %v", key, err)
		}
		if _, err := snap.Get(t.Context(), key); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("get %q: %v", key, err)
		}
		for _, err := range snap.Range(t.Context(), key, "") {
			if !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("range %q: %v", key, err)
			}
		}
		for _, err := range b.Watch(t.Context(), key, 0) {
			if !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("watch %q: %v", key, err)
			}
			break
		}
	}
}

func TestCommitsThatDoNotFitSealedAreTooLarge(t *testing.T) {
	b, inner := unsealed(t)
	before := len(raw(t, inner))
	for name, ops := range map[string][]storage.Op{
		"in plain":      {storage.Put(storage.Plain("a"), make([]byte, storage.MaxCommitBytes))},
		"sealed only":   {storage.Put(storage.Plain("a"), make([]byte, storage.MaxCommitBytes-8))},
		"a hidden key":  {storage.Put(storage.Name(strings.Repeat("x", storage.MaxKeyBytes)), nil)},
		"too many rows": make([]storage.Op, storage.MaxOps+1),
	} {
		if _, err := b.Apply(t.Context(), nil, ops); !errors.Is(err, storage.ErrTooLarge) {
			t.Errorf("%s: %v, want %v", name, err, storage.ErrTooLarge)
		}
	}
	var most []storage.Op
	for i := range storage.MaxOps {
		most = append(most, storage.Put(storage.Name(fmt.Sprint(i)), nil))
	}
	if _, err := b.Apply(t.Context(), nil, most); err != nil {
		t.Errorf("as many operations as allowed: %v", err)
	}
	if n := len(raw(t, inner)) - before; n != storage.MaxOps {
		t.Errorf("%d rows were added, want %d", n, storage.MaxOps)
	}
}

func TestSlicesAreNeitherKeptNorShared(t *testing.T) {
	b, _ := unsealed(t)
	key, value := storage.Name("k"), []byte("value")
	if _, err := b.Apply(t.Context(), nil, []storage.Op{storage.Put(key, value)}); err != nil {
		t.Fatal(err)
	}
	clear(value)
	for range 2 {
		e, err := get(t, b, key)
		if err != nil || !bytes.Equal(e.Value, []byte("value")) {
			t.Errorf("get %q, %v", e.Value, err)
		}
		clear(e.Value)
	}
}

func TestManyUseABarrierThatIsRotatedAndSealed(t *testing.T) {
	b, _ := unsealed(t)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			key := storage.Name(fmt.Sprint(w))
			for i := range 50 {
				if _, err := b.Apply(t.Context(), nil, []storage.Op{storage.Put(key, fmt.Append(nil, i))}); err != nil {
					t.Error(err)
				}
				if e, err := get(t, b, key); err != nil || string(e.Value) != fmt.Sprint(i) {
					t.Errorf("get %q, %v", e.Value, err)
				}
			}
		})
	}
	for range 10 {
		if err := b.Rotate(t.Context()); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	b.Seal()
	if _, err := b.Snapshot(t.Context()); err == nil {
		t.Error("a sealed barrier is read")
	}
}
