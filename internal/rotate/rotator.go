package rotate

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/source"
	"github.com/cofferhq/coffer/internal/storage"
)

// House is what rotations need of the core.
type House interface {
	// Current returns the fields of the newest version of a secret that are texts,
	// and its number; none and zero if there is no secret.
	Current(ctx context.Context, t *Target) (fields map[string]secret.Bytes, version int, err error)

	// Publish gives fields of a secret other values in tx, as a request of that id,
	// and returns the number of the version that has them. An empty value removes
	// its field.
	Publish(ctx context.Context, tx *storage.Tx, t *Target, fields map[string]secret.Bytes, requestID string) (version int, err error)

	// Record puts on record what a rotation is about to do, or has done. No record,
	// no work.
	Record(ctx context.Context, e Entry) error
}

// Entry is a line of the record.
type Entry struct {
	Rotation string
	Attempt  string // its id
	Step     Step
	Ended    *Evidence // nil: it begins
}

// Consumers knows who has read a secret.
type Consumers interface {
	// Tally counts the consumers of a secret, of those with one of the roles (none:
	// any), by what is known of their moving to version. idle says that nobody is
	// logged in with an older one, as far as the source can tell.
	Tally(ctx context.Context, t *Target, version int, roles []string, idle bool) (Tally, error)
}

// Options is what a Rotator is made of. Every field is needed.
type Options struct {
	Store     storage.Store // above the barrier
	Namespace string
	Kinds     source.Kinds
	House     House
	Consumers Consumers
	Log       *slog.Logger
	Now       func() time.Time

	// Announce is told how far a rotation has come, in the transaction that makes it
	// so. May be nil.
	Announce func(tx *storage.Tx, n News) error
}

// Rotator rotates. It is safe for concurrent use, and has no goroutine of its own:
// the due queue calls [Rotator.Do].
type Rotator struct {
	store     storage.Store
	ns        string
	kinds     source.Kinds
	house     House
	consumers Consumers
	log       *slog.Logger
	now       func() time.Time
	announce  func(tx *storage.Tx, n News) error // may be nil

	mu    sync.Mutex          // guards the fields below
	epoch string              // see NewEpoch
	busy  map[string]struct{} // ids of the rotations under way here
}

// New returns a Rotator.
func New(o Options) *Rotator {
	return &Rotator{
		store: o.Store, ns: o.Namespace, kinds: o.Kinds, house: o.House, consumers: o.Consumers, log: o.Log, now: o.Now,
		announce: o.Announce,
		epoch:    rand.Text(), busy: make(map[string]struct{}),
	}
}

// NewEpoch says that reads may have been missed until now: what was published
// earlier is awaited for its whole grace. A new Rotator begins one.
func (r *Rotator) NewEpoch() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epoch = rand.Text()
}

func (r *Rotator) currentEpoch() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.epoch
}

// Kinds returns the sources that there are.
func (r *Rotator) Kinds() source.Kinds { return r.kinds }

var zeroTime time.Time

// moveTo puts the rotation's item in the due queue to at; zero: takes it off.
func (r *Rotator) moveTo(tx *storage.Tx, id string, s *State, at time.Time) {
	if !s.Due.IsZero() {
		due.Cancel(tx, r.item(id, s))
	}
	if s.Due = at; at.IsZero() {
		return
	}
	if err := due.Schedule(tx, r.item(id, s)); err != nil {
		panic("rotate: internal error: " + err.Error()) // an item always marshals
	}
}

// errBusy says that the rotation is being worked on already.
var errBusy = errors.New("rotate: the rotation is being worked on")

func (r *Rotator) lock(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, busy := r.busy[id]; busy {
		return false
	}
	r.busy[id] = struct{}{}
	return true
}

func (r *Rotator) unlock(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, id)
}

// Do is the due queue's handler: it takes the rotation as far as it goes now.
func (r *Rotator) Do(ctx context.Context, i due.Item) error {
	if !r.lock(i.Ref) {
		return errBusy
	}
	defer r.unlock(i.Ref)
	for {
		w, err := r.current(ctx, i)
		if w == nil || err != nil {
			return err
		}
		on, err := r.advance(ctx, w)
		if err != nil || !on {
			return err
		}
	}
}

// move is what a step has found out.
type move struct {
	fail  error     // try the step again later
	ended *Evidence // the attempt has ended
	next  Step
	after time.Duration // when to go on; zero: at once
	// change is what else is to be stored, in the same commit. It may run again.
	change func(ctx context.Context, tx *storage.Tx, s *State) error
}

// advance does what comes next, and says whether more can be done at once.
func (r *Rotator) advance(ctx context.Context, w *work) (on bool, err error) {
	if w.state.Attempt == nil {
		return r.begin(ctx, w)
	}
	src, err := w.open(r.kinds)
	if err != nil {
		return false, err
	}
	defer src.Close()
	step := steps[w.state.Attempt.Step]
	if step == nil {
		return false, errors.New("rotate: an attempt is at a step that this coffer does not know")
	}
	bounded, cancel := context.WithTimeout(ctx, touchTime)
	defer cancel()
	m := step(r, bounded, w, src)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	return r.commit(ctx, w, m)
}

// touchTime bounds one step, so that several fit in the time that the due queue
// gives its handlers.
const touchTime = 25 * time.Second

// begin begins an attempt, unless the rotation is not due: it is paused, or its
// time went by and the policy says to wait for the next.
func (r *Rotator) begin(ctx context.Context, w *work) (on bool, err error) {
	now := r.now()
	a := &Attempt{ID: rand.Text(), Number: w.state.Attempts + 1, Emergency: w.state.Now, Began: now, Step: Creating}
	if !w.state.Now {
		if at := w.dueAt(now); at.After(now) {
			return false, r.change(ctx, w, func(tx *storage.Tx, s *State) error {
				s.Next = at
				r.moveTo(tx, w.ID, s, at)
				return nil
			})
		}
	}
	old, err := r.predecessor(ctx, w)
	if err == nil {
		err = r.house.Record(ctx, Entry{Rotation: w.Name, Attempt: a.ID, Step: Creating})
	}
	if err != nil {
		return false, r.fail(ctx, w, err)
	}
	a.Predecessor = hide(old)
	return true, r.change(ctx, w, func(_ *storage.Tx, s *State) error {
		s.Attempt, s.Attempts, s.LastAttempt, s.Now = a, a.Number, now, false
		return nil
	})
}

// predecessor returns the secret that readers have now: what the target holds, if
// it holds all of it.
func (r *Rotator) predecessor(ctx context.Context, w *work) (source.Values, error) {
	fields, _, err := r.house.Current(ctx, &w.Target)
	if err != nil {
		return nil, err
	}
	old := source.Values{}
	for from, to := range w.Target.Fields {
		value, ok := fields[to]
		if !ok || value.Empty() {
			return nil, nil
		}
		old[from] = value
	}
	return old, nil
}

// change stores what fn changes of the state, unless somebody else has changed it:
// then what was found out is forgotten, and found out again.
func (r *Rotator) change(ctx context.Context, w *work, fn func(tx *storage.Tx, s *State) error) error {
	_, err := storage.Update(ctx, r.store, func(tx *storage.Tx) error {
		now, err := r.load(ctx, tx, w.ID)
		if errors.Is(err, ErrUnknown) || err == nil && now.rev != w.rev {
			return nil
		}
		if err != nil {
			return err
		}
		before := now.state
		if a := before.Attempt; a != nil {
			was := *a
			before.Attempt = &was
		}
		if err := fn(tx, &now.state); err != nil {
			return err
		}
		if err := r.tell(tx, w, before, now.state); err != nil {
			return err
		}
		return r.putState(tx, w.ID, &now.state)
	})
	return err
}

// commit stores what a step has found out, and says whether more can be done at
// once.
func (r *Rotator) commit(ctx context.Context, w *work, m move) (on bool, err error) {
	switch {
	case m.fail != nil:
		return false, r.fail(ctx, w, m.fail)
	case m.ended != nil:
		return false, r.end(ctx, w, m.ended)
	}
	err = r.change(ctx, w, func(tx *storage.Tx, s *State) error {
		if s.Attempt.Step != m.next {
			s.Attempt.Step, s.Attempt.Tries = m.next, 0
		}
		if m.after > 0 {
			r.moveTo(tx, w.ID, s, r.now().Add(m.after))
		}
		if m.change == nil {
			return nil
		}
		return m.change(ctx, tx, s)
	})
	if err != nil && errors.Is(err, errStep) {
		return false, r.fail(ctx, w, err)
	}
	return err == nil && m.after == 0, err
}

// errStep is wrapped by what a step's own part of a commit fails with, which is
// then the step's failure.
var errStep = errors.New("rotate: step failed")

// fail remembers that a step failed, or the beginning of an attempt, and when it is
// tried again.
func (r *Rotator) fail(ctx context.Context, w *work, cause error) error {
	tries := w.state.Failures + 1
	if a := w.state.Attempt; a != nil {
		tries = a.Tries + 1
	}
	pause := due.Pause(tries)
	r.log.Warn("rotation failed, will try again", "rotation", w.ID, "step", w.step(), "tries", tries, "in", pause, "error", cause)
	return r.change(ctx, w, func(tx *storage.Tx, s *State) error {
		if s.Attempt != nil {
			s.Attempt.Tries++
		}
		s.Failures++
		s.LastError = callerText(cause)
		r.moveTo(tx, w.ID, s, r.now().Add(pause))
		return nil
	})
}

// step is what the attempt is at; empty: there is none.
func (w *work) step() Step {
	if w.state.Attempt == nil {
		return ""
	}
	return w.state.Attempt.Step
}

// callerText is what people may see of a failure; all else stays in the log.
func callerText(err error) string {
	var e *logical.Error
	switch {
	case errors.As(err, &e):
		return e.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "the system did not answer in time"
	}
	return "internal error"
}

// end ends an attempt with what is known of it, and plans the next one. The record
// comes first: after a crash between, it is there twice.
func (r *Rotator) end(ctx context.Context, w *work, e *Evidence) error {
	if err := r.house.Record(ctx, Entry{Rotation: w.Name, Attempt: e.ID, Step: w.step(), Ended: e}); err != nil {
		return r.fail(ctx, w, err)
	}
	return r.change(ctx, w, func(tx *storage.Tx, s *State) error {
		s.Attempt = nil
		switch {
		case e.Dead == Alive:
			s.Failures++
			s.LastError = "the retired credential still works"
		case e.Error == "":
			s.LastSuccess, s.Failures, s.LastError = e.Ended, 0, ""
		}
		s.Next = w.plan.Next(w.reference(e))
		r.moveTo(tx, w.ID, s, zeroTime)
		if !w.Paused {
			r.moveTo(tx, w.ID, s, s.Next)
		}
		return r.putEvidence(tx, w.ID, e)
	})
}

// reference is the time from which the next attempt is counted: a period runs from
// the beginning of the last one, unless that took longer, or the clock was put back.
func (w *work) reference(e *Evidence) time.Time {
	if p := w.plan.Period(); p > 0 && e.Began.Add(p).After(e.Ended) && !e.Began.After(e.Ended) {
		return e.Began
	}
	return e.Ended
}

// evidence is what is known of the attempt if it ends at now.
func (a *Attempt) evidence(now time.Time) *Evidence {
	return &Evidence{
		ID: a.ID, Number: a.Number, Emergency: a.Emergency, Began: a.Began, Published: a.Published, Retired: a.Retired,
		Ended: now, Version: a.Version, Tally: a.Tally, Tested: a.Tested,
	}
}
