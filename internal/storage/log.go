package storage

import (
	"bytes"
	"context"
	"iter"
	"sort"
	"strings"
	"sync"
	"time"
)

// Limits of a [Log] that its driver does not set.
const (
	DefaultLogCommits = 8192
	DefaultLogBytes   = 4 << 20
)

// opBytes is what a remembered operation costs beside its key and value.
const opBytes = 64

// progressEvery is half of what [Store] promises, so that a busy scheduler does
// not break the promise.
const progressEvery = time.Second / 2

// watchBatch bounds how many commits a watcher takes from a [Log] at a time,
// and so what it may hold after the log has forgotten them.
const watchBatch = 32

// Log remembers the newest commits of a store that has no log of its own to
// watch. The store adds each commit once readers can see it; watchers read at
// their own pace and never hold up the store: who falls behind what is
// remembered gets [ErrCompacted]. It is safe for concurrent use.
type Log struct {
	maxCommits int
	maxBytes   int

	mu      sync.Mutex    // guards the fields below
	commits []Commit      // in order of revision; their Ops belong to the log
	bytes   int           // of commits, as size counts them
	floor   Revision      // newest revision that is not remembered
	last    Revision      // newest revision
	changed chan struct{} // closed at the next change; nil if nobody waits
	closed  bool
}

// NewLog returns an empty log of a store whose newest revision is last. It
// remembers at most maxCommits commits and some maxBytes bytes of keys and
// values; zero stands for [DefaultLogCommits] and [DefaultLogBytes].
func NewLog(last Revision, maxCommits, maxBytes int) *Log {
	if maxCommits == 0 {
		maxCommits = DefaultLogCommits
	}
	if maxBytes == 0 {
		maxBytes = DefaultLogBytes
	}
	return &Log{maxCommits: maxCommits, maxBytes: maxBytes, floor: last, last: last}
}

// Add appends commits, whose revisions rise and are above all before. The log
// owns their Ops and values from here on.
func (l *Log) Add(commits ...Commit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range commits {
		if c.Revision <= l.last {
			panic("storage: internal error: revisions do not rise")
		}
		l.commits = append(l.commits, c)
		l.bytes += size(c)
		l.last = c.Revision
	}
	l.forgetLocked()
	l.wakeLocked()
}

// Close ends every Watch with [ErrClosed].
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.commits = nil
	l.wakeLocked()
}

func (l *Log) forgetLocked() {
	n := 0
	for len(l.commits)-n > l.maxCommits || l.bytes > l.maxBytes {
		l.bytes -= size(l.commits[n])
		l.floor = l.commits[n].Revision
		l.commits[n] = Commit{} // the array outlives the reslicing below
		n++
	}
	l.commits = l.commits[n:]
}

func (l *Log) wakeLocked() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

func size(c Commit) int {
	n := 0
	for i := range c.Ops {
		n += opBytes + len(c.Ops[i].Key) + len(c.Ops[i].Value)
	}
	return n
}

// Watch does what [Store.Watch] says. A rev that is newer than the newest is
// waited for.
func (l *Log) Watch(ctx context.Context, prefix string, rev Revision) iter.Seq2[Commit, error] {
	return func(yield func(Commit, error) bool) {
		w := watcher{log: l, prefix: prefix, rev: rev}
		progress := time.NewTimer(progressEvery)
		defer progress.Stop()
		for ctx.Err() == nil {
			batch, changed, err := l.after(w.rev)
			if err != nil {
				yield(Commit{}, err)
				return
			}
			yielded, more := w.deliver(ctx, batch, yield)
			if !more {
				return
			}
			if yielded {
				progress.Reset(progressEvery)
			}
			select {
			case <-ctx.Done():
			case <-changed:
			case <-progress.C:
				if w.rev >= rev && !yield(Commit{Revision: w.rev}, nil) {
					return
				}
				progress.Reset(progressEvery)
			}
		}
	}
}

// closedChan is what a watcher waits for that has more to read already.
var closedChan = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// after returns the oldest commits after rev, at most [watchBatch], and a
// channel that is closed when there are more.
func (l *Log) after(rev Revision) (batch []Commit, changed <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, ErrClosed
	}
	if rev < l.floor {
		return nil, nil, ErrCompacted
	}
	i := sort.Search(len(l.commits), func(i int) bool { return l.commits[i].Revision > rev })
	batch = append(batch, l.commits[i:min(i+watchBatch, len(l.commits))]...)
	if i+len(batch) < len(l.commits) {
		return batch, closedChan, nil
	}
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return batch, l.changed, nil
}

// watcher is the state of one Watch.
type watcher struct {
	log    *Log
	prefix string
	rev    Revision // newest that was seen
}

// deliver yields what batch has below the prefix. It reports whether it has
// yielded anything and whether there is to be more.
func (w *watcher) deliver(ctx context.Context, batch []Commit, yield func(Commit, error) bool) (yielded, more bool) {
	for _, c := range batch {
		if ctx.Err() != nil {
			return yielded, false
		}
		w.rev = c.Revision
		ops := below(w.prefix, c.Ops)
		if len(ops) == 0 {
			continue
		}
		yielded = true
		if !yield(Commit{Revision: c.Revision, Ops: ops}, nil) {
			return yielded, false
		}
	}
	return yielded, true
}

// below returns copies of the ops on keys with the prefix.
func below(prefix string, ops []Op) []Op {
	var own []Op
	for _, op := range ops {
		if strings.HasPrefix(op.Key, prefix) {
			op.Value = bytes.Clone(op.Value)
			own = append(own, op)
		}
	}
	return own
}
