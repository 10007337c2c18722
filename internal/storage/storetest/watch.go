package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/storage"
)

// collect returns the next n commits that touch prefix, without progress.
func collect(ctx context.Context, s storage.Store, prefix string, rev storage.Revision, n int) ([]storage.Commit, error) {
	var list []storage.Commit
	for c, err := range s.Watch(ctx, prefix, rev) {
		if err != nil {
			return list, err
		}
		if len(c.Ops) > 0 {
			list = append(list, c)
		}
		if len(list) == n {
			return list, nil
		}
	}
	return list, ctx.Err()
}

// watched is collect that must succeed.
func watched(t *testing.T, s storage.Store, prefix string, rev storage.Revision, n int) []storage.Commit {
	t.Helper()
	list, err := collect(t.Context(), s, prefix, rev, n)
	if err != nil {
		t.Fatalf("watch: %d of %d commits, then %v", len(list), n, err)
	}
	return list
}

func showCommit(c storage.Commit) string {
	var b strings.Builder
	fmt.Fprintf(&b, "@%d", c.Revision)
	for _, op := range c.Ops {
		if op.Gone {
			fmt.Fprintf(&b, " -%q", op.Key)
		} else {
			fmt.Fprintf(&b, " %q=%q", op.Key, op.Value)
		}
	}
	return b.String()
}

var watchTests = map[string]func(*testing.T, storage.Store){
	"commits come whole and in order": func(t *testing.T, s storage.Store) {
		one := apply(t, s, nil, storage.Put("a", []byte("1")), storage.Put("b", []byte("1")))
		two := apply(t, s, nil, storage.Delete("b"), storage.Put("a", nil))
		got := watched(t, s, "", 0, 2)
		wanted := []string{
			fmt.Sprintf(`@%d "a"="1" "b"="1"`, one),
			fmt.Sprintf(`@%d -"b" "a"=""`, two),
		}
		for i, c := range got {
			if showCommit(c) != wanted[i] {
				t.Errorf("%s, want %s", showCommit(c), wanted[i])
			}
		}
	},
	"only what begins with the prefix": func(t *testing.T, s storage.Store) {
		apply(t, s, nil, storage.Put("a/1", nil), storage.Put("b/1", nil))
		put(t, s, "b/2", "")
		apply(t, s, nil, storage.Delete("a/2"), storage.Put("a", nil))
		for _, c := range watched(t, s, "a/", 0, 2) {
			if len(c.Ops) != 1 || !strings.HasPrefix(c.Ops[0].Key, "a/") {
				t.Errorf("commit %s", showCommit(c))
			}
		}
	},
	"only what is after the revision": func(t *testing.T, s storage.Store) {
		put(t, s, "a", "1")
		middle := put(t, s, "a", "2")
		last := put(t, s, "a", "3")
		if c := watched(t, s, "", middle, 1)[0]; c.Revision != last {
			t.Errorf("commit %s, want the one at %d", showCommit(c), last)
		}
	},
	"a refused commit is not seen": func(t *testing.T, s storage.Store) {
		put(t, s, "a", "1")
		refused(t, s, storage.ErrConflict, []storage.Cond{storage.Absent("a")}, storage.Put("no", nil))
		last := put(t, s, "a", "2")
		if c := watched(t, s, "", 0, 2)[1]; c.Revision != last {
			t.Errorf("commit %s, want the one at %d", showCommit(c), last)
		}
	},
	"a snapshot shows what a watcher was told of": func(t *testing.T, s storage.Store) {
		const commits = 100
		done := make(chan error, 1)
		go func() {
			var err error
			for i := 0; i < commits && err == nil; i++ {
				_, err = s.Apply(t.Context(), nil, []storage.Op{storage.Put("a", fmt.Append(nil, i))})
			}
			done <- err
		}()
		seen := 0
		for c, err := range s.Watch(t.Context(), "", 0) {
			if err != nil {
				t.Fatal(err)
			}
			snap := snapshot(t, s)
			if snap.Revision() < c.Revision {
				t.Errorf("snapshot at %d after commit %d", snap.Revision(), c.Revision)
			}
			snap.Close()
			if seen += len(c.Ops); seen == commits {
				break
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	},
	"watchers see every commit once and in order, whoever writes": watchersAgree,
	"progress comes within a second when nothing touches the prefix": func(t *testing.T, s storage.Store) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		rev := put(t, s, "other", "")
		start := time.Now()
		for c, err := range s.Watch(ctx, "a/", 0) {
			if err != nil || len(c.Ops) > 0 || c.Revision != rev {
				t.Fatalf("commit %s, error %v, want progress at %d", showCommit(c), err, rev)
			}
			break
		}
		if d := time.Since(start); d > 10*time.Second { // a second, and a busy machine
			t.Errorf("progress after %v", d)
		}
	},
	"a watch ends with its context": func(t *testing.T, s storage.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		put(t, s, "a", "")
		for _, err := range s.Watch(ctx, "", 0) {
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			cancel()
		}
		cancel()
	},
	"a revision long past is compacted": func(t *testing.T, s storage.Store) {
		first := put(t, s, "a", "")
		// More than any driver remembers of so little a store.
		value := make([]byte, 1<<20)
		for range 6 {
			apply(t, s, nil, storage.Put("b", value))
		}
		if list, err := collect(t.Context(), s, "", first-1, 1); !errors.Is(err, storage.ErrCompacted) {
			t.Errorf("%d commits, error %v", len(list), err)
		}
		last := put(t, s, "a", "")
		if c := watched(t, s, "", last-1, 1)[0]; c.Revision != last {
			t.Errorf("commit %s, want the one at %d", showCommit(c), last)
		}
	},
	"a watcher that sleeps holds nobody up": func(t *testing.T, s storage.Store) {
		put(t, s, "a", "")
		value := make([]byte, 1<<20)
		var last error
		for _, err := range s.Watch(t.Context(), "", 0) {
			if last = err; err != nil {
				break
			}
			for range 6 { // while the watcher is in here
				apply(t, s, nil, storage.Put("b", value))
			}
		}
		if !errors.Is(last, storage.ErrCompacted) {
			t.Errorf("the watch ended with %v", last)
		}
	},
}

func watchersAgree(t *testing.T, s storage.Store) {
	const writers, each = 8, 40
	var wg sync.WaitGroup
	seen := make([][]storage.Commit, 3)
	for i := range seen {
		wg.Go(func() {
			var err error
			if seen[i], err = collect(t.Context(), s, "", 0, writers*each); err != nil {
				t.Errorf("watch: %v", err)
			}
		})
	}
	acked := make([][]storage.Revision, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				rev, err := s.Apply(t.Context(), nil, []storage.Op{
					storage.Put(fmt.Sprintf("%d", w), fmt.Append(nil, i)),
					storage.Put(fmt.Sprintf("%d/%d", w, i), nil),
				})
				if err != nil {
					t.Errorf("apply: %v", err)
				}
				acked[w] = append(acked[w], rev)
			}
		})
	}
	wg.Wait()
	revs := slices.Concat(acked...)
	slices.Sort(revs)
	for _, list := range seen {
		if len(list) != len(revs) {
			t.Fatalf("a watcher saw %d of %d commits", len(list), len(revs))
		}
		for i, c := range list {
			if c.Revision != revs[i] || len(c.Ops) != 2 {
				t.Fatalf("commit %d is %s, want revision %d and two ops", i, showCommit(c), revs[i])
			}
			if showCommit(c) != showCommit(seen[0][i]) {
				t.Fatalf("watchers differ: %s and %s", showCommit(c), showCommit(seen[0][i]))
			}
		}
	}
}
