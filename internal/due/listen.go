package due

import (
	"context"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/storage"
)

// listen follows the queue, so that the Runner hears of what is added to it for an
// earlier time than it means to look, until ctx ends.
func (r *Runner) listen(ctx context.Context) {
	for ctx.Err() == nil {
		r.follow(ctx)
		// Nothing is missed: what was added meanwhile is looked for.
		r.hear(longAgo)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// follow hears of commits until the watch ends.
func (r *Runner) follow(ctx context.Context) {
	snap, err := r.Under.Snapshot(ctx)
	if err != nil {
		return
	}
	rev := snap.Revision()
	snap.Close()
	// What was added between the last look and the snapshot.
	r.hear(longAgo)
	for commit, err := range r.Under.Watch(ctx, r.Prefix+table(), rev) {
		if err != nil {
			return
		}
		if at, ok := earliest(commit.Ops, r.Prefix); ok {
			r.hear(at)
		}
	}
}

// earliest returns the time of the first item that a commit adds, whose keys have a
// prefix.
func earliest(ops []storage.Op, prefix string) (first time.Time, ok bool) {
	for _, op := range ops {
		key, found := strings.CutPrefix(op.Key, prefix)
		if op.Gone || !found {
			continue
		}
		if at, item := timeOf(key); item && (!ok || at.Before(first)) {
			first, ok = at, true
		}
	}
	return first, ok
}

// longAgo is a time before every item's.
var longAgo = time.Time{}.Add(1)

// hear is told of an item that was added.
func (r *Runner) hear(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.heard.IsZero() || at.Before(r.heard) {
		r.heard = at
	}
	if r.next.IsZero() && at.After(r.clock.read()) || !r.next.IsZero() && !at.Before(r.next) {
		return // it is looked for soon enough
	}
	r.next = at
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
