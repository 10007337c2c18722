package pebble

import (
	"math"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/cofferhq/coffer/internal/storage"
)

// view is the store as one group of commits left it, shared by all who read it.
type view struct {
	snap *pebble.Snapshot
	rev  storage.Revision

	// refs counts who may use snap: the store while the view is the newest, each
	// Snapshot that is open, each read. Once zero it stays zero, and the
	// committer closes snap: closing takes a lock of Pebble's, which readers are
	// to be spared.
	refs atomic.Int64
}

// acquire adds a reference, unless the view is already given up.
func (v *view) acquire() bool {
	for {
		n := v.refs.Load()
		if n == 0 {
			return false
		}
		if v.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (v *view) release() { v.refs.Add(-1) }

// view returns the newest view with a reference, or nil if the store is closed.
func (s *Store) view() *view {
	for !s.closed.Load() {
		// A view that is given up was replaced before: the next load finds another.
		if v := s.newest.Load(); v.acquire() {
			return v
		}
	}
	return nil
}

// gate counts the reads under way, so that Close can wait for them and refuse
// later ones. Readers never wait.
type gate struct {
	n    atomic.Int64  // reads under way, plus shut
	idle chan struct{} // gets a value when shut and nobody is inside; capacity 1
}

const shut = math.MinInt64 / 2

// enter reports whether a read may begin; if so, leave must follow.
func (g *gate) enter() bool {
	if g.n.Add(1) > 0 {
		return true
	}
	g.leave()
	return false
}

func (g *gate) leave() {
	if g.n.Add(-1) == shut {
		select {
		case g.idle <- struct{}{}:
		default: // Close was told before
		}
	}
}

func (g *gate) closing() bool { return g.n.Load() < 0 }

// shut refuses further reads and waits for those under way.
func (g *gate) shut() {
	if g.n.Add(shut) != shut {
		<-g.idle
	}
}
