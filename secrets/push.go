package secrets

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/cofferhq/coffer/client"
)

// channel is what one subscription is about.
type channel struct {
	namespace string // as references name it; empty: the client's
	types     string // of events
}

// Types of events. Who follows version 2 of the key-value engine alone asks for no
// right to more.
const (
	versionedEvents = "kv-v2/*"
	allEvents       = "*"
	rotateEvent     = "database/rotate"
)

// pusher keeps the subscriptions of a session, which its groups share: one for each
// channel, for as long as somebody follows something there.
type pusher struct {
	session *Session

	mu      sync.Mutex // guards the field below
	streams map[channel]*stream
}

// join adds a tap to a channel. Wake is signalled when there is something to take.
func (p *pusher) join(at channel, topics []string, wake chan struct{}) *tap {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.streams[at]
	if s == nil {
		s = &stream{channel: at, session: p.session, done: make(chan struct{}), interrupt: func() {}}
		p.streams[at] = s
	}
	t := &tap{stream: s, topics: topics, wake: wake, touched: map[string]int{}}
	if first := s.add(t); first {
		var ctx context.Context
		ctx, s.stop = context.WithCancel(context.Background())
		go func() {
			defer close(s.done)
			s.run(ctx)
		}()
	}
	return t
}

// leave takes a tap away, and ends the subscription if it was the last.
func (p *pusher) leave(t *tap) {
	s := t.stream
	p.mu.Lock()
	last := s.remove(t)
	if last {
		delete(p.streams, s.channel)
	}
	p.mu.Unlock()
	if last {
		s.stop()
		<-s.done
	}
}

// stream is one subscription. Its goroutine is started by the first tap, and ended
// and waited for by the last.
type stream struct {
	channel
	session *Session
	stop    context.CancelFunc
	done    chan struct{} // closed when run has returned

	mu        sync.Mutex // guards the fields below, and those of the taps
	taps      []*tap
	interrupt context.CancelFunc // ends what run is at, to begin anew
	reached   uint64             // revision up to which all events have come; zero: none
}

// tap is a group's end of a stream.
type tap struct {
	stream *stream
	topics []string // paths that events are about
	wake   chan struct{}

	// What follows is guarded by the stream's mutex.
	joined  bool            // the stream has its topics, without a gap since it was told that it is stale
	up      bool            // events come
	granted map[string]bool // topics whose events the server says the token may have
	touched map[string]int  // topics of events since take → version that is needed to have their effect
	stale   bool            // what has been read may be older than the first event
}

// news is what a tap has for its group.
type news struct {
	up      bool
	stale   bool
	granted map[string]bool
	touched map[string]int
}

func (t *tap) take() news {
	t.stream.mu.Lock()
	defer t.stream.mu.Unlock()
	n := news{up: t.up, stale: t.stale, granted: t.granted, touched: t.touched}
	t.stale, t.touched = false, map[string]int{}
	return n
}

func (s *stream) add(t *tap) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taps = append(s.taps, t)
	s.interrupt()
	return len(s.taps) == 1
}

func (s *stream) remove(t *tap) (last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taps = slices.DeleteFunc(s.taps, func(other *tap) bool { return other == t })
	return len(s.taps) == 0
}

const (
	// afterDenial is when a server that refuses a subscription is asked again; with
	// another token that is done at once.
	afterDenial = 5 * time.Minute
	// afterFailure is when a server is asked again that could not be reached.
	afterFailure = 15 * time.Second
)

// run subscribes again and again: when topics are added, and when it was refused.
func (s *stream) run(ctx context.Context) {
	for ctx.Err() == nil {
		token, otherToken := s.session.state()
		once, cancel := context.WithCancel(ctx)
		s.mu.Lock()
		s.interrupt = cancel
		topics := s.topicsLocked()
		s.mu.Unlock()
		err := s.subscribe(once, topics)
		s.tell(func(t *tap) { t.up = false })
		if errors.Is(err, client.ErrNoEvents) {
			cancel()
			return // there is nothing to wait for
		}
		switch status := client.StatusOf(err); {
		case status == http.StatusForbidden && s.session.replace(once, token.number):
		case status == 0, status >= http.StatusInternalServerError:
			sleep(once, otherToken, s.session.jitter(afterFailure))
		default:
			sleep(once, otherToken, s.session.jitter(afterDenial))
		}
		cancel()
	}
}

// topicsLocked returns what all taps want, once each.
func (s *stream) topicsLocked() []string {
	var all []string
	for _, t := range s.taps {
		all = append(all, t.topics...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// subscribe hands on what comes until ctx ends, or the server has no more.
func (s *stream) subscribe(ctx context.Context, topics []string) error {
	c := s.session.client.WithWrapTTL("")
	if s.namespace != "" {
		c = c.WithNamespace(s.namespace)
	}
	coffer, err := c.Coffer(ctx)
	switch {
	case err != nil:
		return err
	case !coffer:
		return client.ErrNoEvents
	}
	granted := grantedBy(ctx, c, topics)
	s.mu.Lock()
	since := s.reached
	s.mu.Unlock()
	events := c.Events(ctx, s.types, client.EventOptions{
		Filter: filterOf(topics), Since: since,
		Connected:    func(begun uint64) { s.connected(begun, topics, granted) },
		Disconnected: func() { s.tell(func(t *tap) { t.up = false }) },
		Progress:     func(revision uint64) { s.reach(revision) },
	})
	for e, err := range events {
		switch {
		case errors.Is(err, client.ErrEventsMissed):
			s.missed()
		case err != nil:
			return err
		default:
			s.deliver(e)
		}
	}
	return nil
}

// tell changes what the taps have for their groups, and wakes them.
func (s *stream) tell(change func(t *tap)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.taps {
		change(t)
		signal(t.wake)
	}
}

// connected is told that events about the topics come, after a revision. A tap that
// they were not asked for before has read too early to be sure.
func (s *stream) connected(begun uint64, topics []string, granted map[string]bool) {
	s.reach(begun)
	s.tell(func(t *tap) {
		for _, topic := range t.topics {
			if _, ok := slices.BinarySearch(topics, topic); !ok {
				return // it came later, and has interrupted this
			}
		}
		t.up, t.granted = true, granted
		if !t.joined || begun == 0 {
			t.joined, t.stale = true, true
		}
	})
}

func (s *stream) reach(revision uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reached = max(s.reached, revision)
}

// missed makes everything stale when there is a connection again.
func (s *stream) missed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reached = 0
	for _, t := range s.taps {
		t.joined = false
	}
}

// deliver tells who is concerned.
func (s *stream) deliver(e client.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Revision > 0 {
		s.reached = max(s.reached, e.Revision-1) // there may be more of that revision
	}
	for _, t := range s.taps {
		if slices.Contains(t.topics, e.Path) {
			t.touched[e.Path] = max(t.touched[e.Path], versionAfter(e))
			signal(t.wake)
		}
	}
}

// versionAfter is the version that has the effect of an event, as all after it have.
// Of what changes a version that there is, none has for sure.
func versionAfter(e client.Event) int {
	switch e.Type {
	case "kv-v2/data-write", "kv-v2/data-patch":
		if n, err := strconv.Atoi(e.Metadata["current_version"]); err == nil {
			return n
		}
	}
	return math.MaxInt
}
