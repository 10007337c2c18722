package quota

import (
	"net/netip"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
)

// maxClients bounds how many clients are counted at once, of all rules together.
// Beyond, those that are seen least begin anew.
const maxClients = 1 << 16

// Limit is a rule in force. It counts each client's requests, with the generic
// cell rate algorithm (a token bucket that holds one point in time): a client
// may make Rate requests at once, rounded down, and has them back evenly within
// the interval. It is safe for concurrent use.
type Limit struct {
	Rule
	span    time.Duration // in which an empty bucket fills
	clients *clients
}

func newLimit(r Rule, c *clients) *Limit {
	return &Limit{Rule: r, span: time.Duration(r.burst()) * r.step(), clients: c}
}

// Standing is what a limit leaves to a client.
type Standing struct {
	Limit     int64         // requests an interval
	Remaining int64         // that could be made at once
	Reset     time.Duration // until all of them can again; if Refused until one can
	Refused   bool          // the request is over the limit
}

// Take counts a request of a client. All clients without a valid address are
// one.
func (l *Limit) Take(addr netip.Addr, now time.Time) Standing {
	return l.clients.of(l, addr.Unmap()).take(l, now.UnixNano())
}

// bucket is what a client has used of a limit.
type bucket struct {
	mu      sync.Mutex // guards the fields below
	full    int64      // Unix time in nanoseconds at which all is there again
	blocked int64      // likewise, until which all is refused
}

func (b *bucket) take(l *Limit, now int64) Standing {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Standing{Limit: l.burst()}
	span, step := int64(l.span), int64(l.step())
	// What lies further ahead than a rule can bring it is of a clock that was set
	// back since: nobody is locked out for that.
	b.full = min(max(b.full, now), now+span)
	b.blocked = min(b.blocked, now+int64(l.Block))
	if wait := b.full + step - span - now; wait > 0 && b.blocked <= now {
		s.Reset, s.Refused = time.Duration(wait), true
		if l.Block > 0 {
			b.blocked = now + int64(l.Block)
		}
	}
	if b.blocked > now {
		s.Reset, s.Refused = time.Duration(b.blocked-now), true
	}
	if s.Refused {
		return s
	}
	b.full += step
	s.Remaining, s.Reset = (span-(b.full-now))/step, time.Duration(b.full-now)
	return s
}

// clients are the buckets in use.
type clients struct {
	buckets *otter.Cache[client, *bucket]
}

type client struct {
	limit *Limit
	addr  netip.Addr
}

func newClients(most int) *clients {
	return &clients{otter.Must(&otter.Options[client, *bucket]{
		MaximumSize: most,
		Executor:    func(fn func()) { fn() }, // no goroutines
	})}
}

func (c *clients) of(l *Limit, addr netip.Addr) *bucket {
	key := client{l, addr}
	if b, ok := c.buckets.GetIfPresent(key); ok {
		return b
	}
	b, _ := c.buckets.SetIfAbsent(key, &bucket{})
	return b
}
