package storage

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Tx is a transaction: it reads from one snapshot, buffers what is written, and
// commits with the conditions that its reads imply. It is not safe for
// concurrent use. Transactions are made by [Update] and [View].
type Tx struct {
	store Store
	snap  Snapshot // nil until the first read

	reads  map[string]Revision // key → revision that was read, zero: absent
	writes map[string]Op
	bytes  int // of writes

	conflict bool // one key was expected at two revisions, which cannot both hold
	beaten   bool // the commit met a conflict
}

// maxAttempts bounds how often Update tries again after a conflict. With the
// pauses between, that is some seconds of steady defeat.
const maxAttempts = 64

// Update runs fn in a transaction and commits what it wrote. On a conflict fn
// runs again on a new snapshot, so it must have no effect but through tx. It
// returns the revision of the commit; of the snapshot if nothing was written;
// zero if nothing was read either; or the error of fn, which commits nothing and
// is final: a conflict in it is of another commit, which was tried often enough.
func Update(ctx context.Context, s Store, fn func(tx *Tx) error) (Revision, error) {
	for attempt := 0; ; attempt++ {
		tx := &Tx{store: s}
		rev, err := tx.run(ctx, fn)
		if !tx.beaten || attempt == maxAttempts {
			return rev, err
		}
		if attempt > 0 {
			pause := time.Duration(rand.Int64N(int64(min(attempt, 20)) * int64(2*time.Millisecond)))
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
	}
}

// View runs fn on one snapshot. What fn writes is an error.
func View(ctx context.Context, s Store, fn func(tx *Tx) error) error {
	tx := &Tx{store: s}
	defer tx.close()
	if err := fn(tx); err != nil {
		return err
	}
	if len(tx.writes) > 0 {
		return errors.New("storage: internal error: write in a view")
	}
	return nil
}

func (tx *Tx) run(ctx context.Context, fn func(tx *Tx) error) (Revision, error) {
	defer tx.close()
	if err := fn(tx); err != nil {
		return 0, err
	}
	if len(tx.writes) == 0 {
		if tx.snap == nil {
			return 0, nil
		}
		return tx.snap.Revision(), nil
	}
	if tx.conflict {
		tx.beaten = true
		return 0, ErrConflict
	}
	conds := make([]Cond, 0, len(tx.reads))
	for key, rev := range tx.reads {
		conds = append(conds, Cond{Key: key, Revision: rev})
	}
	// In order of key, so that the same transaction always is the same commit.
	ops := slices.SortedFunc(maps.Values(tx.writes), func(a, b Op) int { return strings.Compare(a.Key, b.Key) })
	rev, err := tx.store.Apply(ctx, conds, ops)
	tx.beaten = errors.Is(err, ErrConflict)
	return rev, err
}

func (tx *Tx) close() {
	if tx.snap != nil {
		tx.snap.Close()
	}
}

func (tx *Tx) snapshot(ctx context.Context) (Snapshot, error) {
	if tx.snap == nil {
		snap, err := tx.store.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		tx.snap = snap
	}
	return tx.snap, nil
}

// Changed says whether the transaction has written anything.
func (tx *Tx) Changed() bool { return len(tx.writes) > 0 }

// Room says how many more operations fit into the commit. Work on many entries
// stops when little is left and goes on in another transaction. Room is never
// below zero, and zero once half of a commit's bytes are used.
func (tx *Tx) Room() int {
	if tx.bytes > MaxCommitBytes/2 {
		return 0
	}
	return max(0, MaxOps-max(len(tx.writes), len(tx.reads)))
}

// Get returns the entry at key, or ErrNotFound. It sees what the transaction
// wrote; such an entry has revision zero.
func (tx *Tx) Get(ctx context.Context, key string) (Entry, error) {
	if op, ok := tx.writes[key]; ok {
		if op.Gone {
			return Entry{}, ErrNotFound
		}
		return Entry{Key: key, Value: bytes.Clone(op.Value)}, nil
	}
	snap, err := tx.snapshot(ctx)
	if err != nil {
		return Entry{}, err
	}
	e, err := snap.Get(ctx, key)
	switch {
	case err == nil:
		tx.read(key, e.Revision)
	case errors.Is(err, ErrNotFound):
		tx.read(key, 0)
	}
	return e, err
}

// Expect makes it a condition of the commit that the entry at key still is of
// rev; zero means that there is none. The commit conflicts if the transaction
// has read the entry at another revision. A transaction that writes nothing
// commits nothing, and so checks nothing.
func (tx *Tx) Expect(key string, rev Revision) { tx.read(key, rev) }

func (tx *Tx) read(key string, rev Revision) {
	if tx.reads == nil {
		tx.reads = make(map[string]Revision)
	}
	if known, ok := tx.reads[key]; ok && known != rev {
		tx.conflict = true
	}
	tx.reads[key] = rev
}

// Peek is Get without a condition: the commit happens also if the entry has
// changed since.
func (tx *Tx) Peek(ctx context.Context, key string) (Entry, error) {
	if _, ok := tx.writes[key]; ok {
		return tx.Get(ctx, key)
	}
	snap, err := tx.snapshot(ctx)
	if err != nil {
		return Entry{}, err
	}
	return snap.Get(ctx, key)
}

// Range yields what the snapshot has, as [Snapshot] does, without what this
// transaction has written. Each entry that is yielded becomes a condition. New
// entries of others do not conflict: who needs that reads a row which those who
// add entries write, usually the parent's.
func (tx *Tx) Range(ctx context.Context, prefix, after string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range tx.Scan(ctx, prefix, after) {
			if err == nil {
				tx.read(e.Key, e.Revision)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Scan is Range without conditions.
func (tx *Tx) Scan(ctx context.Context, prefix, after string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		snap, err := tx.snapshot(ctx)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		snap.Range(ctx, prefix, after)(yield)
	}
}

// Put sets the value at key. The transaction owns value from here on.
func (tx *Tx) Put(key string, value []byte) { tx.write(Put(key, value)) }

// Delete removes the entry at key, if there is one.
func (tx *Tx) Delete(key string) { tx.write(Delete(key)) }

func (tx *Tx) write(op Op) {
	if tx.writes == nil {
		tx.writes = make(map[string]Op)
	}
	if old, ok := tx.writes[op.Key]; ok {
		tx.bytes -= len(old.Key) + len(old.Value)
	}
	tx.writes[op.Key] = op
	tx.bytes += len(op.Key) + len(op.Value)
}

// Part is a transaction's view of the keys below one prefix, which its methods
// add and take away. Engines get one and so cannot leave their mount.
type Part struct {
	tx     *Tx
	prefix string
}

// Below returns the part of the transaction below prefix, which ends with a
// whole segment.
func (tx *Tx) Below(prefix string) Part { return Part{tx: tx, prefix: prefix} }

// Below narrows the part further.
func (p Part) Below(prefix string) Part { return Part{tx: p.tx, prefix: p.prefix + prefix} }

// Room is [Tx.Room].
func (p Part) Room() int { return p.tx.Room() }

// Get is [Tx.Get].
func (p Part) Get(ctx context.Context, key string) (Entry, error) {
	e, err := p.tx.Get(ctx, p.prefix+key)
	return p.own(e), err
}

// Peek is [Tx.Peek].
func (p Part) Peek(ctx context.Context, key string) (Entry, error) {
	e, err := p.tx.Peek(ctx, p.prefix+key)
	return p.own(e), err
}

// Put is [Tx.Put].
func (p Part) Put(key string, value []byte) { p.tx.Put(p.prefix+key, value) }

// Delete is [Tx.Delete].
func (p Part) Delete(key string) { p.tx.Delete(p.prefix + key) }

// Range is [Tx.Range].
func (p Part) Range(ctx context.Context, prefix, after string) iter.Seq2[Entry, error] {
	return p.ranged(p.tx.Range(ctx, p.prefix+prefix, p.bound(after)))
}

// Scan is [Tx.Scan].
func (p Part) Scan(ctx context.Context, prefix, after string) iter.Seq2[Entry, error] {
	return p.ranged(p.tx.Scan(ctx, p.prefix+prefix, p.bound(after)))
}

func (p Part) bound(after string) string {
	if after == "" {
		return ""
	}
	return p.prefix + after
}

func (p Part) ranged(entries iter.Seq2[Entry, error]) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range entries {
			if !yield(p.own(e), err) {
				return
			}
		}
	}
}

func (p Part) own(e Entry) Entry {
	e.Key = strings.TrimPrefix(e.Key, p.prefix)
	return e
}

// Children returns the names directly below prefix, sorted, each once: what was
// stored with [Path]. A name that ends in a slash has entries below it. It makes
// one jump in the store for each child, however much lies below a child.
func (p Part) Children(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	after := ""
	for {
		found := false
		for e, err := range p.Scan(ctx, prefix, after) {
			if err != nil {
				return nil, err
			}
			rest := strings.TrimPrefix(e.Key, prefix)
			if rest == "" { // the entry of prefix itself
				continue
			}
			child, _, err := Cut(rest)
			if err != nil {
				return nil, err
			}
			names = append(names, child.Text())
			if len(child.Raw) < len(rest) || strings.HasSuffix(child.Text(), "/") {
				// The child is a folder: jump over what is below it.
				after, found = After(prefix+child.Raw), true
				break
			}
		}
		if !found {
			slices.Sort(names)
			return slices.Compact(names), nil
		}
	}
}
