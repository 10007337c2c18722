package due

import (
	"context"
	"errors"
	"time"

	"github.com/cofferhq/coffer/internal/storage"
)

// keepTime looks at the clock, and does what its jumps make necessary. After an
// error, which leaves the rest for the next time, the queue is not to be worked off.
func (r *Runner) keepTime(ctx context.Context) error {
	if !r.begun {
		if err := r.beginTime(ctx); err != nil {
			return err
		}
	} else {
		before := r.clock.held()
		jump, back := r.clock.look()
		r.note(jump, back)
		if before != nil && r.clock.held() == nil {
			r.Log.Info("nothing is held back any more: the clock tells the time that it should")
			r.unsaved.Store(true)
		}
	}
	for len(r.back) > 0 {
		if err := r.putBack(ctx, r.back[0]); err != nil {
			return err
		}
		r.back = r.back[1:]
	}
	if r.unsaved.Swap(false) || r.clock.steady()-r.savedAt >= beat {
		if err := r.store(ctx, r.clock.state()); err != nil {
			r.unsaved.Store(true)
			return err
		}
		r.savedAt = r.clock.steady()
	}
	for len(r.jumps) > 0 {
		if r.Jumped != nil {
			r.Jumped(ctx, r.jumps[0])
		}
		r.jumps = r.jumps[1:]
	}
	return nil
}

func (r *Runner) beginTime(ctx context.Context) error {
	var last watch
	err := storage.View(ctx, r.Store, func(tx *storage.Tx) error {
		e, err := tx.Get(ctx, watchKey())
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := watchForm.Decode(e.Value, &last); err != nil {
			r.Log.Error("reading when the due queue was last worked off", "error", err)
			last = watch{}
		}
		return nil
	})
	if err != nil {
		return err
	}
	jump, back := r.clock.begin(last)
	r.begun = true
	r.unsaved.Store(true)
	r.note(jump, back)
	if h := r.clock.held(); h != nil && jump == nil {
		r.Log.Error(holds, "jump", h.Why, "clock", h.Since, "hint", confirm)
	}
	return nil
}

// What the log says while something is held back.
const (
	holds   = "what fell due by a jump of the clock is held back until somebody confirms the time"
	confirm = "correct the clock, or confirm it: coffer operator due -confirm"
)

// note takes a jump on record.
func (r *Runner) note(jump *Jump, back []setback) {
	r.back = append(r.back, back...)
	if jump == nil {
		return
	}
	r.unsaved.Store(true)
	r.jumps = append(r.jumps, *jump)
	r.hear(longAgo) // what is known of the next look is of another time
	if jump.Holds {
		r.Log.Error(holds, "jump", jump.String(), "clock", jump.At, "hint", confirm)
		return
	}
	r.Log.Warn("the clock has jumped", "jump", jump.String(), "clock", jump.At)
}

func (r *Runner) store(ctx context.Context, w watch) error {
	value, err := watchForm.Encode(&w)
	if err != nil {
		return err
	}
	_, err = storage.Update(ctx, r.Store, func(tx *storage.Tx) error {
		tx.Put(watchKey(), value)
		return nil
	})
	return err
}

// moves says whether an item that was planned by a clock which was put back is
// moved. after is what time it was by that.
func (r *Runner) moves(i Item, after time.Time) bool {
	const soon = maxPause + maxPause/2
	switch r.PutBack[i.Kind] {
	case All:
		return true
	case Retries:
		return i.Attempts > 0 || i.At.Sub(after) <= soon
	}
	return false
}

// atOnce is how many items are moved in a commit: each takes two operations.
const atOnce = storage.MaxOps/2 - 1

// putBack moves what is planned for later than a time, so that nothing waits longer
// than it was meant to. Done twice, it moves some things twice: they are done early,
// which their handlers bear.
func (r *Runner) putBack(ctx context.Context, s setback) error {
	for after := afterTime(s.after); after != ""; {
		p, err := read(ctx, r.Store, latest, after, batch)
		if err != nil && len(p.items) == 0 {
			return err
		}
		after = p.last
		var moving []Item
		for _, i := range p.items {
			if r.moves(i, s.after) {
				moving = append(moving, i)
			}
		}
		for len(moving) > 0 {
			n := min(len(moving), atOnce)
			if err := r.moveBack(ctx, moving[:n], s.by); err != nil {
				return err
			}
			moving = moving[n:]
		}
	}
	return nil
}

func (r *Runner) moveBack(ctx context.Context, items []Item, by time.Duration) error {
	_, err := storage.Update(ctx, r.Store, func(tx *storage.Tx) error {
		for _, i := range items {
			next := i
			next.At = i.At.Add(-by)
			if err := move(ctx, tx, i, next); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// Time is what time it is for what should not take part in a jump that nobody has
// confirmed: by the clock, unless it went forward.
func (r *Runner) Time() time.Time { return r.clock.line() }

// Held returns what is held back; nil if nothing is.
func (r *Runner) Held() *Hold { return r.clock.held() }

// Confirm says that the clock tells the right time: what is held back is done. It
// says whether anything was.
func (r *Runner) Confirm(ctx context.Context) (bool, error) {
	h := r.clock.held()
	if h == nil {
		return false, nil
	}
	if err := r.store(ctx, watch{Here: r.clock.state().Here}); err != nil {
		return false, err
	}
	released := r.clock.release(h)
	r.unsaved.Store(true) // the run may have stored the hold meanwhile
	r.hear(longAgo)
	return released, nil
}

// Status is how the queue stands.
type Status struct {
	Waiting map[Kind]int // due by the clock and not done yet, held or not
	Oldest  time.Time    // when the first of them was due; zero: there is none
	Held    int          // of them, those that are held back
	Hold    *Hold        // nil: nothing is held back
	Next    time.Time    // when the first is due of those that are not yet; zero: there is none
}

// Status reads how the queue stands: it counts all that is due.
func (r *Runner) Status(ctx context.Context) (*Status, error) {
	now, hold := r.clock.read(), r.clock.held()
	s := &Status{Waiting: map[Kind]int{}, Hold: hold}
	for after := ""; ; {
		p, err := read(ctx, r.Store, now, after, batch)
		if err != nil && len(p.items) == 0 {
			return nil, err
		}
		for _, i := range p.items {
			if s.Oldest.IsZero() {
				s.Oldest = i.At
			}
			s.Waiting[i.Kind]++
			if hold != nil && i.At.After(hold.Line) && !i.At.After(hold.Until) {
				s.Held++
			}
		}
		if after = p.last; after == "" {
			s.Next = p.later
			return s, nil
		}
	}
}
