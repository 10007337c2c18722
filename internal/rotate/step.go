package rotate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/source"
	"github.com/cofferhq/coffer/internal/storage"
)

// steps say what is done at each. All bear being done again: after a crash it is
// not known how far they came.
var steps = map[Step]func(r *Rotator, ctx context.Context, w *work, src source.Source) move{
	Creating:   (*Rotator).create,
	Setting:    (*Rotator).set,
	Testing:    (*Rotator).test,
	Publishing: (*Rotator).publish,
	Awaiting:   (*Rotator).await,
	Retiring:   (*Rotator).retire,
	Verifying:  (*Rotator).verify,
}

// attempt is what sources are told of the attempt.
func (w *work) attempt() source.Attempt {
	a := w.state.Attempt
	return source.Attempt{
		ID: a.ID, Rotation: w.Name, Number: a.Number,
		Candidate: a.Candidate.values(), Predecessor: a.Predecessor.values(),
	}
}

// create stores the candidate before anything outside can know it.
func (r *Rotator) create(ctx context.Context, w *work, src source.Source) move {
	candidate, err := src.Create(ctx, w.attempt())
	if err != nil {
		return move{fail: err}
	}
	return move{next: Setting, change: func(_ context.Context, _ *storage.Tx, s *State) error {
		s.Attempt.Candidate = hide(candidate)
		return nil
	}}
}

// set makes the candidate valid. What an earlier try did is settled by a login
// first; whatever that did, the same candidate is set, and no other is made.
func (r *Rotator) set(ctx context.Context, w *work, src source.Source) move {
	a := w.attempt()
	if w.state.Attempt.Tries > 0 && src.Test(ctx, a.Candidate) == nil {
		return move{next: Testing}
	}
	if err := src.Set(ctx, a); err != nil {
		return move{fail: err}
	}
	return move{next: Testing}
}

// test shows that the candidate works, before anybody gets it.
func (r *Rotator) test(ctx context.Context, w *work, src source.Source) move {
	err := src.Test(ctx, w.attempt().Candidate)
	tested := Worked
	switch {
	case errors.Is(err, source.ErrNoLogin):
		tested = Unverifiable
	case errors.Is(err, source.ErrRefused):
		return move{next: Setting, after: time.Second, change: func(_ context.Context, _ *storage.Tx, s *State) error {
			s.Failures++
			s.LastError = "the new credential was refused: it is set again"
			return nil
		}}
	case err != nil:
		return move{fail: err}
	}
	return move{next: Publishing, change: func(_ context.Context, _ *storage.Tx, s *State) error {
		s.Attempt.Tested = tested
		return nil
	}}
}

// publish gives the candidate to its readers, in the commit that remembers it.
func (r *Rotator) publish(_ context.Context, w *work, _ source.Source) move {
	a := w.attempt()
	fields := map[string]secret.Bytes{}
	for from, to := range w.Target.Fields {
		fields[to] = a.Candidate[from]
	}
	for from, to := range w.Target.Previous {
		fields[to] = a.Predecessor[from]
	}
	next := Retiring
	if w.bothValid() {
		next = Awaiting
	}
	return move{next: next, change: func(ctx context.Context, tx *storage.Tx, s *State) error {
		version, err := r.house.Publish(ctx, tx, &w.Target, fields, s.Attempt.ID)
		if err != nil {
			return stepFailed(err)
		}
		s.Attempt.Published, s.Attempt.Version, s.Attempt.Epoch = r.now(), version, r.currentEpoch()
		return nil
	}}
}

// stepFailed makes err the failure of the step, unless the store has to say it: a
// conflict is tried again.
func stepFailed(err error) error {
	if errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrUnknownOutcome) || errors.Is(err, logical.ErrSealed) {
		return err
	}
	return fmt.Errorf("%w: %w", errStep, err)
}

// bothValid says whether the predecessor is valid beside the candidate.
func (w *work) bothValid() bool {
	a := w.state.Attempt
	return w.Strategy == source.Alternate && len(a.Predecessor) > 0 && !a.Emergency
}

// await waits until readers have the candidate.
func (r *Rotator) await(ctx context.Context, w *work, src source.Source) move {
	a := w.state.Attempt
	tally, err := r.tally(ctx, w, src)
	if err != nil {
		return move{fail: err}
	}
	published, now := a.Published, r.now()
	if published.After(now) { // the clock was put back: the whole grace counts from now
		published = now
	}
	age := now.Sub(published)
	m := move{next: Retiring, change: func(_ context.Context, _ *storage.Tx, s *State) error {
		s.Attempt.Tally, s.Attempt.Published = tally, published
		return nil
	}}
	if wait := w.wait(tally, age, a.Epoch == r.currentEpoch()); wait > 0 && !a.Emergency {
		m.next, m.after = Awaiting, wait
	}
	return m
}

func (r *Rotator) tally(ctx context.Context, w *work, src source.Source) (Tally, error) {
	a := w.state.Attempt
	n, err := src.Sessions(ctx, a.Predecessor.values())
	if err != nil && !errors.Is(err, source.ErrNoSessions) {
		r.log.Warn("rotation: counting sessions", "rotation", w.ID, "attempt", a.ID, "error", err)
	}
	return r.consumers.Tally(ctx, &w.Target, a.Version, w.Roles, err == nil && n == 0)
}

// wait returns how long to wait on, from age after publishing; zero: no longer.
// Consumers that have gone without a word, and those that nobody may have seen
// because the process is another, count as behind until the grace is over.
func (w *work) wait(t Tally, age time.Duration, seenAll bool) time.Duration {
	var until time.Duration
	switch {
	case w.Await != AwaitGrace && t.Behind > 0:
		until = w.Deadline
	case w.Await != AwaitConsumers || t.Unknown > 0 || !seenAll:
		until = w.Grace
	}
	if age >= until {
		return 0
	}
	return min(until-age, w.look())
}

// look is how often it is looked whether consumers have moved: some fifty times,
// but not all the time.
func (w *work) look() time.Duration {
	return min(max(w.Deadline/50, 250*time.Millisecond), 30*time.Second)
}

// retire ends the predecessor.
func (r *Rotator) retire(ctx context.Context, w *work, src source.Source) move {
	if len(w.state.Attempt.Predecessor) > 0 {
		if err := src.Retire(ctx, w.attempt()); err != nil {
			return move{fail: err}
		}
	}
	gone := map[string]secret.Bytes{}
	for _, to := range w.Target.Previous {
		gone[to] = secret.Bytes{}
	}
	return move{next: Verifying, change: func(ctx context.Context, tx *storage.Tx, s *State) error {
		s.Attempt.Retired = r.now()
		if len(gone) == 0 {
			return nil
		}
		// Who has moved has nothing new to read: the version that is awaited stays.
		if _, err := r.house.Publish(ctx, tx, &w.Target, gone, s.Attempt.ID); err != nil {
			return stepFailed(err)
		}
		return nil
	}}
}

// maxDoubts is how often what is inconclusive is tried before it stays so.
const maxDoubts = 5

// verify shows that the predecessor is dead: a login with it is refused, after one
// with the candidate has worked.
func (r *Rotator) verify(ctx context.Context, w *work, src source.Source) move {
	a := w.state.Attempt
	dead, err := r.proof(ctx, w, src)
	if err != nil && a.Tries < maxDoubts {
		return move{fail: err}
	}
	if dead == Alive && a.Tries < maxDoubts {
		// It was not ended after all.
		if err := src.Retire(ctx, w.attempt()); err != nil {
			return move{fail: err}
		}
		return move{fail: errAlive}
	}
	e := a.evidence(r.now())
	e.Dead = dead
	return move{ended: e}
}

var errAlive = logical.Errorf(logical.ErrUpstream, "the retired credential still works: it is retired again")

// proof returns what a login with the predecessor shows, and an error if that may
// be another in a while.
func (r *Rotator) proof(ctx context.Context, w *work, src source.Source) (dead string, err error) {
	a := w.attempt()
	if len(a.Predecessor) == 0 || w.NoVerify {
		return Skipped, nil
	}
	err = src.Test(ctx, a.Candidate)
	if errors.Is(err, source.ErrNoLogin) {
		return Unverifiable, nil
	}
	if err != nil {
		return Inconclusive, err
	}
	switch err := src.Test(ctx, a.Predecessor); {
	case err == nil:
		return Alive, nil
	case errors.Is(err, source.ErrRefused):
		return Dead, nil
	case errors.Is(err, source.ErrNoLogin):
		return Unverifiable, nil
	default:
		return Inconclusive, err
	}
}
