package pebble_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/pebble"
)

// big makes a few commits fill a memtable, so that logs are rotated and tables
// written.
var big = bytes.Repeat([]byte("v"), 60<<10)

// fill commits entries one after another until one fails. It returns how many
// were acknowledged.
func fill(t *testing.T, s *pebble.Store, n int) (acked int, err error) {
	t.Helper()
	for i := range n {
		if _, err := s.Apply(t.Context(), nil, []storage.Op{storage.Put(fmt.Sprintf("%03d", i), big)}); err != nil {
			return i, err
		}
	}
	return n, nil
}

// length counts entries and fails unless they are what fill wrote, in order.
func length(t *testing.T, s *pebble.Store) (n int) {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	for e, err := range snap.Range(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if e.Key != fmt.Sprintf("%03d", n-1) || !bytes.Equal(e.Value, big) || e.Revision != storage.Revision(n) {
			t.Fatalf("entry %d is %q at %d", n, e.Key, e.Revision)
		}
	}
	if int(snap.Revision()) != n {
		t.Errorf("%d entries at revision %d", n, snap.Revision())
	}
	return n
}

// Whatever operation on the disk fails: nobody panics or hangs, what was
// acknowledged can be read on, and is there after a power cut.
func TestAnyFailedWriteLosesNothingAcknowledged(t *testing.T) {
	for _, forever := range []bool{false, true} {
		t.Run(fmt.Sprintf("for ever %v", forever), func(t *testing.T) {
			t.Parallel()
			for n := int64(1); failAt(t, n, forever); n++ {
			}
		})
	}
}

// failAt fails the n-th write of a store's life, and all later ones if forever.
// It reports whether it came to that.
func failAt(t *testing.T, n int64, forever bool) (failed bool) {
	t.Helper()
	const entries = 6
	disk := vfs.NewCrashableMem()
	var count atomic.Int64
	inject := func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		if c := count.Add(1); c == n || forever && c > n {
			return fmt.Errorf("injected at write %d: %s", n, op.Path)
		}
		return nil
	}
	acked := 0
	s, err := pebble.Open("data", pebble.Options{FS: errorfs.Wrap(disk, errorfs.InjectorFunc(inject))})
	if err == nil {
		acked, err = fill(t, s, entries)
		if (err == nil) != (acked == entries) || err != nil && !errors.Is(err, pebble.ErrBroken) {
			t.Errorf("write %d: %d entries, then %v", n, acked, err)
		}
		if got := length(t, s); got != acked {
			t.Errorf("write %d: %d entries acknowledged, %d readable", n, acked, got)
		}
	}
	cut := disk.CrashClone(vfs.CrashCloneCfg{})
	if s != nil {
		s.Close() // its error, if any, is what was injected
	}
	for _, disk := range []*vfs.MemFS{cut, disk} {
		s := open(t, "data", pebble.Options{FS: disk})
		if got := length(t, s); got < acked || got > acked+1 {
			t.Errorf("write %d: %d entries acknowledged, %d after a restart", n, acked, got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	return count.Load() >= n
}

// A full disk must not keep a start waiting for ever.
func TestOpenGivesUpWhenItCannotWriteTables(t *testing.T) {
	disk := vfs.NewCrashableMem()
	s := open(t, "data", pebble.Options{FS: disk})
	acked, err := fill(t, s, 3)
	if err != nil {
		t.Fatal(err)
	}
	killed := disk.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	full := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.HasSuffix(op.Path, ".sst") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return syscall.ENOSPC
		}
		return nil
	})
	before := killed.CrashClone(vfs.CrashCloneCfg{})
	if _, err := pebble.Open("data", pebble.Options{FS: errorfs.Wrap(killed, full)}); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("open: %v", err)
	}
	for _, disk := range []*vfs.MemFS{before, killed.CrashClone(vfs.CrashCloneCfg{})} {
		s := open(t, "data", pebble.Options{FS: disk})
		if n := length(t, s); n != acked {
			t.Errorf("%d entries acknowledged, %d there", acked, n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Commits are in the log; that they can't be moved to tables for a while is no
// reason to end anything.
func TestTablesAreWrittenWhenTheDiskHasRoomAgain(t *testing.T) {
	toggle := &errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.HasSuffix(op.Path, ".sst") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return syscall.ENOSPC
		}
		return nil
	})}
	var out syncBuffer
	s := open(t, "data", pebble.Options{
		FS: errorfs.Wrap(vfs.NewMem(), toggle), Logger: slog.New(slog.NewTextHandler(&out, nil)),
	})
	defer s.Close()
	toggle.On()
	if _, err := fill(t, s, 200); err != nil { // more than a memtable takes, less than all of them
		t.Fatal(err)
	}
	toggle.Off()
	const more = 600 // no place but tables takes so many
	if _, err := fill(t, s, more); err != nil {
		t.Fatal(err)
	}
	if n := countKeys(t, s, ""); n != more {
		t.Errorf("%d entries, want %d", n, more)
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "is the disk full?") {
		t.Errorf("the log says:\n%s", got)
	}
}

func TestWhatIsAcknowledgedSurvivesAPowerCut(t *testing.T) {
	disk := vfs.NewCrashableMem()
	s := open(t, "data", pebble.Options{FS: disk})
	defer s.Close()
	const writers, each = 8, 40
	var acked [writers]atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				op := storage.Put(fmt.Sprintf("%d/%03d", w, i), big[:rand.IntN(4<<10)])
				if _, err := s.Apply(t.Context(), nil, []storage.Op{op}); err != nil {
					t.Error(err)
				}
				acked[w].Add(1)
			}
		})
	}
	for acked[0].Load() < each/2 {
		var promised [writers]int64
		for w := range writers {
			promised[w] = acked[w].Load()
		}
		after := open(t, "data", pebble.Options{FS: disk.CrashClone(vfs.CrashCloneCfg{})})
		for w := range writers {
			if n := countKeys(t, after, fmt.Sprintf("%d/", w)); n < promised[w] {
				t.Errorf("writer %d: %d commits acknowledged, %d there", w, promised[w], n)
			}
		}
		after.Close()
	}
	wg.Wait()
}

func countKeys(t *testing.T, s storage.Store, prefix string) (n int64) {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	for _, err := range snap.Range(t.Context(), prefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestAFailureIsLoggedOnceAndGoesNowhereElse(t *testing.T) {
	var out syncBuffer
	fails := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.Contains(op.Path, "MANIFEST") && op.Kind == errorfs.OpFileSync {
			return errors.New("no more ink")
		}
		return nil
	})
	toggle := &errorfs.Toggle{Injector: fails}
	s := open(t, "data", pebble.Options{
		FS:     errorfs.Wrap(vfs.NewMem(), toggle),
		Logger: slog.New(slog.NewTextHandler(&out, nil)),
	})
	toggle.On()
	if _, err := fill(t, s, 200); !errors.Is(err, pebble.ErrBroken) {
		t.Fatalf("fill: %v", err)
	}
	s.Close()
	if got := out.String(); strings.Count(got, "\n") > 2 || !strings.Contains(got, "no more ink") {
		t.Errorf("the log says:\n%s", got)
	}
}

// syncBuffer is a buffer for several goroutines.
type syncBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
