// Package cache keeps entries of a store in memory. It is a [storage.Store]
// before another one, of which it changes nothing but the cost of reading: what
// the store below holds encrypted stays encrypted here.
//
// What is remembered is never older than what a snapshot must see. A follower
// applies the commits of the store below in their order, and knows up to which
// revision it has. A snapshot of that revision or an older one may use an entry
// that is not newer than itself: nothing has changed it in between. A snapshot
// that is ahead of the follower asks the store.
package cache

import (
	"bytes"
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/cofferhq/coffer/internal/storage"
)

var (
	_ storage.Store    = (*Store)(nil)
	_ storage.Snapshot = (*snapshot)(nil)
)

// DefaultBytes is how much is kept if nothing else is asked for.
const DefaultBytes = 16 << 20

// overhead is what an entry costs beside its key and value, in bytes.
const overhead = 160

// Store is a store with entries in memory. It owns one goroutine, the follower,
// which New starts and Close joins.
type Store struct {
	inner   storage.Store
	entries *otter.Cache[string, storage.Entry] // key → its newest entry up to seen

	seen atomic.Uint64 // revision up to which every commit is in entries

	folders folders // changed with filling held, as entries are; it has a lock of its own

	// filling is held by readers while they add an entry, and by the follower
	// while it applies a commit: what is added is as new as what was applied.
	filling sync.RWMutex

	cancel context.CancelFunc
	done   chan struct{} // closed when the follower has returned
}

// New returns a Store before inner, which it owns, that keeps at most maxBytes
// bytes of entries. Zero is [DefaultBytes].
func New(inner storage.Store, maxBytes int64) *Store {
	if maxBytes == 0 {
		maxBytes = DefaultBytes
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Store{inner: inner, cancel: cancel, done: make(chan struct{})}
	s.entries = otter.Must(&otter.Options[string, storage.Entry]{
		MaximumWeight: uint64(maxBytes),
		Weigher:       func(key string, e storage.Entry) uint32 { return uint32(2*len(key) + len(e.Value) + overhead) },
		// Evictions are the work of whoever adds: no goroutines that outlive Close.
		Executor: func(fn func()) { fn() },
	})
	go s.follow(ctx)
	return s
}

// follow applies what is committed until ctx ends. When commits have been
// missed it forgets everything and begins again.
func (s *Store) follow(ctx context.Context) {
	defer close(s.done)
	const pause = 100 * time.Millisecond
	for ctx.Err() == nil {
		if s.restart(ctx) == nil {
			for c, err := range s.inner.Watch(ctx, "", storage.Revision(s.seen.Load())) {
				if err != nil {
					break
				}
				s.apply(c)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// restart forgets all entries, and takes the newest revision as seen.
func (s *Store) restart(ctx context.Context) error {
	snap, err := s.inner.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer snap.Close()
	s.filling.Lock()
	defer s.filling.Unlock()
	s.entries.InvalidateAll()
	s.folders.forget()
	s.seen.Store(uint64(snap.Revision()))
	return nil
}

func (s *Store) apply(c storage.Commit) {
	s.filling.Lock()
	defer s.filling.Unlock()
	for _, op := range c.Ops {
		_, known := s.entries.GetEntryQuietly(op.Key)
		switch {
		case op.Gone:
			s.entries.Invalidate(op.Key)
			s.folders.changed(op.Key, c.Revision)
		case known:
			s.entries.Set(op.Key, storage.Entry{Key: op.Key, Value: op.Value, Revision: c.Revision})
		default: // it may be new
			s.folders.changed(op.Key, c.Revision)
		}
	}
	s.seen.Store(uint64(c.Revision))
}

// fill remembers an entry that was read at rev, unless something newer may have
// been applied by now.
func (s *Store) fill(e storage.Entry, rev storage.Revision) {
	s.filling.RLock()
	defer s.filling.RUnlock()
	if storage.Revision(s.seen.Load()) <= rev {
		s.entries.Set(e.Key, e)
	}
}

// Snapshot implements [storage.Store].
func (s *Store) Snapshot(ctx context.Context) (storage.Snapshot, error) {
	inner, err := s.inner.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return &snapshot{Snapshot: inner, store: s}, nil
}

// Apply implements [storage.Store].
func (s *Store) Apply(ctx context.Context, conds []storage.Cond, ops []storage.Op) (storage.Revision, error) {
	return s.inner.Apply(ctx, conds, ops)
}

// Watch implements [storage.Store].
func (s *Store) Watch(ctx context.Context, prefix string, rev storage.Revision) iter.Seq2[storage.Commit, error] {
	return s.inner.Watch(ctx, prefix, rev)
}

// Close implements [storage.Store]. It closes the store below, too.
func (s *Store) Close() error {
	s.cancel()
	<-s.done
	s.entries.InvalidateAll()
	return s.inner.Close()
}

// snapshot is one of the store below, whose other methods are as they are.
type snapshot struct {
	storage.Snapshot
	store  *Store
	closed atomic.Bool
}

// Get implements [storage.Snapshot].
func (s *snapshot) Get(ctx context.Context, key string) (storage.Entry, error) {
	e, err := s.entry(ctx, key)
	e.Value = bytes.Clone(e.Value) // the entry is shared
	return e, err
}

// Stat implements [storage.Snapshot].
func (s *snapshot) Stat(ctx context.Context, key string) (storage.Revision, error) {
	e, err := s.entry(ctx, key)
	return e.Revision, err
}

// entry returns an entry that others have, too.
func (s *snapshot) entry(ctx context.Context, key string) (storage.Entry, error) {
	rev := s.Revision()
	// In this order: an entry that is there once seen has reached rev is not older
	// than rev's.
	if storage.Revision(s.store.seen.Load()) >= rev && !s.closed.Load() && ctx.Err() == nil {
		if e, ok := s.store.entries.GetIfPresent(key); ok && e.Revision <= rev {
			return e, nil
		}
	}
	e, err := s.Snapshot.Get(ctx, key)
	if err == nil {
		s.store.fill(e, rev)
	}
	return e, err
}

// ChangedBelow implements [storage.Snapshot].
func (s *snapshot) ChangedBelow(ctx context.Context, prefix string) (storage.Revision, error) {
	rev, err := s.Snapshot.ChangedBelow(ctx, prefix)
	if err != nil {
		return 0, err
	}
	s.store.filling.RLock()
	defer s.store.filling.RUnlock()
	seen := storage.Revision(s.store.seen.Load())
	last, known := s.store.folders.last(prefix)
	switch {
	case known && seen >= rev && last <= rev:
		return last, nil
	case !known && seen <= rev:
		s.store.folders.follow(prefix, rev) // from here on we know
	}
	return rev, nil
}

// Close implements [storage.Snapshot].
func (s *snapshot) Close() error {
	s.closed.Store(true)
	return s.Snapshot.Close()
}
