package storage_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/cofferhq/coffer/internal/storage"
)

func TestAPartSeesAndTouchesOnlyWhatIsBelowIt(t *testing.T) {
	mine, other := storage.Plain("mine"), storage.Plain("mine2")
	s := newStore(t, mine+"a", mine+"b", other+"a", "z")
	_, err := storage.Update(t.Context(), s, func(tx *storage.Tx) error {
		p := tx.Below(mine)
		e, err := p.Get(t.Context(), "a")
		if err != nil || e.Key != "a" || string(e.Value) != mine+"a" {
			t.Errorf("get: %q=%q, error %v", e.Key, e.Value, err)
		}
		if e, err := p.Peek(t.Context(), "b"); err != nil || e.Key != "b" {
			t.Errorf("peek: %q, error %v", e.Key, err)
		}
		if got := keysOf(t, p.Range(t.Context(), "", "")); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("range: %q", got)
		}
		if got := keysOf(t, p.Scan(t.Context(), "", "a")); !slices.Equal(got, []string{"b"}) {
			t.Errorf("scan after a: %q", got)
		}
		p.Put("new", []byte("1"))
		p.Below("deep").Put("er", []byte("2"))
		p.Delete("b")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		mine + "new": "1", mine + "deeper": "2", mine + "b": "-", mine + "a": mine + "a", other + "a": other + "a", "z": "z", "new": "-",
	} {
		if got := value(t, s, key); got != want {
			t.Errorf("%q is %q, want %q", key, got, want)
		}
	}
}

func keysOf(t *testing.T, entries iter.Seq2[storage.Entry, error]) (keys []string) {
	t.Helper()
	for e, err := range entries {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, e.Key)
	}
	return keys
}

func TestChildrenAreTheNamesDirectlyBelow(t *testing.T) {
	tests := []struct {
		name  string
		paths []string
		below string
		want  []string
	}{
		{"none", nil, "", nil},
		{"leaves in order", []string{"b", "a", "c"}, "", []string{"a", "b", "c"}},
		{"a folder once, whatever is below", []string{"d/1", "d/2", "d/e/3", "d/e/4"}, "", []string{"d/"}},
		{"a leaf beside the folder of its name", []string{"a", "a/b"}, "", []string{"a", "a/"}},
		{"in a folder", []string{"a/b", "a/c/d", "b/x"}, "a/", []string{"b", "c/"}},
		{"in a folder that is not there", []string{"a/b"}, "b/", nil},
		{"in a leaf", []string{"a", "a/b"}, "a", nil},
		{"names with odd bytes", []string{"\x00", "\x00\xff/x", "\xff\xff", "ä/b", "a\x00"}, "", []string{"\x00", "\x00\xff/", "a\x00", "ä/", "\xff\xff"}},
		{"an empty element", []string{"/a", "//b"}, "", []string{"/"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			prefix := storage.Plain("data")
			s := newStore(t, storage.Plain("dat")+storage.Path("no"), prefix, storage.Plain("data2")+storage.Path("no"))
			for _, path := range test.paths {
				set(t, s, prefix+storage.Path(path), "")
			}
			if got := children(t, s, prefix, storage.Path(test.below)); !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func children(t *testing.T, s storage.Store, part, below string) (names []string) {
	t.Helper()
	err := storage.View(t.Context(), s, func(tx *storage.Tx) (err error) {
		names, err = tx.Below(part).Children(t.Context(), below)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A child's folder must be jumped over, not walked through.
func TestChildrenReadLittle(t *testing.T) {
	s := newStore(t)
	const folders, leaves = 5, 200
	for i := range folders {
		for j := range leaves {
			set(t, s, storage.Path(fmt.Sprintf("f%d/g/%d", i, j)), "")
		}
	}
	c := &countingStore{Store: s}
	err := storage.View(t.Context(), c, func(tx *storage.Tx) error {
		names, err := tx.Below("").Children(t.Context(), "")
		if len(names) != folders {
			t.Errorf("children %q", names)
		}
		return err
	})
	if err != nil || c.entries > 2*folders {
		t.Errorf("%d entries read for %d children, error %v", c.entries, folders, err)
	}
}

// countingStore counts the entries that ranges yield.
type countingStore struct {
	storage.Store
	entries int
}

func (c *countingStore) Snapshot(ctx context.Context) (storage.Snapshot, error) {
	snap, err := c.Store.Snapshot(ctx)
	return countingSnapshot{snap, c}, err
}

type countingSnapshot struct {
	storage.Snapshot
	store *countingStore
}

func (c countingSnapshot) Range(ctx context.Context, prefix, after string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		for e, err := range c.Snapshot.Range(ctx, prefix, after) {
			c.store.entries++
			if !yield(e, err) {
				return
			}
		}
	}
}

func TestChildrenOfWhatIsNoKeyIsAnError(t *testing.T) {
	s := newStore(t, "data!")
	err := storage.View(t.Context(), s, func(tx *storage.Tx) error {
		_, err := tx.Below("data").Children(t.Context(), "")
		return err
	})
	if err == nil {
		t.Error("no error")
	}
}
