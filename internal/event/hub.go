package event

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cofferhq/coffer/internal/storage"
)

// Why a subscription has ended, beside [logical.ErrSealed].
var (
	// ErrSlow says that the subscriber has not taken its events in time.
	ErrSlow = errors.New("too slow: more events are waiting than are kept for one subscriber")
	// ErrForgotten says that events which the subscriber should get are no longer
	// known, or that the revision it wants to go on from never was.
	ErrForgotten = errors.New("events after that revision are no longer known: read afresh")
	// ErrStopping says that the server stops, or is sealed.
	ErrStopping = errors.New("the server is stopping or sealed")
	// ErrToken says that the token has expired or was revoked.
	ErrToken = errors.New("the token is no longer valid")
	// ErrPolicy says that the token may no longer subscribe.
	ErrPolicy = errors.New("permission denied")
	// ErrMany says that there are too many subscriptions.
	ErrMany = errors.New("too many subscriptions")
)

// Bounds. A subscriber that is slower than its events may fall behind by so many;
// who comes back may have missed as many.
const (
	MaxSubscribers = 16 << 10 // in all
	MaxPerOwner    = 4 << 10  // of one token
	maxQueued      = 16 << 10 // events that wait for one subscriber
	maxQueuedBytes = 8 << 20

	// idleTime is how long the hub goes on following without subscribers, who
	// may be about to come back.
	idleTime = time.Minute

	// goodbyeTime is how long Close waits for subscriptions to be closed.
	goodbyeTime = time.Second
)

// Options is what a Hub works with. Every field is needed unless it says so.
type Options struct {
	Store storage.Store // above the barrier
	Log   *slog.Logger
	Now   func() time.Time
	// Source names the server in events, as a URI.
	Source string
	// Namespaces returns the path of a namespace by its id; the root's is empty.
	// Nil: there is only the root.
	Namespaces func(id string) string
	// Recent is how many events are remembered for who comes back. Zero: 16,384.
	Recent int
}

// Hub gives the rows of the outbox to subscribers. It follows the store only
// while there are any. It is safe for concurrent use.
type Hub struct {
	Options
	seen atomic.Uint64 // revision up to which every event has been given out

	loading sync.Mutex // held while older events are read from the store

	mu        sync.Mutex // guards the fields below
	groups    map[groupKey]*group
	routes    map[string]*route // event type → who wants it; nil after a change of groups
	owners    map[string]int    // owner → subscriptions
	count     int               // subscriptions
	idleSince time.Time         // set while count is zero
	recent    recent
	cancel    context.CancelFunc // ends the follower; nil: none is running
	done      chan struct{}      // closed when the follower has returned
	closed    bool
	empty     chan struct{} // closed when the last subscription goes after Close
}

// NewHub returns a Hub that nobody has subscribed to.
func NewHub(o Options) *Hub {
	if o.Recent == 0 {
		o.Recent = maxQueued
	}
	return &Hub{
		Options: o, groups: make(map[groupKey]*group), owners: make(map[string]int), recent: recent{max: o.Recent},
		empty: make(chan struct{}),
	}
}

func (h *Hub) namespace(id string) string {
	if h.Namespaces == nil {
		return ""
	}
	return h.Namespaces(id)
}

// Stop ends every subscription with why, and lets nobody subscribe from then on.
// It waits for nothing.
func (h *Hub) Stop(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	for _, g := range h.groups {
		for s := range g.members {
			s.finish(why)
		}
	}
	if h.count == 0 {
		close(h.empty)
	}
	if h.cancel != nil {
		h.cancel()
	}
}

// Close is Stop, and gives subscribers a moment to say goodbye. The hub follows
// nothing any more when it returns.
func (h *Hub) Close() error {
	h.Stop(ErrStopping)
	h.mu.Lock()
	done := h.done
	h.mu.Unlock()
	if done != nil {
		<-done
	}
	select {
	case <-h.empty:
	case <-time.After(goodbyeTime):
	}
	return nil
}

// startLocked begins to follow the store after rev. h.mu is held.
func (h *Hub) startLocked(rev storage.Revision) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	h.cancel, h.done = cancel, done
	h.recent = recent{max: h.Recent, floor: rev}
	h.seen.Store(uint64(rev))
	go func() {
		defer close(done)
		h.follow(ctx, rev)
	}()
}

// follow gives out what is committed after rev until ctx ends, or nobody has
// listened for a while.
func (h *Hub) follow(ctx context.Context, rev storage.Revision) {
	const pause = 100 * time.Millisecond
	for ctx.Err() == nil {
		for c, err := range h.Store.Watch(ctx, Table(), rev) {
			if err != nil {
				if ctx.Err() == nil && !errors.Is(err, storage.ErrCompacted) {
					h.Log.Error("following the outbox", "error", err)
				}
				break
			}
			rev = c.Revision
			h.publish(h.messages(c), rev)
			if h.leaveIdle() {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if caught, err := h.catchUp(ctx, rev); err == nil {
			rev = caught
		}
	}
}

// leaveIdle ends following if nobody has listened for a while, and says so.
func (h *Hub) leaveIdle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.count > 0 || h.Now().Sub(h.idleSince) < idleTime {
		return false
	}
	h.cancel()
	h.cancel, h.done, h.recent = nil, nil, recent{max: h.Recent}
	return true
}

// messages are the events of a commit. A row that can't be read is logged and
// left out: it must not hold up the others.
func (h *Hub) messages(c storage.Commit) []*Message {
	all := make([]*Message, 0, len(c.Ops))
	for _, op := range c.Ops {
		if op.Gone {
			continue
		}
		if m := h.message(storage.Entry{Key: op.Key, Value: op.Value, Revision: c.Revision}); m != nil {
			all = append(all, m)
		}
	}
	return all
}

func (h *Hub) message(row storage.Entry) *Message {
	r, err := Parse(row)
	if err != nil {
		h.Log.Error("reading an event", "error", err)
		return nil
	}
	return &Message{Record: r, Revision: row.Revision, hub: h}
}

// publish gives out messages, which are all there are up to rev.
func (h *Hub) publish(all []*Message, rev storage.Revision) {
	if len(all) > 0 {
		h.mu.Lock()
		for _, m := range all {
			h.recent.add(m)
			if h.count > 0 {
				h.giveLocked(m)
			}
		}
		h.mu.Unlock()
	}
	h.seen.Store(uint64(rev))
}

// giveLocked puts m into the queues of those who want it and may have it.
func (h *Hub) giveLocked(m *Message) {
	r := h.routes[m.Type]
	if r == nil {
		r = h.routeLocked(m.Type)
	}
	for _, g := range r.byPath[m.Metadata[dataPath]] {
		g.give(m)
	}
	for _, g := range r.others {
		g.give(m)
	}
}

// catchUp gives out what was missed after rev, when the store remembers the
// commits no longer, from the rows. It returns the revision it has come to.
func (h *Hub) catchUp(ctx context.Context, rev storage.Revision) (storage.Revision, error) {
	rows, err := h.collect(ctx, rev, latest)
	if err != nil {
		return 0, err
	}
	if rows.dropped > 0 {
		h.mu.Lock()
		h.recent = recent{max: h.Recent, floor: rows.at}
		for _, g := range h.groups {
			for s := range g.members {
				s.finish(ErrForgotten)
			}
		}
		h.mu.Unlock()
		h.seen.Store(uint64(rows.at))
		return rows.at, nil
	}
	h.publish(rows.all, rows.at)
	return rows.at, nil
}
