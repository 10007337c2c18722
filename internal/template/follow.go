package template

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/cofferhq/coffer/client"
)

// Following says how a store is kept fresh.
type Following struct {
	Interval time.Duration // of reading what has no lease; zero: DefaultInterval
	// Report is told what goes wrong and is tried again; nil: nobody. Errors hold
	// no value.
	Report func(error)
}

// Follow keeps what is known fresh until ctx ends: it renews leases, replaces
// those that end, reads everything else again each interval and, from a server that
// tells of changes, as soon as it does. [Store.Changed]
// tells of what is new. What was written is not written again, unless it gave a
// lease or a certificate that ends.
func (s *Store) Follow(ctx context.Context, o Following) {
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(func() { s.listen(ctx) })
	for ctx.Err() == nil {
		if s.await(ctx, s.plan(o.Interval)) {
			s.lookAfter(ctx, o)
		}
	}
}

// await returns true when the time has come, and false if there is something to
// plan before. Zero never comes.
func (s *Store) await(ctx context.Context, next time.Time) bool {
	var timer <-chan time.Time
	if !next.IsZero() {
		t := time.NewTimer(time.Until(next))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-s.wake:
		return false
	case <-timer:
		return true
	}
}

// plan schedules what is new and returns when something is due.
func (s *Store) plan(interval time.Duration) (next time.Time) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if e.answer.err != nil {
			continue // the next Render asks again
		}
		if e.due.IsZero() {
			e.schedule(interval, now)
		}
		if !e.due.IsZero() && (next.IsZero() || e.due.Before(next)) {
			next = e.due
		}
	}
	return next
}

// lookAfter asks about everything that is due, and tells of changes once.
func (s *Store) lookAfter(ctx context.Context, o Following) {
	now := time.Now()
	var due []*entry
	s.mu.Lock()
	for _, e := range s.entries {
		if !e.due.IsZero() && !e.due.After(now) {
			due = append(due, e)
		}
	}
	s.mu.Unlock()
	found := make([]*entry, len(due))
	var wg sync.WaitGroup
	for i, e := range due {
		wg.Go(func() {
			s.slots <- struct{}{}
			defer func() { <-s.slots }()
			found[i] = s.look(ctx, e, o)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return
	}
	changed := false
	s.mu.Lock()
	for i, e := range due {
		k := e.query.key()
		if s.entries[k] != e {
			continue // it was forgotten meanwhile
		}
		changed = changed || !same(e.answer, found[i].answer)
		s.entries[k] = found[i]
	}
	if changed {
		close(s.changed)
		s.changed = make(chan struct{})
	}
	s.mu.Unlock()
}

// look renews the lease if that is enough, or asks anew. It returns what takes the
// entry's place.
func (s *Store) look(ctx context.Context, e *entry, o Following) *entry {
	next := &entry{query: e.query, answer: e.answer, upkeep: e.upkeep}
	defer func() { next.schedule(o.Interval, time.Now()) }()
	if e.leaseID != "" && e.renewable && time.Now().Before(e.from.Add(e.span)) {
		kept, err := s.renew(ctx, next)
		if err != nil {
			s.failed(ctx, next, o, err)
			return next
		}
		if kept {
			next.failures = 0
			return next
		}
	}
	a := s.ask(ctx, e.query)
	if a.err != nil {
		s.failed(ctx, next, o, a.err)
		return next
	}
	next.answer, next.upkeep = a, newUpkeep(e.query, a, time.Now())
	return next
}

func (s *Store) failed(ctx context.Context, e *entry, o Following, err error) {
	if e.failures == 0 && ctx.Err() == nil {
		o.Report(fmt.Errorf("follow %w", err))
	}
	e.failures++
}

// renew returns false without an error if a new credential is needed: the server
// refuses, or gives little more.
func (s *Store) renew(ctx context.Context, e *entry) (kept bool, err error) {
	body := map[string]any{"lease_id": e.leaseID, "increment": int(e.first / time.Second)}
	answer, err := s.in(e.query.Namespace).Write(ctx, "sys/leases/renew", body)
	status := client.StatusOf(err)
	switch {
	case err != nil && (status == 0 || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError):
		return false, fmt.Errorf("%s: %w", e.query.Path, err)
	case err != nil || answer == nil:
		return false, nil
	}
	span := time.Duration(answer.LeaseDuration) * time.Second
	if span <= e.first/3 {
		return false, nil
	}
	e.from, e.span, e.renewable = time.Now(), span, answer.Renewable
	return true, nil
}
