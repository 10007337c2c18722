package due

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cofferhq/coffer/internal/storage"
)

// Handler does what an item asks for. It removes the item with [Cancel] in the
// commit that makes its effect durable. It must bear being called again for an
// item that it has done already. Its context ends after [Patience].
type Handler func(ctx context.Context, i Item) error

// Options is what a Runner is made of. Store, Handlers, Log and Now are needed.
type Options struct {
	Store    storage.Store
	Handlers map[Kind]Handler
	Log      *slog.Logger
	Now      func() time.Time

	// Under is the store below Store's barrier, which does not hide when items are
	// due, and where watching is cheaper; its keys have Prefix before those of Store.
	// Nil: it is Store.
	Under  storage.Store
	Prefix string
	// Steady is time that nobody can set, from any beginning. Nil: the monotonic
	// readings of Now tell; without such, no jump is noticed while the Runner runs.
	Steady func() time.Duration
	// PutBack says of which kinds items are planned anew when the clock was put back.
	// Their handlers bear being called before the time that they have planned. Those
	// of other kinds stay where they are.
	PutBack map[Kind]Reach
	// Jumped is told of each jump of the clock, perhaps twice. May be nil.
	Jumped func(ctx context.Context, j Jump)
}

// Reach says which items of a kind are put back with the clock.
type Reach uint8

const (
	// Stay: none are, as each has an end that is on record.
	Stay Reach = iota
	// Retries: those that were due soon, which are tried again after a failure or
	// some such.
	Retries
	// All: every one.
	All
)

// Runner does what has fallen due. It owns two goroutines, which Start starts and
// Close joins, and at most eight more, one for each item under way. What is due
// lives in the store.
type Runner struct {
	Options
	clock *clock

	cancel context.CancelFunc
	done   chan struct{} // closed when run has returned
	wake   chan struct{} // holds one element if the queue is to be looked at now

	slots   chan struct{} // one taken for each item under way
	working sync.WaitGroup

	// These belong to run.
	begun   bool          // the clock's record was read
	back    []setback     // still to be done
	jumps   []Jump        // still to be told of
	savedAt time.Duration // by the steady time

	unsaved atomic.Bool // the clock's record is out of date

	mu    sync.Mutex          // guards the fields below
	busy  map[string]struct{} // keys of the items under way
	next  time.Time           // when to look at the queue, by the clock; zero: at the next tick
	heard time.Time           // the earliest item that was added since the last look began; zero: none
}

// Patience is how long a handler may take.
const Patience = time.Minute

const (
	workers  = 8                      // items under way at once
	batch    = 1024                   // items read at once
	interval = 500 * time.Millisecond // between looks at the clock, and at a queue in which something is due
	least    = 10 * time.Millisecond  // between looks at the queue, whatever is added to it
	atMost   = time.Minute            // between looks at the queue, whatever is known of it
	beat     = 10 * time.Minute       // between records of the clock
	maxPause = 10 * time.Minute       // between attempts
)

// Start returns a running Runner. The options must not change any more.
func Start(o Options) *Runner {
	if o.Under == nil {
		o.Under = o.Store
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Runner{
		Options: o, clock: newClock(o.Now, o.Steady), cancel: cancel,
		done: make(chan struct{}), wake: make(chan struct{}, 1),
		slots: make(chan struct{}, workers), busy: make(map[string]struct{}),
	}
	go r.run(ctx)
	return r
}

// Close stops the Runner and waits for work in progress to return.
func (r *Runner) Close() error { r.cancel(); <-r.done; return nil }

func (r *Runner) run(ctx context.Context) {
	defer close(r.done)
	defer r.working.Wait()
	r.working.Go(func() { r.listen(ctx) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.wake:
		}
		if err := r.look(ctx); err != nil && ctx.Err() == nil {
			r.Log.Error("reading the due queue", "error", err)
		}
		timer.Reset(r.pause())
	}
}

// look looks at the clock and, if it is time, at the queue.
func (r *Runner) look(ctx context.Context) error {
	if err := r.keepTime(ctx); err != nil {
		return err
	}
	if !r.isTime() {
		return nil
	}
	return r.pass(ctx)
}

func (r *Runner) isTime() bool {
	now := r.clock.read()
	r.mu.Lock()
	defer r.mu.Unlock()
	return !now.Before(r.next)
}

// pause is how long to wait before the next look.
func (r *Runner) pause() time.Duration {
	now := r.clock.read()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next.IsZero() {
		return interval
	}
	return min(max(r.next.Sub(now), least), interval)
}

// pass starts all that is due now and not under way. It waits for a slot for
// each item, but not for the items: one that hangs must not hold up the others.
func (r *Runner) pass(ctx context.Context) error {
	r.mu.Lock()
	r.heard = time.Time{}
	r.mu.Unlock()
	next := r.clock.read().Add(atMost)
	var unread error
	for _, s := range r.clock.spans() {
		for after := s.after; ; {
			p, err := read(ctx, r.Store, s.until, after, batch)
			unread = errors.Join(unread, err)
			for _, item := range p.items {
				next = time.Time{} // what stays is looked at with the next tick
				if !r.start(ctx, item) {
					return ctx.Err()
				}
			}
			if later := p.later.Add(s.ahead); !p.later.IsZero() && later.Before(next) {
				next = later
			}
			if after = p.last; after == "" {
				break
			}
		}
	}
	if unread != nil {
		next = time.Time{}
	}
	r.plan(next)
	return unread
}

// plan has the queue looked at at next, or for what was added meanwhile.
func (r *Runner) plan(next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.heard.IsZero() && r.heard.Before(next) {
		next = r.heard
	}
	r.next = next
}

// start does item in a slot of its own, unless it is under way. It says no if
// ctx has ended.
func (r *Runner) start(ctx context.Context, item Item) bool {
	if !r.claim(item) {
		return true
	}
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	r.working.Go(func() {
		defer func() { <-r.slots }()
		defer r.yield(item)
		r.do(ctx, item)
	})
	return true
}

func (r *Runner) claim(item Item) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.busy[item.key()]; taken {
		return false
	}
	r.busy[item.key()] = struct{}{}
	return true
}

func (r *Runner) yield(item Item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, item.key())
}

// do calls the item's handler and, if that fails, puts the item off.
func (r *Runner) do(ctx context.Context, item Item) {
	err := r.handle(ctx, item)
	if err == nil || ctx.Err() != nil {
		return
	}
	next := item
	next.Attempts++
	next.At = r.Now().Add(Pause(next.Attempts))
	r.Log.Warn("due item failed, will try again", "kind", item.Kind, "ref", item.Ref,
		"attempts", next.Attempts, "next", next.At, "error", err)
	_, err = storage.Update(ctx, r.Store, func(tx *storage.Tx) error { return move(ctx, tx, item, next) })
	if err != nil && ctx.Err() == nil {
		r.Log.Error("rescheduling a due item", "kind", item.Kind, "ref", item.Ref, "error", err)
	}
}

// move puts next in the place of item, unless somebody has cancelled that.
func move(ctx context.Context, tx *storage.Tx, item, next Item) error {
	if _, err := tx.Get(ctx, item.key()); err != nil {
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		return err
	}
	Cancel(tx, item)
	return Schedule(tx, next)
}

func (r *Runner) handle(ctx context.Context, item Item) error {
	handle := r.Handlers[item.Kind]
	if handle == nil {
		return errors.New("due: no handler for this kind")
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return handle(ctx, item)
}

// Pause is the time to wait before the next attempt: it doubles with each, from
// a second to ten minutes, and varies by a fifth so that many don't meet.
func Pause(attempts int) time.Duration {
	d := maxPause
	if attempts < 10 {
		d = time.Second << max(attempts-1, 0)
	}
	return d - time.Duration(rand.Int64N(int64(d)/5))
}
