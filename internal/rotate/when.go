package rotate

import (
	"context"
	"errors"
	"time"

	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/schedule"
	"github.com/cofferhq/coffer/internal/storage"
)

// current loads the rotation that the item is about. If the rotation has gone or
// is due later, it returns nil. The item may bear another time than the state says:
// that of a try that the store did not let begin, or one to which the queue was put
// back with the clock.
func (r *Rotator) current(ctx context.Context, i due.Item) (w *work, err error) {
	_, err = storage.Update(ctx, r.store, func(tx *storage.Tx) error {
		w, err = r.load(ctx, tx, i.Ref)
		switch {
		case errors.Is(err, ErrUnknown), err == nil && w.state.Due.IsZero():
			w = nil
			due.Cancel(tx, i)
			return nil
		case err != nil || !w.state.Due.After(r.now()):
			return err
		}
		early := w
		w = nil
		if early.state.Due.Equal(i.At) {
			return nil // the clock went back a little just now
		}
		due.Cancel(tx, i)
		return r.replan(tx, early)
	})
	return w, err
}

// replan plans anew what the queue has called for too early: an attempt goes on now,
// the next one is due by the schedule, counted from now, at the latest.
func (r *Rotator) replan(tx *storage.Tx, w *work) error {
	s, at := &w.state, r.now()
	if s.Attempt == nil {
		at = w.soonest(s.Due, at)
		s.Next = at
	}
	r.moveTo(tx, w.ID, s, at)
	return r.putState(tx, w.ID, s)
}

// soonest is when an attempt is due that was planned for at, but no later than the
// first after now: a clock may have been put back since it was planned.
func (w *work) soonest(at, now time.Time) time.Time {
	if next := w.plan.Next(now); at.After(next) {
		return next
	}
	return at
}

// lateness is what a run may be late for its place in the queue. What is later was
// missed, because nobody was there.
const lateness = time.Minute

// dueAt returns when the attempt that was planned for state.Next is due, seen at
// now.
func (w *work) dueAt(now time.Time) time.Time {
	if w.state.Next.IsZero() || now.Sub(w.state.Next) <= lateness {
		return w.soonest(w.state.Next, now)
	}
	policy, err := schedule.ParsePolicy(w.Missed)
	if err != nil {
		return now
	}
	// Of a period, the run before counts.
	last := w.state.Next.Add(-max(w.plan.Period(), time.Nanosecond))
	return w.plan.Missed(last, now, policy)
}
