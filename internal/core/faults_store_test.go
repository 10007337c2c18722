package core_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/storage"
)

// A breakage is one way in which a store fails at a call.
type breakage struct {
	name  string
	reads bool // reading fails (Snapshot, Get, each entry of a Range), else Apply
	err   error
	after bool // the commit happens, and the caller is not told
	stays bool // later calls of the sort fail too, until the breakage is lifted
	dead  bool // later calls of any sort fail, as if the process had ended
}

var errBroken = errors.New("the store is broken on demand")

// breakages are the ways that the tests know.
var breakages = []breakage{
	{name: "a conflict", err: storage.ErrConflict},
	{name: "nothing but conflicts", err: storage.ErrConflict, stays: true},
	{name: "an unknown outcome, of what did not happen", err: storage.ErrUnknownOutcome},
	{name: "an unknown outcome, of what happened", err: storage.ErrUnknownOutcome, after: true},
	{name: "a commit that fails", err: errBroken},
	{name: "commits that fail from then on", err: errBroken, stays: true},
	{name: "a read that fails", err: errBroken, reads: true},
	{name: "reads that fail from then on", err: errBroken, reads: true, stays: true},
	{name: "the end of the process before a commit", err: errBroken, dead: true},
	{name: "the end of the process after a commit", err: errBroken, dead: true, after: true},
	{name: "the end of the process at a read", err: errBroken, reads: true, dead: true},
}

// breakable is a store that breaks at the n-th call that an operation under test
// makes. Calls of what goes on in the background do not count, so that n means
// the same call each time, but are hit by what stays. Where the operation goes on in
// the background, calls that touch one table count instead.
type breakable struct {
	storage.Store

	mu    sync.Mutex // guards the fields below
	table string     // if set, where keys begin that count, whoever asks for them
	how   breakage
	n     int // calls of the sort until it breaks; zero: it does not
	calls int
}

var _ storage.Store = (*breakable)(nil)

// Sorts of calls.
const (
	writing = false
	reading = true
)

type underTest struct{}

// marked returns a context whose calls count.
func marked(ctx context.Context) context.Context { return context.WithValue(ctx, underTest{}, true) }

// countTable makes calls count that touch a table of the barrier's.
func (b *breakable) countTable(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.table = ""; name != "" {
		b.table = barrier.Below(storage.Plain(name))
	}
}

// breakAt makes the n-th call from here on fail.
func (b *breakable) breakAt(n int, how breakage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.how, b.n, b.calls = how, n, 0
}

// lift ends the breakage and says whether it has come to it.
func (b *breakable) lift() (tripped bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	tripped = b.n > 0 && b.calls >= b.n
	b.n = 0
	return tripped
}

// call returns the error of this call, which reads or not, or nil if the call is
// to go on; begins says that the breakage begins with it. keys are what it touches.
func (b *breakable) call(ctx context.Context, reads bool, keys ...string) (begins bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.n == 0:
		return false, nil
	case b.calls >= b.n && (b.how.dead || b.how.stays && reads == b.how.reads):
		return false, b.how.err
	case reads != b.how.reads || !b.countsLocked(ctx, keys):
		return false, nil
	}
	if b.calls++; b.calls != b.n {
		return false, nil
	}
	return true, b.how.err
}

func (b *breakable) countsLocked(ctx context.Context, keys []string) bool {
	if b.table == "" {
		return ctx.Value(underTest{}) != nil
	}
	return slices.ContainsFunc(keys, func(key string) bool { return strings.HasPrefix(key, b.table) })
}

// over says whether the process has ended: nothing happens any more.
func (b *breakable) over() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n > 0 && b.how.dead && b.calls >= b.n
}

func (b *breakable) Apply(ctx context.Context, conds []storage.Cond, ops []storage.Op) (storage.Revision, error) {
	keys := make([]string, len(ops))
	for i, op := range ops {
		keys[i] = op.Key
	}
	begins, broken := b.call(ctx, writing, keys...)
	if broken != nil && (!begins || !b.how.after) {
		return 0, broken
	}
	rev, err := b.Store.Apply(ctx, conds, ops)
	if err != nil || broken == nil { // a conflict would be one without the breakage too
		return rev, err
	}
	return 0, broken
}

func (b *breakable) Snapshot(ctx context.Context) (storage.Snapshot, error) {
	if _, err := b.call(ctx, reading); err != nil {
		return nil, err
	}
	s, err := b.Store.Snapshot(ctx)
	return &breakableSnapshot{s, b}, err
}

func (b *breakable) Watch(ctx context.Context, prefix string, rev storage.Revision) iter.Seq2[storage.Commit, error] {
	return func(yield func(storage.Commit, error) bool) {
		for commit, err := range b.Store.Watch(ctx, prefix, rev) {
			if b.over() {
				commit, err = storage.Commit{}, errBroken
			}
			if !yield(commit, err) {
				return
			}
		}
	}
}

type breakableSnapshot struct {
	storage.Snapshot
	store *breakable
}

func (s *breakableSnapshot) Get(ctx context.Context, key string) (storage.Entry, error) {
	if _, err := s.store.call(ctx, reading, key); err != nil {
		return storage.Entry{}, err
	}
	return s.Snapshot.Get(ctx, key)
}

func (s *breakableSnapshot) Range(ctx context.Context, prefix, after string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		for e, err := range s.Snapshot.Range(ctx, prefix, after) {
			if _, broken := s.store.call(ctx, reading, e.Key); broken != nil {
				yield(storage.Entry{}, broken)
				return
			}
			if !yield(e, err) {
				return
			}
		}
	}
}
