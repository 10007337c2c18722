package core

import (
	"context"
	"maps"
	"runtime"
	"slices"

	"github.com/cofferhq/coffer/internal/logical"
)

// queue has a number of calls worked at and the others wait, first come, first
// served. Without it a flood would have all of its calls half done at once, each
// holding its data, its answer and its line of the audit; and who comes in between
// would get a slice of the processor in turn with thousands.
type queue chan struct{} // one element for each call that is worked at

// How many calls a queue lets in: enough for commits and lines of the audit to be
// gathered, and for every processor to have some. Lists are work of another size
// than the rest, each of their names being hashed for the audit.
const (
	leastAtOnce = 128
	perProc     = 16

	leastLists   = 16
	listsPerProc = 4
)

// line is where a call queues: below mounts of one type, lists apart.
type line struct {
	mountType string // empty: below no mount
	lists     bool
}

// newQueues makes queues for each kind of mount, so that what waits for the hashes
// of passwords, say, holds up nobody who reads a secret.
func newQueues(kinds map[string]logical.Kind) map[line]queue {
	procs := runtime.GOMAXPROCS(0)
	queues := make(map[line]queue)
	for _, name := range append(slices.Collect(maps.Keys(kinds)), "") {
		queues[line{name, false}] = make(queue, max(leastAtOnce, perProc*procs))
		queues[line{name, true}] = make(queue, max(leastLists, listsPerProc*procs))
	}
	return queues
}

// queueOf returns where a call queues; nil if it does not. What waits for other
// systems does not: one that hangs would hold up all others of its type, and engines
// bound what they do at once by system.
func (c *Core) queueOf(v *visit) queue {
	if v.action != nil && v.action.Outside {
		return nil
	}
	l := line{lists: v.Op == logical.List}
	if v.mount != nil {
		l.mountType = v.mount.Type
	}
	return c.queues[l]
}

// enter waits for a place until ctx ends. Who has entered leaves.
func (q queue) enter(ctx context.Context) error {
	if q == nil {
		return nil
	}
	select {
	case q <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q queue) leave() {
	if q != nil {
		<-q
	}
}
