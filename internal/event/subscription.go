package event

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/policy"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/uuid"
)

// Wish is what a subscriber wants.
type Wish struct {
	Types      string // of events; a star is any text
	Namespace  string // path of the request's
	Namespaces []string
	Filter     string
	// Since is the revision to go on after; nil: after what is newest now.
	Since *storage.Revision
	// Owner is who has at most MaxPerOwner subscriptions.
	Owner string
}

// groupKey is what subscribers have in common who get the same events.
type groupKey struct {
	types, namespace, namespaces, filter string
	acl                                  *policy.ACL
}

// group is subscribers who get the same events: what they may have is decided
// once for all.
type group struct {
	key        groupKey
	namespaces []string
	filter     *Filter
	members    map[*Subscription]struct{}
}

// route is who wants events of one type.
type route struct {
	byPath map[string][]*group // data_path → those who want nothing else
	others []*group
}

// routeLocked makes the route of a type from all groups. Types are few: those that
// engines have.
func (h *Hub) routeLocked(eventType string) *route {
	r := &route{byPath: make(map[string][]*group)}
	for _, g := range h.groups {
		switch {
		case !glob(g.key.types, eventType):
		case g.filter == nil || g.filter.paths == nil:
			r.others = append(r.others, g)
		default:
			for _, path := range slices.Compact(slices.Sorted(slices.Values(g.filter.paths))) {
				r.byPath[path] = append(r.byPath[path], g)
			}
		}
	}
	if h.routes == nil {
		h.routes = make(map[string]*route)
	}
	h.routes[eventType] = r
	return r
}

// give puts m into the queues of the members, if it is for them.
func (g *group) give(m *Message) {
	if !g.takes(m) {
		return
	}
	for s := range g.members {
		s.push(m)
	}
}

// takes says whether the members want m, apart from its type, and may have it.
func (g *group) takes(m *Message) bool {
	if ns := m.hub.namespace(m.Namespace); ns != g.key.namespace && !globAny(g.namespaces, ns) {
		return false
	}
	if g.filter != nil && !g.filter.holds(m) {
		return false
	}
	return globAny(g.key.acl.EventTypes(m.Subject()), m.Type)
}

// Subscription is a stream of events for one subscriber. Next is called by one
// goroutine; all else is safe for concurrent use.
type Subscription struct {
	hub   *Hub
	owner string
	group *group           // guarded by hub.mu; nil: closed
	after storage.Revision // events up to here are not for it

	mu    sync.Mutex    // guards the fields below
	queue []*Message    // in order
	bytes int           // of the queue, about
	room  int           // events that may wait
	ready chan struct{} // has an element when there is something to see
	ended error         // why it has ended
}

// Subscribe begins a stream. acl says which events it may have. A stream that
// can't go on from where it should is returned ended, with [ErrForgotten]. Other
// errors are of the kinds of package logical.
func (h *Hub) Subscribe(ctx context.Context, w Wish, acl *policy.ACL) (*Subscription, error) {
	filter, err := ParseFilter(w.Filter)
	if err != nil {
		return nil, err
	}
	newest, err := h.newest(ctx)
	if err != nil {
		return nil, err
	}
	since := newest
	if w.Since != nil {
		since = *w.Since
		if err := h.prepare(ctx, newest, since); err != nil {
			return nil, err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, logical.ErrSealed
	case h.count >= MaxSubscribers, h.owners[w.Owner] >= MaxPerOwner:
		return nil, &logical.Error{Kind: logical.ErrQuota, Text: ErrMany.Error(), Err: ErrMany}
	}
	if h.cancel == nil {
		h.startLocked(newest)
	}
	s := &Subscription{hub: h, owner: w.Owner, after: since, room: maxQueued, ready: make(chan struct{}, 1)}
	key := groupKey{w.Types, w.Namespace, strings.Join(w.Namespaces, "\x00"), w.Filter, acl}
	h.joinLocked(s, key, w.Namespaces, filter)
	h.count++
	h.owners[w.Owner]++
	if since > newest || since < h.recent.floor && w.Since != nil {
		s.finish(ErrForgotten)
		return s, nil
	}
	s.recallLocked()
	return s, nil
}

func (h *Hub) newest(ctx context.Context) (storage.Revision, error) {
	snap, err := h.Store.Snapshot(ctx)
	if err != nil {
		return 0, err
	}
	defer snap.Close()
	return snap.Revision(), nil
}

// prepare has the hub follow, and remember what a subscriber that goes on after
// since has missed.
func (h *Hub) prepare(ctx context.Context, newest, since storage.Revision) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return logical.ErrSealed
	}
	if h.cancel == nil {
		h.idleSince = h.Now()
		h.startLocked(newest)
	}
	known := since >= h.recent.floor
	h.mu.Unlock()
	if known {
		return nil
	}
	return h.remember(ctx, since)
}

// joinLocked makes s a member of the group with that key. filter is the key's,
// parsed.
func (h *Hub) joinLocked(s *Subscription, key groupKey, namespaces []string, filter *Filter) {
	g := h.groups[key]
	if g == nil {
		g = &group{key: key, namespaces: namespaces, filter: filter, members: make(map[*Subscription]struct{})}
		h.groups[key] = g
		h.routes = nil
	}
	g.members[s] = struct{}{}
	s.group = g
}

func (h *Hub) leaveLocked(s *Subscription) {
	g := s.group
	delete(g.members, s)
	if len(g.members) == 0 {
		delete(h.groups, g.key)
		h.routes = nil
	}
	s.group = nil
}

// recallLocked queues what the hub remembers that s has not had. The hub's mu is
// held, so that what comes next follows without a gap.
func (s *Subscription) recallLocked() {
	missed := s.hub.recent.after(s.after)
	s.room += len(missed)
	for _, m := range missed {
		if glob(s.group.key.types, m.Type) && s.group.takes(m) {
			s.push(m)
		}
	}
}

// push queues m. A subscriber whose queue is full is cut off.
func (s *Subscription) push(m *Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil || m.Revision <= s.after {
		return
	}
	const overhead = 256 // of an event beside what varies
	s.bytes += overhead + len(m.Path)
	if len(s.queue) >= s.room || s.bytes > maxQueuedBytes*s.room/maxQueued {
		s.finishLocked(ErrSlow)
		return
	}
	s.queue = append(s.queue, m)
	s.wakeLocked()
}

func (s *Subscription) wakeLocked() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// finish ends the stream, for a reason; the first one stands.
func (s *Subscription) finish(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finishLocked(why)
}

func (s *Subscription) finishLocked(why error) {
	if s.ended == nil {
		s.ended, s.queue = why, nil
		s.wakeLocked()
	}
}

// End ends the stream for a reason, which Next returns.
func (s *Subscription) End(why error) { s.finish(why) }

// Start is the revision after which the stream begins.
func (s *Subscription) Start() storage.Revision { return s.after }

// Ready has an element when Take has something to tell.
func (s *Subscription) Ready() <-chan struct{} { return s.ready }

// Take returns the events that wait, in order, and up to which revision these and
// those before are all there are; or why the stream has ended.
func (s *Subscription) Take() ([]*Message, storage.Revision, error) {
	reached := storage.Revision(s.hub.seen.Load()) // before the queue, which may run ahead of it
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return nil, 0, s.ended
	}
	all := s.queue
	s.queue, s.bytes, s.room = nil, 0, maxQueued
	return all, max(reached, s.after), nil
}

// Progress is a message that tells how far the stream has come.
func (s *Subscription) Progress(reached storage.Revision) *Message {
	return &Message{Record: Record{ID: uuid.New(), Type: ProgressType, Time: s.hub.Now()}, Revision: reached, hub: s.hub}
}

// Allow has the stream go by another access-control list from now on.
func (s *Subscription) Allow(acl *policy.ACL) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	g := s.group
	if g == nil || g.key.acl == acl {
		return
	}
	key := g.key
	key.acl = acl
	s.hub.leaveLocked(s)
	s.hub.joinLocked(s, key, g.namespaces, g.filter)
}

// Close ends the stream and forgets it. It may be called again.
func (s *Subscription) Close() error {
	s.finish(context.Canceled)
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.group == nil {
		return nil
	}
	h.leaveLocked(s)
	h.count--
	if h.owners[s.owner]--; h.owners[s.owner] == 0 {
		delete(h.owners, s.owner)
	}
	if h.count == 0 {
		h.idleSince = h.Now()
		if h.closed {
			close(h.empty)
		}
	}
	return nil
}
