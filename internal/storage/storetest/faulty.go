package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/cofferhq/coffer/internal/storage"
)

// ErrFault is what [Faulty] fails with.
var ErrFault = errors.New("storetest: fault on demand")

// Faulty is a store that fails at one call of Apply, for tests of what others
// make of that:
//
//	for n := 1; ; n++ {
//		s := &storetest.Faulty{Store: inmem.New(), N: n, Dead: true}
//		work(s)     // as far as it gets
//		if !s.Tripped() {
//			break   // work needs fewer calls than n
//		}
//		check(work(s.Store)) // a new start finishes it
//	}
type Faulty struct {
	storage.Store

	N int // the call of Apply that fails, from 1

	// After: the commit happens and the caller is not told, else it does not
	// happen. Both give an error that wraps [storage.ErrUnknownOutcome], since a
	// caller cannot tell one from the other, and [ErrFault].
	After bool

	// Dead: all later calls of Apply, Snapshot and Watch fail too, as if the
	// process had ended.
	Dead bool

	calls atomic.Int64
}

var _ storage.Store = (*Faulty)(nil)

// Tripped reports whether the call that fails has happened.
func (f *Faulty) Tripped() bool { return f.calls.Load() >= int64(f.N) }

// Apply implements [storage.Store], except for the N-th call.
func (f *Faulty) Apply(ctx context.Context, conds []storage.Cond, ops []storage.Op) (storage.Revision, error) {
	switch n := f.calls.Add(1); {
	case n < int64(f.N), n > int64(f.N) && !f.Dead:
		return f.Store.Apply(ctx, conds, ops)
	case n > int64(f.N):
		return 0, ErrFault
	}
	if f.After {
		// A conflict would be one without the fault too.
		if _, err := f.Store.Apply(ctx, conds, ops); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("%w: %w", storage.ErrUnknownOutcome, ErrFault)
}

// Snapshot implements [storage.Store].
func (f *Faulty) Snapshot(ctx context.Context) (storage.Snapshot, error) {
	if f.Dead && f.Tripped() {
		return nil, ErrFault
	}
	return f.Store.Snapshot(ctx)
}

// Watch implements [storage.Store]. A watch that is under way goes on.
func (f *Faulty) Watch(ctx context.Context, prefix string, rev storage.Revision) iter.Seq2[storage.Commit, error] {
	if f.Dead && f.Tripped() {
		return func(yield func(storage.Commit, error) bool) { yield(storage.Commit{}, ErrFault) }
	}
	return f.Store.Watch(ctx, prefix, rev)
}
