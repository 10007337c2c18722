package cache_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/cache"
	"github.com/cofferhq/coffer/internal/storage/inmem"
	"github.com/cofferhq/coffer/internal/storage/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storage.Store { return cache.New(inmem.New(), 0) })
}

func TestATinyStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storage.Store { return cache.New(inmem.New(), 1000) })
}

// counting counts what is read below the cache.
type counting struct {
	storage.Store
	gets atomic.Int64
}

func (c *counting) Snapshot(ctx context.Context) (storage.Snapshot, error) {
	snap, err := c.Store.Snapshot(ctx)
	return &countingSnapshot{snap, c}, err
}

type countingSnapshot struct {
	storage.Snapshot
	store *counting
}

func (s *countingSnapshot) Get(ctx context.Context, key string) (storage.Entry, error) {
	s.store.gets.Add(1)
	return s.Snapshot.Get(ctx, key)
}

func get(t *testing.T, s storage.Store, key string) (string, error) {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	e, err := snap.Get(t.Context(), key)
	return string(e.Value), err
}

func put(t *testing.T, s storage.Store, key, value string) {
	t.Helper()
	if _, err := s.Apply(t.Context(), nil, []storage.Op{storage.Put(key, []byte(value))}); err != nil {
		t.Fatal(err)
	}
}

func TestWhatWasReadIsNotReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := &counting{Store: inmem.New()}
		s := cache.New(below, 0)
		defer s.Close()
		synctest.Wait()
		put(t, s, "k", "one")
		synctest.Wait() // the follower has seen it
		for range 3 {
			if v, err := get(t, s, "k"); v != "one" || err != nil {
				t.Fatal(v, err)
			}
		}
		put(t, s, "k", "two")
		synctest.Wait()
		if v, err := get(t, s, "k"); v != "two" || err != nil {
			t.Fatal(v, err)
		}
		if n := below.gets.Load(); n != 1 {
			t.Errorf("%d reads below", n)
		}
	})
}

func TestAnEntryIsItsReadersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cache.New(inmem.New(), 0)
		defer s.Close()
		put(t, s, "k", "value")
		synctest.Wait()
		for range 2 {
			snap, err := s.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			e, err := snap.Get(t.Context(), "k")
			if err != nil || string(e.Value) != "value" {
				t.Fatalf("%q, %v", e.Value, err)
			}
			clear(e.Value)
			snap.Close()
		}
	})
}

// What was written is read by whoever begins to read later, and two keys that
// are always written together are never read apart.
func TestReadersNeverFallBehind(t *testing.T) {
	s := cache.New(inmem.New(), 4000)
	defer s.Close()
	const keys = 20
	var written [keys]atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for k := range keys {
		putPair(t, s, k, 0)
	}
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				k := rand.IntN(keys)
				atLeast := written[k].Load()
				if err := readPair(t, s, k, atLeast); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range int64(3000) {
		k := int(n) % keys
		putPair(t, s, k, n)
		written[k].Store(n)
	}
	close(stop)
	wg.Wait()
}

func putPair(t *testing.T, s storage.Store, k int, n int64) {
	t.Helper()
	value := []byte(fmt.Sprint(n))
	_, err := s.Apply(t.Context(), nil, []storage.Op{
		storage.Put(fmt.Sprintf("a%d", k), value), storage.Put(fmt.Sprintf("b%d", k), value),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readPair(t *testing.T, s storage.Store, k int, atLeast int64) error {
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		return err
	}
	defer snap.Close()
	a, err := snap.Get(t.Context(), fmt.Sprintf("a%d", k))
	if err != nil {
		return err
	}
	b, err := snap.Get(t.Context(), fmt.Sprintf("b%d", k))
	if err != nil {
		return err
	}
	var n int64
	fmt.Sscan(string(a.Value), &n)
	if string(a.Value) != string(b.Value) || n < atLeast || a.Revision != b.Revision {
		return fmt.Errorf("read %q and %q, after %d was written", a.Value, b.Value, atLeast)
	}
	return nil
}
