package pebble

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/cofferhq/coffer/internal/storage"
)

// syncs stands between a store and the disk: it counts the syncs of logs, holds
// them up and lets them fail.
type syncs struct {
	n     atomic.Int64
	fails atomic.Bool

	mu      sync.Mutex    // guards the fields below
	begun   chan struct{} // gets a value when a sync is held up; nil if none shall be
	release chan struct{} // lets it go
}

var errDisk = errors.New("the disk is on fire")

func (s *syncs) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
	default:
		return nil
	}
	if !strings.HasSuffix(op.Path, ".log") {
		return nil
	}
	s.n.Add(1)
	s.mu.Lock()
	begun, release := s.begun, s.release
	s.begun, s.release = nil, nil
	s.mu.Unlock()
	if begun != nil {
		close(begun)
		<-release
	}
	if s.fails.Load() {
		return errDisk
	}
	return nil
}

func (s *syncs) String() string { return "syncs" }

// hold holds up the next sync. When begun is closed it is under way; it ends
// when release is closed.
func (s *syncs) hold() (begun, release chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun, s.release = make(chan struct{}), make(chan struct{})
	return s.begun, s.release
}

// openCounted opens a store in memory behind syncs.
func openCounted(t *testing.T) (*Store, *syncs) {
	t.Helper()
	c := new(syncs)
	s, err := Open("data", Options{FS: errorfs.Wrap(vfs.NewMem(), c)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, storage.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return s, c
}

func put(ctx context.Context, s *Store, key string, conds ...storage.Cond) (storage.Revision, error) {
	return s.Apply(ctx, conds, []storage.Op{storage.Put(key, []byte(key))})
}

// blocked begins a commit of "first" that hangs in its sync until release is
// closed. wait returns its error.
func blocked(t *testing.T, s *Store, c *syncs) (release chan struct{}, wait func() error) {
	t.Helper()
	begun, release := c.hold()
	done := make(chan error, 1)
	go func() {
		_, err := put(context.Background(), s, "first")
		done <- err
	}()
	<-begun
	return release, func() error { return <-done }
}

// queued waits until n calls wait for the committer.
func queued(s *Store, n int) {
	for len(s.calls) != n {
		runtime.Gosched()
	}
}

func has(t *testing.T, s *Store, key string) bool {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	_, err = snap.Get(t.Context(), key)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func TestOneWriterCostsOneSyncEachTime(t *testing.T) {
	s, c := openCounted(t)
	for i := range 20 {
		before := c.n.Load()
		if _, err := put(t.Context(), s, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		if n := c.n.Load() - before; n != 1 {
			t.Errorf("write %d: %d syncs", i, n)
		}
	}
}

func TestNoSyncWithoutWrites(t *testing.T) {
	s, c := openCounted(t)
	if _, err := put(t.Context(), s, "a"); err != nil {
		t.Fatal(err)
	}
	before := c.n.Load()
	if _, err := s.Apply(t.Context(), []storage.Cond{storage.Absent("b")}, nil); err != nil {
		t.Error(err)
	}
	if _, err := put(t.Context(), s, "a", storage.Absent("a")); !errors.Is(err, storage.ErrConflict) {
		t.Error(err)
	}
	if n := c.n.Load() - before; n != 0 {
		t.Errorf("%d syncs", n)
	}
}

func TestThoseWhoWaitShareOneSync(t *testing.T) {
	s, c := openCounted(t)
	before := c.n.Load()
	release, wait := blocked(t, s, c)
	const writers = 64
	var wg sync.WaitGroup
	revs := make([]storage.Revision, writers)
	for i := range writers {
		wg.Go(func() {
			var err error
			if revs[i], err = put(context.Background(), s, fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		})
	}
	queued(s, writers)
	close(release)
	wg.Wait()
	if err := wait(); err != nil {
		t.Error(err)
	}
	if n := c.n.Load() - before; n != 2 {
		t.Errorf("%d syncs, want 2", n)
	}
	distinct := map[storage.Revision]bool{}
	for _, rev := range revs {
		distinct[rev] = true
	}
	if len(distinct) != writers {
		t.Errorf("%d revisions for %d commits", len(distinct), writers)
	}
}

func TestCallsOfOneGroupSeeEachOther(t *testing.T) {
	s, c := openCounted(t)
	release, wait := blocked(t, s, c)
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			switch _, err := put(context.Background(), s, "a", storage.Absent("a"), storage.At("first", 1)); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, storage.ErrConflict):
				t.Error(err)
			case !has(t, s, "a"):
				t.Error("a conflict with what is not there")
			}
		})
	}
	queued(s, 10)
	close(release)
	wg.Wait()
	if err := wait(); err != nil || won.Load() != 1 {
		t.Errorf("%d created one key, error %v", won.Load(), err)
	}
}

func TestNothingIsVisibleBeforeItIsDurable(t *testing.T) {
	s, c := openCounted(t)
	release, wait := blocked(t, s, c)
	if has(t, s, "first") {
		t.Error("read before the sync")
	}
	for c, err := range s.Watch(t.Context(), "", 0) {
		if err != nil || len(c.Ops) > 0 {
			t.Errorf("watched before the sync: %v, error %v", c, err)
		}
		break // progress, at revision zero
	}
	close(release)
	if err := wait(); err != nil || !has(t, s, "first") {
		t.Errorf("not there after the sync: error %v", err)
	}
}

func TestACallThatWaitsCanBeWithdrawn(t *testing.T) {
	s, c := openCounted(t)
	release, wait := blocked(t, s, c)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := put(ctx, s, "second")
		done <- err
	}()
	queued(s, 1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || errors.Is(err, storage.ErrUnknownOutcome) {
		t.Errorf("withdrawn: %v", err)
	}
	close(release)
	if err := wait(); err != nil {
		t.Error(err)
	}
	if _, err := put(t.Context(), s, "third"); err != nil || has(t, s, "second") {
		t.Errorf("the withdrawn call was committed, or: %v", err)
	}
}

func TestACallUnderWayWaitsForItsOutcome(t *testing.T) {
	s, c := openCounted(t)
	begun, release := c.hold()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := put(ctx, s, "a")
		done <- err
	}()
	<-begun
	cancel()
	close(release)
	if err := <-done; err != nil || !has(t, s, "a") {
		t.Errorf("apply: %v", err)
	}
}

func TestClosingFinishesTheGroupAndRefusesTheRest(t *testing.T) {
	s, c := openCounted(t)
	release, wait := blocked(t, s, c)
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	<-s.stop
	close(release)
	if err := wait(); err != nil {
		t.Errorf("the commit under way: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	if _, err := put(t.Context(), s, "late"); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("late: %v", err)
	}
}

func TestAFailedSyncBreaksTheStoreForWritersOnly(t *testing.T) {
	s, c := openCounted(t)
	if _, err := put(t.Context(), s, "good"); err != nil {
		t.Fatal(err)
	}
	c.fails.Store(true)
	_, err := put(t.Context(), s, "bad")
	if !errors.Is(err, storage.ErrUnknownOutcome) || !errors.Is(err, errDisk) {
		t.Errorf("first: %v", err)
	}
	c.fails.Store(false) // the disk comes back, but what it lost does not
	_, err = put(t.Context(), s, "worse")
	if !errors.Is(err, ErrBroken) || errors.Is(err, storage.ErrUnknownOutcome) {
		t.Errorf("second: %v", err)
	}
	if !has(t, s, "good") || has(t, s, "bad") {
		t.Error("readers see something else than what is durable")
	}
}

func TestAFailedSyncFailsTheWholeGroup(t *testing.T) {
	s, c := openCounted(t)
	release, wait := blocked(t, s, c)
	errs := make(chan error, 3)
	go func() { _, err := put(context.Background(), s, "a"); errs <- err }()
	go func() { _, err := put(context.Background(), s, "b"); errs <- err }()
	queued(s, 2)
	// A check alone, decided in the same group, has no unknown outcome.
	go func() {
		_, err := s.Apply(context.Background(), []storage.Cond{storage.Absent("c")}, nil)
		errs <- err
	}()
	queued(s, 3)
	// The sync that is held up succeeds; the next one, of the three, fails.
	begun, second := c.hold()
	close(release)
	<-begun
	c.fails.Store(true)
	close(second)
	if err := wait(); err != nil {
		t.Errorf("the group before: %v", err)
	}
	unknown := 0
	for range 3 {
		err := <-errs
		if !errors.Is(err, ErrBroken) {
			t.Errorf("%v", err)
		}
		if errors.Is(err, storage.ErrUnknownOutcome) {
			unknown++
		}
	}
	if unknown != 2 {
		t.Errorf("%d unknown outcomes, want 2", unknown)
	}
}
