package secrets

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/cofferhq/coffer/client"
)

// teller tells the application of new values, and the server of what the
// application uses. It owns no lock while it does.
type teller struct {
	*Group
	acks acknowledger
}

// handler is one OnChange. Its fields but fn are the telling goroutine's.
type handler struct {
	fn       func(context.Context, Snapshot) error
	told     uint64 // generation that it has taken
	tried    uint64 // generation that it has refused
	failures int    // in a row
	again    time.Time
}

func newTeller(g *Group) *teller {
	return &teller{Group: g, acks: acknowledger{group: g, told: map[place]int{}}}
}

// work looks after each change until ctx ends.
func (t *teller) work(ctx context.Context) {
	for {
		next := t.advance(ctx)
		var due <-chan time.Time
		var timer *time.Timer
		if !next.IsZero() {
			timer = time.NewTimer(time.Until(next))
			due = timer.C
		}
		select {
		case <-ctx.Done():
		case <-t.news:
		case <-due:
		}
		if timer != nil {
			timer.Stop()
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// advance does what can be done now, and says when there is more without news;
// zero: never.
func (t *teller) advance(ctx context.Context) time.Time {
	s := t.Snapshot()
	next := t.call(ctx, s)
	if ctx.Err() != nil {
		return time.Time{}
	}
	if t.movedTo(s.generation) {
		next = soonest(next, t.acks.acknowledge(ctx, s))
	}
	return soonest(next, t.revoke(ctx))
}

func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// call gives s to all handlers that have not taken it, and says when to give it
// again to those that refuse.
func (t *teller) call(ctx context.Context, s Snapshot) (next time.Time) {
	t.mu.Lock()
	handlers := t.handlers
	t.mu.Unlock()
	for _, h := range handlers {
		if ctx.Err() != nil {
			break
		}
		if h.told >= s.generation {
			continue
		}
		if h.tried != s.generation || !time.Now().Before(h.again) {
			t.give(ctx, h, s)
		}
		if h.told < s.generation {
			next = soonest(next, h.again)
		}
	}
	return next
}

func (t *teller) give(ctx context.Context, h *handler, s Snapshot) {
	err := h.fn(ctx, s)
	if err == nil {
		h.told, h.failures = s.generation, 0
		return
	}
	h.failures++
	h.tried, h.again = s.generation, time.Now().Add(t.settings.jitter(doubled(h.failures)))
	if ctx.Err() == nil {
		t.settings.report(fmt.Errorf("the application refuses a new value, which is tried again: %w", err))
	}
}

// doubled is the pause after a number of failures in a row: a second, twice as
// long each time, at most a minute.
func doubled(failures int) time.Duration {
	return min(shortestPause<<min(failures-1, 6), longestPause)
}

// movedTo says whether nothing uses what came before a generation.
func (t *teller) movedTo(generation uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for used := range t.uses {
		if used < generation {
			return false
		}
	}
	return !slices.ContainsFunc(t.handlers, func(h *handler) bool { return h.told < generation })
}

// revoke ends the leases that have not been used for the time of grace.
func (t *teller) revoke(ctx context.Context) (next time.Time) {
	t.mu.Lock()
	all := slices.Clone(t.retired)
	t.mu.Unlock()
	for _, r := range all {
		now := time.Now()
		if r.free.IsZero() && t.movedTo(r.before) {
			r.free = now
		}
		if r.free.IsZero() {
			continue // there will be news
		}
		at := r.free.Add(t.settings.grace)
		if at.After(now) {
			next = soonest(next, at)
			continue
		}
		if err := t.end(ctx, r.lease); err != nil && (r.span == 0 || now.Before(r.from.Add(r.span))) {
			next = soonest(next, now.Add(longestPause))
			continue
		}
		t.mu.Lock()
		t.retired = slices.DeleteFunc(t.retired, func(other *retired) bool { return other == r })
		t.mu.Unlock()
	}
	return next
}

// end revokes a lease. A server that refuses is no error: the lease ends by
// itself, as nobody renews it.
func (t *teller) end(ctx context.Context, l *lease) error {
	_, err := t.resolver.in(l.namespace).Write(ctx, "sys/leases/revoke", map[string]any{"lease_id": l.id})
	if status := client.StatusOf(err); status >= http.StatusBadRequest && status < http.StatusInternalServerError && status != http.StatusTooManyRequests {
		return nil
	}
	return err
}

// close says goodbye and gives the leases back.
func (t *teller) close(ctx context.Context) {
	t.acks.goodbye(ctx, t.Snapshot())
	if t.settings.ours && t.settings.session.login != nil {
		return // the leases go with the session's token
	}
	for _, f := range t.feeds {
		if f.lease != nil {
			t.retire(f.lease, 0)
		}
	}
	for _, r := range t.retired {
		if err := t.end(ctx, r.lease); err != nil {
			t.settings.report(fmt.Errorf("a lease could not be revoked and ends by itself: %w", err))
		}
	}
}
