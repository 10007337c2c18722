package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cofferhq/coffer/internal/storage"
)

var closeTests = map[string]func(*testing.T, storage.Store){
	"a closed store says so": func(t *testing.T, s storage.Store) {
		put(t, s, "a", "1")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		refused(t, s, storage.ErrClosed, nil, storage.Put("a", nil))
		refused(t, s, storage.ErrClosed, []storage.Cond{storage.Absent("b")})
		if _, err := s.Snapshot(t.Context()); !errors.Is(err, storage.ErrClosed) {
			t.Errorf("snapshot: %v", err)
		}
		if _, err := collect(t.Context(), s, "", 0, 1); !errors.Is(err, storage.ErrClosed) {
			t.Errorf("watch: %v", err)
		}
		if err := s.Close(); !errors.Is(err, storage.ErrClosed) {
			t.Errorf("second close: %v", err)
		}
	},
	"a snapshot that outlives its store says so": func(t *testing.T, s storage.Store) {
		put(t, s, "a", "1")
		old := snapshot(t, s)
		put(t, s, "a", "2")
		snap := snapshot(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, snap := range []storage.Snapshot{old, snap} {
			if _, err := snap.Get(t.Context(), "a"); !errors.Is(err, storage.ErrClosed) {
				t.Errorf("get: %v", err)
			}
			if err := rangeError(t.Context(), snap); !errors.Is(err, storage.ErrClosed) {
				t.Errorf("range: %v", err)
			}
			if err := snap.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	},
	"closing ends a watch that waits": func(t *testing.T, s storage.Store) {
		done := make(chan error, 1)
		go func() {
			_, err := collect(t.Context(), s, "", 0, 2)
			done <- err
		}()
		put(t, s, "a", "1")
		s.Close()
		if err := <-done; !errors.Is(err, storage.ErrClosed) {
			t.Errorf("watch: %v", err)
		}
	},
	"closing while others read and write gives results or ErrClosed": func(t *testing.T, s storage.Store) {
		put(t, s, "a", "1")
		var wg, started sync.WaitGroup
		for w := range 8 {
			started.Add(1)
			wg.Go(func() {
				for i := 0; ; i++ {
					if i == 3 {
						started.Done()
					}
					if err := use(t, s, fmt.Sprint(w)); errors.Is(err, storage.ErrClosed) {
						if i < 3 {
							started.Done()
						}
						return
					} else if err != nil {
						t.Error(err)
					}
				}
			})
		}
		started.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	},
}

// use writes, reads and ranges once.
func use(t *testing.T, s storage.Store, key string) error {
	if _, err := s.Apply(t.Context(), nil, []storage.Op{storage.Put(key, nil)}); err != nil {
		return err
	}
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		return err
	}
	defer snap.Close()
	if _, err := snap.Get(t.Context(), "a"); err != nil {
		return err
	}
	return rangeError(t.Context(), snap)
}
