package pebble

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// Snapshot implements [storage.Store].
func (s *Store) Snapshot(ctx context.Context) (storage.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v := s.view()
	if v == nil {
		return nil, storage.ErrClosed
	}
	return &snapshot{store: s, view: v}, nil
}

type snapshot struct {
	store  *Store
	view   *view
	closed atomic.Bool
}

func (s *snapshot) Revision() storage.Revision { return s.view.rev }

func (s *snapshot) Get(ctx context.Context, key string) (storage.Entry, error) {
	if err := s.enter(ctx); err != nil {
		return storage.Entry{}, err
	}
	defer s.leave()
	stored, closer, err := s.view.snap.Get(appendKey(make([]byte, 0, 1+len(key)), key))
	if errors.Is(err, pebble.ErrNotFound) {
		return storage.Entry{}, storage.ErrNotFound
	}
	if err != nil {
		return storage.Entry{}, readError(err)
	}
	defer closer.Close()
	return entry(key, stored)
}

// Stat implements [storage.Snapshot]. The value lies beside its revision, so it
// saves only the copy.
func (s *snapshot) Stat(ctx context.Context, key string) (storage.Revision, error) {
	e, err := s.Get(ctx, key)
	return e.Revision, err
}

// ChangedBelow implements [storage.Snapshot].
func (s *snapshot) ChangedBelow(ctx context.Context, _ string) (storage.Revision, error) {
	return s.view.rev, s.usable(ctx)
}

// entry makes an entry that shares nothing with stored.
func entry(key string, stored []byte) (storage.Entry, error) {
	rev, value, err := cutRevision(stored)
	if err != nil {
		return storage.Entry{}, err
	}
	return storage.Entry{Key: key, Value: append([]byte{}, value...), Revision: rev}, nil
}

func (s *snapshot) Range(ctx context.Context, prefix, after string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		if err := s.scan(ctx, prefix, after, yield); err != nil {
			yield(storage.Entry{}, err)
		}
	}
}

// scan yields entries until there are no more, or yield wants none, or an error,
// which it returns and has not yielded.
func (s *snapshot) scan(ctx context.Context, prefix, after string, yield func(storage.Entry, error) bool) (err error) {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	lower, upper := bounds(prefix, after)
	it, err := s.view.snap.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return readError(err)
	}
	stopped := false
	defer func() {
		if cerr := it.Close(); cerr != nil && err == nil && !stopped {
			err = readError(cerr)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		if err := s.usable(ctx); err != nil {
			return err
		}
		e, err := entry(string(it.Key()[1:]), it.Value())
		if err != nil {
			return err
		}
		if stopped = !yield(e, nil); stopped {
			return nil
		}
	}
	return nil
}

func (s *snapshot) usable(ctx context.Context) error {
	if s.closed.Load() || s.store.reads.closing() {
		return storage.ErrClosed
	}
	return ctx.Err()
}

// enter begins a read; if it returns no error, leave must follow. The reference
// keeps a Close of the snapshot, or of the store, from pulling the ground away.
func (s *snapshot) enter(ctx context.Context) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if !s.store.reads.enter() {
		return storage.ErrClosed
	}
	if !s.view.acquire() {
		s.store.reads.leave()
		return storage.ErrClosed
	}
	return nil
}

func (s *snapshot) leave() {
	s.view.release()
	s.store.reads.leave()
}

func (s *snapshot) Close() error {
	if !s.closed.Swap(true) {
		s.view.release()
	}
	return nil
}

// ErrDamaged says that what was asked for lies where a file is damaged.
var ErrDamaged error = &logical.Error{
	Kind: errors.New("storage damaged"),
	Text: "the storage is damaged in this place; others can be read",
	Hint: "the server's log names the file: mend the disk, then put back a copy of the whole folder, or restore a snapshot",
}

func readError(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return fmt.Errorf("storage: read: %w", err)
}
