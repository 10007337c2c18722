package storage_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/cache"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

func TestListingsAreMadeAgainOnlyWhenNamesCameOrWent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cache.New(inmem.New(), 0)
		defer s.Close()
		lists := storage.NewListings[[]string](1 << 10)
		made := 0
		change := func(fn func(p storage.Part)) {
			t.Helper()
			_, err := storage.Update(t.Context(), s, func(tx *storage.Tx) error {
				fn(tx.Below(storage.Plain("m")))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the follower has seen it
		}
		list := func(want []string, times int) {
			t.Helper()
			err := storage.View(t.Context(), s, func(tx *storage.Tx) error {
				got, err := lists.Of(t.Context(), tx.Below(storage.Plain("m")), storage.Plain("d"), func(names []string) ([]string, error) {
					made++
					return names, nil
				})
				if !slices.Equal(got, want) || made != times {
					t.Errorf("got %q, made %d times; want %q, %d", got, made, want, times)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		key := func(path string) string { return storage.Plain("d") + storage.Path(path) }
		synctest.Wait()
		change(func(p storage.Part) { p.Put(key("b"), nil); p.Put(key("a/x"), nil) })
		list([]string{"a/", "b"}, 1)
		list([]string{"a/", "b"}, 1)
		change(func(p storage.Part) { p.Put(storage.Plain("other"), nil) })
		list([]string{"a/", "b"}, 1)
		change(func(p storage.Part) {
			if _, err := p.Get(t.Context(), key("b")); err != nil { // so it is known to be there
				t.Error(err)
			}
			p.Put(key("b"), []byte("new"))
		})
		list([]string{"a/", "b"}, 1)
		change(func(p storage.Part) { p.Put(key("c"), nil) })
		list([]string{"a/", "b", "c"}, 2)
		change(func(p storage.Part) { p.Delete(key("a/x")) })
		list([]string{"b", "c"}, 3)
		list([]string{"b", "c"}, 3)
	})
}
