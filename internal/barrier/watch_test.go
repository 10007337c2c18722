package barrier_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// watched returns the first n commits below prefix after rev.
func watched(t *testing.T, s storage.Store, prefix string, rev storage.Revision, n int) []storage.Commit {
	t.Helper()
	var commits []storage.Commit
	for c, err := range s.Watch(t.Context(), prefix, rev) {
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Ops) > 0 {
			commits = append(commits, c)
		}
		if len(commits) == n {
			break
		}
	}
	return commits
}

func TestAWatchDeliversKeysAndValues(t *testing.T) {
	b, _ := unsealed(t)
	table := storage.Plain("t")
	key, other := table+storage.Path("a/b"), table+storage.Plain("id")+storage.Order(7)
	first, err := b.Apply(t.Context(), nil, []storage.Op{
		storage.Put(key, []byte("1")), storage.Put(other, []byte("2")), storage.Put(storage.Plain("u"), []byte("3")),
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, b, storage.Plain("u"), "not below the prefix")
	if err := b.Rewrap(t.Context(), rootKey(1), rootKey(2)); err != nil { // a raw row
		t.Fatal(err)
	}
	second := put(t, b, key, "4")
	want := []storage.Commit{
		{Revision: first, Ops: []storage.Op{storage.Put(key, []byte("1")), storage.Put(other, []byte("2"))}},
		{Revision: second, Ops: []storage.Op{storage.Put(key, []byte("4"))}},
	}
	if diff := cmp.Diff(want, watched(t, b, table, 0, 2)); diff != "" {
		t.Error(diff)
	}
}

func TestADeletionIsToldAsFarAsTheStoreKnowsIt(t *testing.T) {
	p, n := storage.Plain, storage.Name
	tests := map[string]struct {
		prefix string
		ops    []storage.Op
		want   []storage.Op
	}{
		"without names, in full": {
			prefix: p("t"),
			ops:    []storage.Op{storage.Delete(p("t") + p("id") + storage.Order(3))},
			want:   []storage.Op{storage.Delete(p("t") + p("id") + storage.Order(3))},
		},
		"up to the first name": {
			prefix: p("t"),
			ops:    []storage.Op{storage.Delete(p("t") + p("mount") + n("a") + p("x"))},
			want:   []storage.Op{storage.Delete(p("t") + p("mount"))},
		},
		"names that the prefix gives away": {
			prefix: p("t") + n("a"),
			ops:    []storage.Op{storage.Delete(p("t") + n("a") + p("x") + n("b"))},
			want:   []storage.Op{storage.Delete(p("t") + n("a") + p("x"))},
		},
		"the prefix itself": {
			prefix: n("a"),
			ops:    []storage.Op{storage.Delete(n("a"))},
			want:   []storage.Op{storage.Delete(n("a"))},
		},
		"first, and several alike once": {
			prefix: "",
			ops: []storage.Op{
				storage.Put(p("t")+n("new"), []byte("v")), storage.Delete(p("t") + n("a")), storage.Delete(p("t") + n("b")),
			},
			want: []storage.Op{storage.Delete(p("t")), storage.Put(p("t")+n("new"), []byte("v"))},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b, _ := unsealed(t)
			if _, err := b.Apply(t.Context(), nil, test.ops); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, watched(t, b, test.prefix, 0, 1)[0].Ops); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAWatchProgressesAndEndsWhenSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := unsealed(t)
		rev := put(t, b, storage.Plain("other"), "")
		begun := time.Now()
		progress := 0
		var last error
		for c, err := range b.Watch(t.Context(), storage.Plain("t"), rev) {
			if last = err; err != nil {
				break
			}
			if len(c.Ops) != 0 || c.Revision != rev {
				t.Errorf("commit %+v, want progress at %d", c, rev)
			}
			if progress++; progress == 3 {
				b.Seal()
			}
		}
		if !errors.Is(last, logical.ErrSealed) {
			t.Errorf("the watch ended with %v, want %v", last, logical.ErrSealed)
		}
		if took := time.Since(begun); took > 4*time.Second {
			t.Errorf("three times progress and the end took %v", took)
		}
	})
}

func TestAWatchEndsAtWhatItCannotDecrypt(t *testing.T) {
	b, inner := unsealed(t)
	put(t, inner, storage.Plain("b")+storage.Plain("t"), "foreign bytes")
	for c, err := range b.Watch(t.Context(), "", 0) {
		if !errors.Is(err, barrier.ErrDecrypt) {
			t.Errorf("commit %+v, %v, want %v", c, err, barrier.ErrDecrypt)
		}
		return
	}
	t.Error("the watch ended without a word")
}
