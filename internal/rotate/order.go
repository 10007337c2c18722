package rotate

import (
	"context"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/source"
	"github.com/cofferhq/coffer/internal/storage"
)

// Trigger has an attempt begin now, or one that is under way go on now. In an
// emergency it waits for nobody: the old secret is ended as soon as the new one
// works. It returns the number of the attempt.
func (r *Rotator) Trigger(ctx context.Context, tx *storage.Tx, name string, emergency bool) (attempt int, err error) {
	w, err := r.loadNamed(ctx, tx, name)
	if err != nil {
		return 0, err
	}
	s := &w.state
	if attempt = s.Attempts + 1; s.Attempt == nil {
		s.Now, s.Next = s.Now || emergency, r.now()
	} else {
		attempt = s.Attempt.Number
		s.Attempt.Emergency = s.Attempt.Emergency || emergency
	}
	r.moveTo(tx, w.ID, s, r.now())
	return attempt, r.putState(tx, w.ID, s)
}

// Pause keeps attempts from beginning, until Resume. One that is under way goes
// on: half-way is no place to stay.
func (r *Rotator) Pause(ctx context.Context, tx *storage.Tx, name string) error {
	return r.setPaused(ctx, tx, name, true)
}

// Resume undoes Pause. What was missed is due by the rotation's policy.
func (r *Rotator) Resume(ctx context.Context, tx *storage.Tx, name string) error {
	return r.setPaused(ctx, tx, name, false)
}

func (r *Rotator) setPaused(ctx context.Context, tx *storage.Tx, name string, paused bool) error {
	w, err := r.loadNamed(ctx, tx, name)
	if err != nil || w.Paused == paused {
		return err
	}
	w.Paused = paused
	if err := r.putRotation(tx, &w.Rotation); err != nil {
		return err
	}
	if w.state.Attempt == nil {
		at := w.dueAt(r.now())
		if paused {
			at = zeroTime
		}
		r.moveTo(tx, w.ID, &w.state, at)
	}
	return r.putState(tx, w.ID, &w.state)
}

// Abandon ends an attempt that can't go on, and that nobody has got anything of:
// one which has not published its candidate, while the predecessor is shown to
// work and the candidate not to.
func (r *Rotator) Abandon(ctx context.Context, name string) error {
	var w *work
	err := storage.View(ctx, r.store, func(tx *storage.Tx) (err error) {
		w, err = r.loadNamed(ctx, tx, name)
		return err
	})
	if err != nil {
		return err
	}
	if !r.lock(w.ID) {
		return logical.Errorf(logical.ErrConflict, "rotation %q is being worked on at this moment, try again", name)
	}
	defer r.unlock(w.ID)
	if err := r.abandonable(ctx, w); err != nil {
		return err
	}
	e := w.state.Attempt.evidence(r.now())
	e.Error = "abandoned: " + w.state.LastError
	return r.end(ctx, w, e)
}

// abandonable says why the attempt of w must go on.
func (r *Rotator) abandonable(ctx context.Context, w *work) error {
	a := w.state.Attempt
	switch {
	case a == nil:
		return logical.Invalid("rotation %q has no attempt under way", w.Name)
	case a.Step == Creating:
		return nil
	case a.Step != Setting && a.Step != Testing:
		return logical.Invalid("the new credential is being published, or has been: the attempt can only go on")
	}
	src, err := w.open(r.kinds)
	if err != nil {
		return err
	}
	defer src.Close()
	if src.Test(ctx, a.Candidate.values()) == nil {
		return logical.Invalid("the new credential works: the attempt must go on")
	}
	if w.Strategy == source.Replace && src.Test(ctx, a.Predecessor.values()) != nil {
		return logical.Invalid("it can't be shown that the old credential still works").
			WithHint("mend the source, so that the attempt can go on")
	}
	return nil
}
