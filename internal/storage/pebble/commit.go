package pebble

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cofferhq/coffer/internal/storage"
)

// Bounds of one group. The bytes keep the batch below half of a memtable, where
// Pebble would take a slower path.
const (
	maxGroupCalls = 1024
	maxGroupBytes = 1 << 20 // unless the first call alone has more
)

// call is one call of Apply on its way through the committer.
type call struct {
	conds []storage.Cond // the caller's, who waits
	ops   []storage.Op   // the caller's, who waits
	bytes int            // of ops

	state atomic.Int32 // waiting, then taken or withdrawn

	rev  storage.Revision // valid when done is closed, as is err
	err  error
	done chan struct{}
}

const (
	waiting int32 = iota
	taken
	withdrawn
)

func newCall(conds []storage.Cond, ops []storage.Op) *call {
	c := &call{conds: conds, ops: ops, done: make(chan struct{})}
	for i := range ops {
		c.bytes += len(ops[i].Key) + len(ops[i].Value)
	}
	return c
}

// withdraw reports whether the committer will leave the call alone.
func (c *call) withdraw() bool { return c.state.CompareAndSwap(waiting, withdrawn) }

func (c *call) take() bool { return c.state.CompareAndSwap(waiting, taken) }

func (c *call) fail(err error) { c.rev, c.err = 0, err }

// committer owns the goroutine that writes. Its fields belong to that goroutine.
type committer struct {
	*Store
	current *view   // the newest
	views   []*view // all that may still be referred to, current included

	group  []*call
	size   int   // bytes of group
	held   *call // taken, but did not fit into the last group
	crowd  int   // calls in the last group
	writes group // what group comes to
}

// group is what the calls of one group write.
type group struct {
	batch   *pebble.Batch
	commits []storage.Commit
	// written has what the group did to a key: its revision, zero if it is gone.
	written map[string]storage.Revision
	rev     storage.Revision
	err     error // of the batch, which then is not to be committed
	buf     []byte
}

func newCommitter(s *Store, first *view) *committer {
	return &committer{
		Store:   s,
		current: first,
		views:   []*view{first},
		writes:  group{written: make(map[string]storage.Revision), rev: first.rev},
	}
}

func (c *committer) run() {
	defer close(c.stopped)
	for c.gather() {
		c.decide()
		c.commit()
		c.answer()
	}
	c.Store.views = c.views
}

// gather waits for a call and takes all others that wait too. It returns false
// when the store closes and no call is held.
func (c *committer) gather() bool {
	c.group, c.size = c.group[:0], 0
	if c.held != nil {
		c.add(c.held)
		c.held = nil
	} else {
		select {
		case <-c.stop:
			return false
		case first := <-c.calls:
			if first.take() {
				c.add(first)
			}
		}
	}
	// Those who were just answered come back together, but a moment apart. One
	// sync for all of them is worth giving way for; a lone writer never waits.
	for c.drain(); len(c.group) < c.crowd; {
		before := len(c.group)
		runtime.Gosched()
		if c.drain(); len(c.group) == before {
			break
		}
	}
	c.crowd = len(c.group)
	return true
}

// drain takes what waits, as far as it fits.
func (c *committer) drain() {
	for c.held == nil && len(c.group) < maxGroupCalls {
		select {
		case next := <-c.calls:
			switch {
			case !next.take():
			case len(c.group) > 0 && c.size+next.bytes > maxGroupBytes:
				c.held = next
			default:
				c.add(next)
			}
		default:
			return
		}
	}
}

func (c *committer) add(call *call) {
	c.group = append(c.group, call)
	c.size += call.bytes
}

// decide checks the calls in order, each against what is committed and what
// those before it write, and fills the batch.
func (c *committer) decide() {
	c.writes.begin(c.db, c.current.rev)
	for _, call := range c.group {
		if err := c.fuse.err(); err != nil {
			call.fail(fmt.Errorf("%w: %w", ErrBroken, err))
			continue
		}
		if err := c.check(call.conds); err != nil {
			call.fail(err)
			continue
		}
		call.rev = c.writes.put(call.ops)
	}
}

// check returns [storage.ErrConflict] unless all of conds hold.
func (c *committer) check(conds []storage.Cond) error {
	for _, cond := range conds {
		rev, err := c.revision(cond.Key)
		if err != nil {
			return fmt.Errorf("storage: read: %w", err)
		}
		if rev != cond.Revision {
			return storage.ErrConflict
		}
	}
	return nil
}

// revision returns the one of the entry at key, zero if there is none.
func (c *committer) revision(key string) (storage.Revision, error) {
	if rev, ok := c.writes.written[key]; ok {
		return rev, nil
	}
	c.writes.buf = appendKey(c.writes.buf[:0], key)
	stored, closer, err := c.current.snap.Get(c.writes.buf)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer closer.Close()
	rev, _, err := cutRevision(stored)
	return rev, err
}

func (g *group) begin(db *pebble.DB, rev storage.Revision) {
	g.batch = db.NewBatch()
	g.commits = nil // the last ones belong to the log
	clear(g.written)
	g.rev, g.err = rev, nil
}

// put adds one call's ops at the next revision, which it returns. Without ops
// it returns the one before.
func (g *group) put(ops []storage.Op) storage.Revision {
	if len(ops) == 0 {
		return g.rev
	}
	g.rev++
	own := make([]storage.Op, len(ops))
	for i, op := range ops {
		own[i] = g.op(op)
	}
	g.commits = append(g.commits, storage.Commit{Revision: g.rev, Ops: own})
	return g.rev
}

// op adds one op and returns a copy of it for the log.
func (g *group) op(op storage.Op) storage.Op {
	if op.Gone {
		g.written[op.Key] = 0
		g.buf = appendKey(g.buf[:0], op.Key)
		g.note(g.batch.Delete(g.buf, nil))
		return storage.Delete(op.Key)
	}
	g.written[op.Key] = g.rev
	d := g.batch.SetDeferred(1+len(op.Key), revisionBytes+len(op.Value))
	appendKey(d.Key[:0], op.Key)
	copy(d.Value[len(appendRevision(d.Value[:0], g.rev)):], op.Value)
	g.note(d.Finish())
	return storage.Put(op.Key, append([]byte{}, op.Value...))
}

// note remembers the first error of the batch.
func (g *group) note(err error) {
	if g.err == nil {
		g.err = err
	}
}

// commit makes the group durable, then visible. If it cannot, the group's calls
// get the error.
func (c *committer) commit() {
	defer c.sweep()
	if len(c.writes.commits) == 0 {
		c.writes.batch.Close()
		return
	}
	if err := c.write(); err != nil {
		c.spoil(err)
		return
	}
	c.publish()
}

// write returns when the batch is durable.
func (c *committer) write() error {
	w := &c.writes
	w.note(w.batch.Set(revisionKey, appendRevision(nil, w.rev), nil))
	if w.err == nil {
		w.err = w.batch.Commit(pebble.Sync)
	}
	if w.err != nil {
		c.fuse.blow(w.err)
	}
	// A failed sync is known to the fuse alone, see there.
	return c.fuse.err()
}

// spoil fails all calls of the group. Those that write nothing may have been
// decided on what others wrote.
func (c *committer) spoil(cause error) {
	for _, call := range c.group {
		if len(call.ops) > 0 && call.err == nil {
			call.fail(fmt.Errorf("%w: %w: %w", storage.ErrUnknownOutcome, ErrBroken, cause))
		} else {
			call.fail(fmt.Errorf("%w: %w", ErrBroken, cause))
		}
	}
}

// publish shows the group to readers, then to watchers: these find what they
// were told of.
func (c *committer) publish() {
	next := &view{snap: c.db.NewSnapshot(), rev: c.writes.rev}
	next.refs.Store(1)
	c.newest.Store(next)
	c.current.release()
	c.current = next
	c.views = append(c.views, next)
	c.log.Add(c.writes.commits...)
	c.writes.batch.Close()
}

func (c *committer) answer() {
	for i, call := range c.group {
		close(call.done)
		c.group[i] = nil // callers' slices are theirs again
	}
}

// sweep closes the views that nobody refers to.
func (c *committer) sweep() {
	kept := c.views[:0]
	for _, v := range c.views {
		if v.refs.Load() > 0 {
			kept = append(kept, v)
		} else {
			v.snap.Close()
		}
	}
	clear(c.views[len(kept):])
	c.views = kept
}
