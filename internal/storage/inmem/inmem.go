// Package inmem is a store in memory, for tests and for trying coffer out. What
// it holds ends with the process.
package inmem

import (
	"bytes"
	"context"
	"iter"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"

	"github.com/cofferhq/coffer/internal/storage"
)

var (
	_ storage.Store    = (*Store)(nil)
	_ storage.Snapshot = (*snapshot)(nil)
)

// Store is a [storage.Store] in memory. Every commit makes a new tree that
// shares what has not changed with the one before, so that a snapshot is a
// pointer and readers meet no lock.
type Store struct {
	log    *storage.Log
	closed atomic.Bool
	newest atomic.Pointer[version] // stored with mu held

	mu sync.Mutex // held by the one who makes a new version
}

// version is the store as one commit left it. It is immutable.
type version struct {
	rev  storage.Revision
	tree *btree.Map[string, item]
}

type item struct {
	value []byte // immutable
	rev   storage.Revision
}

// New returns an empty store, at revision zero.
func New() *Store {
	s := &Store{log: storage.NewLog(0, 0, 0)}
	s.newest.Store(&version{tree: new(btree.Map[string, item])})
	return s
}

// Apply implements [storage.Store]. It never has an unknown outcome.
func (s *Store) Apply(ctx context.Context, conds []storage.Cond, ops []storage.Op) (storage.Revision, error) {
	if err := storage.Check(conds, ops); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return 0, storage.ErrClosed
	}
	v := s.newest.Load()
	if !v.hold(conds) {
		return 0, storage.ErrConflict
	}
	if len(ops) == 0 {
		return v.rev, nil
	}
	next, commit := v.with(ops)
	s.newest.Store(next) // before the log: a watcher finds what it was told of
	s.log.Add(commit)
	return next.rev, nil
}

// hold reports whether all of conds do.
func (v *version) hold(conds []storage.Cond) bool {
	for _, c := range conds {
		// No entry is of revision zero, which a condition has for absence.
		if it, _ := v.tree.Get(c.Key); it.rev != c.Revision {
			return false
		}
	}
	return true
}

// with returns the version after v, and the commit between them.
func (v *version) with(ops []storage.Op) (*version, storage.Commit) {
	next := &version{rev: v.rev + 1, tree: v.tree.Copy()}
	commit := storage.Commit{Revision: next.rev, Ops: make([]storage.Op, len(ops))}
	for i, op := range ops {
		if op.Gone {
			next.tree.Delete(op.Key)
			commit.Ops[i] = storage.Delete(op.Key)
			continue
		}
		value := clone(op.Value)
		next.tree.Set(op.Key, item{value: value, rev: next.rev})
		commit.Ops[i] = storage.Put(op.Key, value)
	}
	return next, commit
}

// clone returns a copy that is not nil, so that all drivers read an empty value
// alike.
func clone(value []byte) []byte { return append([]byte{}, value...) }

// Watch implements [storage.Store].
func (s *Store) Watch(ctx context.Context, prefix string, rev storage.Revision) iter.Seq2[storage.Commit, error] {
	return s.log.Watch(ctx, prefix, rev)
}

// Close implements [storage.Store]. It frees the entries; every later call of
// the store or of its snapshots returns [storage.ErrClosed].
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Swap(true) {
		return storage.ErrClosed
	}
	s.newest.Store(&version{tree: new(btree.Map[string, item])})
	s.log.Close()
	return nil
}

// Snapshot implements [storage.Store].
func (s *Store) Snapshot(ctx context.Context) (storage.Snapshot, error) {
	v := s.newest.Load()
	if s.closed.Load() { // after the load: Close sets the flag before it empties
		return nil, storage.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return &snapshot{store: s, version: v}, nil
}

type snapshot struct {
	store  *Store
	closed atomic.Bool
	*version
}

func (s *snapshot) Revision() storage.Revision { return s.rev }

func (s *snapshot) Get(ctx context.Context, key string) (storage.Entry, error) {
	if err := s.usable(ctx); err != nil {
		return storage.Entry{}, err
	}
	it, ok := s.tree.Get(key)
	if !ok {
		return storage.Entry{}, storage.ErrNotFound
	}
	return it.entry(key), nil
}

func (s *snapshot) Stat(ctx context.Context, key string) (storage.Revision, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	it, ok := s.tree.Get(key)
	if !ok {
		return 0, storage.ErrNotFound
	}
	return it.rev, nil
}

func (s *snapshot) ChangedBelow(ctx context.Context, _ string) (storage.Revision, error) {
	return s.rev, s.usable(ctx)
}

func (s *snapshot) Range(ctx context.Context, prefix, after string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		it := s.tree.Iter()
		for ok := it.Seek(max(prefix, after)); ; ok = it.Next() {
			if err := s.usable(ctx); err != nil {
				yield(storage.Entry{}, err)
				return
			}
			if !ok || !strings.HasPrefix(it.Key(), prefix) {
				return
			}
			if it.Key() == after {
				continue
			}
			if !yield(it.Value().entry(it.Key()), nil) {
				return
			}
		}
	}
}

func (it item) entry(key string) storage.Entry {
	return storage.Entry{Key: key, Value: bytes.Clone(it.value), Revision: it.rev}
}

func (s *snapshot) usable(ctx context.Context) error {
	if s.closed.Load() || s.store.closed.Load() {
		return storage.ErrClosed
	}
	return ctx.Err()
}

// Close implements [storage.Snapshot]. The version goes when nobody refers to
// it any more.
func (s *snapshot) Close() error { s.closed.Store(true); return nil }
