// Package storage is the contract between coffer and the place where its bytes
// are kept: a small, ordered, transactional map. It holds the contract, the
// form of keys ([Name], [Order], [Plain]) and transactions on top of any store
// ([Update]); drivers live in packages below it, one each, and are held to the
// contract by storage/storetest.
//
// Start reading at [Store].
package storage

import (
	"context"
	"errors"
	"iter"
)

// Errors that every driver returns, wrapped or not.
var (
	// ErrNotFound says that no entry has the key.
	ErrNotFound = errors.New("storage: no such entry")
	// ErrConflict says that a condition did not hold at commit.
	ErrConflict = errors.New("storage: conflict")
	// ErrCompacted says that the store no longer remembers the revision.
	ErrCompacted = errors.New("storage: revision no longer remembered")
	// ErrTooLarge says that a commit is over a limit; nothing was done.
	ErrTooLarge = errors.New("storage: commit too large")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("storage: closed")
	// ErrUnknownOutcome says that a commit may or may not be durable.
	ErrUnknownOutcome = errors.New("storage: outcome of the commit is unknown")
)

// Limits of one commit. They are the defaults of etcd, so that what works on
// one driver works on all.
const (
	MaxOps         = 128            // operations, and conditions, each
	MaxCommitBytes = 3 << 19        // 1.5 MiB, keys and values together
	MaxKeyBytes    = 16 << 10       // one key
	MaxValueBytes  = MaxCommitBytes // one value
)

// Revision numbers the commits of a store: each commit's is larger than the one
// before. Zero is before the first commit.
type Revision uint64

// Entry is one key and its value. The receiver owns Value.
type Entry struct {
	Key      string
	Value    []byte
	Revision Revision // of the commit that last wrote the entry
}

// Cond is what must hold for a commit to happen. Make one with [Absent] or [At].
type Cond struct {
	Key      string
	Revision Revision // zero: the key has no entry
}

// Absent holds if key has no entry.
func Absent(key string) Cond { return Cond{Key: key} }

// At holds if the entry at key was last written at rev.
func At(key string, rev Revision) Cond { return Cond{Key: key, Revision: rev} }

// Op is one change of a commit. Make one with [Put] or [Delete].
type Op struct {
	Key   string
	Value []byte // nil if Gone
	Gone  bool   // the entry is removed
}

// Put sets the value at key.
func Put(key string, value []byte) Op { return Op{Key: key, Value: value} }

// Delete removes the entry at key, if there is one.
func Delete(key string) Op { return Op{Key: key, Gone: true} }

// Commit is what one call of Apply changed, below the prefix that is watched.
// A Commit without Ops is progress: nothing below the prefix changed up to and
// including Revision.
type Commit struct {
	Revision Revision
	Ops      []Op
}

// Store is a durable, ordered map from key to value. Implementations are safe
// for concurrent use and never retain or alias a caller's slice.
type Store interface {
	// Snapshot returns a consistent view at the newest revision. Close it.
	Snapshot(ctx context.Context) (Snapshot, error)

	// Apply makes all of ops durable if all of conds hold at commit, or does
	// nothing and returns ErrConflict. It returns the new revision. Each key
	// stands in at most one op. It returns ErrTooLarge beyond the limits of
	// this package, and ErrUnknownOutcome if ctx ended, or the disk failed,
	// when the commit was already under way. A call without ops only checks
	// conds and returns the newest revision.
	Apply(ctx context.Context, conds []Cond, ops []Op) (Revision, error)

	// Watch delivers every commit after rev that touches keys beginning with
	// prefix, whole, once and in order, and progress (a commit without ops) at
	// least once a second, until ctx ends. It yields ErrCompacted if rev is
	// older than what the store remembers.
	Watch(ctx context.Context, prefix string, rev Revision) iter.Seq2[Commit, error]

	// Close releases resources. No method may be called after it.
	Close() error
}

// Snapshot reads the store as it was at one revision. It is safe for concurrent
// use.
type Snapshot interface {
	Revision() Revision
	// Get returns the entry at key, or ErrNotFound.
	Get(ctx context.Context, key string) (Entry, error)
	// Stat returns the revision of the entry at key, or ErrNotFound. Where a
	// value takes work to get at, it is cheaper than Get: who remembers what an
	// entry of that revision means need not read it again.
	Stat(ctx context.Context, key string) (Revision, error)
	// ChangedBelow returns a revision that is not older than the last commit, up
	// to the snapshot's, that added or removed a key beginning with prefix: two
	// snapshots for which it is the same have the same keys there. The snapshot's
	// own revision always is such a one; a store that knows better says so.
	ChangedBelow(ctx context.Context, prefix string) (Revision, error)
	// Range yields, in byte order, the entries whose keys begin with prefix and
	// sort after the key after. An empty after begins at prefix itself.
	Range(ctx context.Context, prefix, after string) iter.Seq2[Entry, error]
	Close() error
}
