package storage_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cofferhq/coffer/internal/storage"
)

// commit is one of one op.
func commit(rev int, key, value string) storage.Commit {
	return storage.Commit{Revision: storage.Revision(rev), Ops: []storage.Op{storage.Put(key, []byte(value))}}
}

func TestProgressComesEverySecondAtTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := storage.NewLog(3, 0, 0)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var others sync.WaitGroup
		defer others.Wait()
		others.Go(func() { // their commits are no progress by themselves
			for i := 4; ctx.Err() == nil; i++ {
				log.Add(commit(i, "other", ""))
				time.Sleep(90 * time.Millisecond)
			}
		})
		last, rev, n := time.Now(), storage.Revision(0), 0
		for c, err := range log.Watch(ctx, "mine", 3) {
			if err != nil || len(c.Ops) > 0 || c.Revision < rev {
				t.Fatalf("%v after %d, error %v", c, rev, err)
			}
			if d := time.Since(last); d > time.Second {
				t.Errorf("nothing for %v", d)
			}
			last, rev, n = time.Now(), c.Revision, n+1
		}
		if n < 10 || rev < 50 {
			t.Errorf("progress %d times, up to revision %d", n, rev)
		}
	})
}

func TestAWatchOfTheFutureWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := storage.NewLog(0, 0, 0)
		go func() {
			for i := 1; i <= 4; i++ {
				time.Sleep(time.Minute)
				log.Add(commit(i, "a", ""))
			}
		}()
		for c, err := range log.Watch(t.Context(), "", 3) {
			if c.Revision < 3 || err != nil {
				t.Errorf("revision %d, error %v", c.Revision, err)
			}
			if c.Revision == 4 {
				break
			}
		}
	})
}

func TestTheLogForgetsByCount(t *testing.T) {
	log := storage.NewLog(0, 10, 0)
	for i := 1; i <= 25; i++ {
		log.Add(commit(i, "a", ""))
	}
	if err := firstOf(t, log, 14); !errors.Is(err, storage.ErrCompacted) {
		t.Errorf("after 14: %v", err)
	}
	if err := firstOf(t, log, 15); err != nil {
		t.Errorf("after 15: %v", err)
	}
}

func TestTheLogForgetsByBytes(t *testing.T) {
	log := storage.NewLog(0, 0, 5000)
	for i := 1; i <= 20; i++ {
		log.Add(commit(i, "a", fmt.Sprintf("%935d", i))) // 1000 with what it costs to remember
	}
	if err := firstOf(t, log, 14); !errors.Is(err, storage.ErrCompacted) {
		t.Errorf("after 14: %v", err)
	}
	if err := firstOf(t, log, 15); err != nil {
		t.Errorf("after 15: %v", err)
	}
}

func TestACommitLargerThanTheLogIsForgotten(t *testing.T) {
	log := storage.NewLog(0, 0, 100)
	log.Add(commit(1, "a", fmt.Sprintf("%200d", 1)))
	if err := firstOf(t, log, 0); !errors.Is(err, storage.ErrCompacted) {
		t.Errorf("after 0: %v", err)
	}
}

// firstOf returns the error of the first that a watch after rev yields, which
// otherwise has to be the commit after rev.
func firstOf(t *testing.T, log *storage.Log, rev storage.Revision) error {
	t.Helper()
	for c, err := range log.Watch(t.Context(), "", rev) {
		if err == nil && c.Revision != rev+1 {
			t.Errorf("revision %d after %d", c.Revision, rev)
		}
		return err
	}
	return errors.New("nothing")
}

func TestAWatcherReadsFartherThanOneBatch(t *testing.T) {
	log := storage.NewLog(0, 0, 0)
	for i := 1; i <= 1000; i++ {
		log.Add(commit(i, "a", ""))
	}
	next := storage.Revision(0)
	for c, err := range log.Watch(t.Context(), "", 0) {
		if next++; err != nil || c.Revision != next {
			t.Fatalf("revision %d, error %v, want %d", c.Revision, err, next)
		}
		if next == 1000 {
			break
		}
	}
}

func TestRevisionsThatDoNotRiseAreABug(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	storage.NewLog(5, 0, 0).Add(commit(5, "a", ""))
}
