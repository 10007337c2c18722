package due

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cofferhq/coffer/internal/storage"
)

// Handler does what an item asks for. It removes the item with [Cancel] in the
// commit that makes its effect durable. It must bear being called again for an
// item that it has done already. Its context ends after [Patience].
type Handler func(ctx context.Context, i Item) error

// Runner does what has fallen due. It owns one goroutine, which Start starts and
// Close joins, and at most eight more, one for each item under way. What is due
// lives in the store.
type Runner struct {
	store    storage.Store
	handlers map[Kind]Handler
	log      *slog.Logger
	now      func() time.Time

	cancel context.CancelFunc
	done   chan struct{} // closed when run has returned

	slots   chan struct{} // one taken for each item under way
	working sync.WaitGroup

	mu   sync.Mutex          // guards the field below
	busy map[string]struct{} // keys of the items under way
}

// Patience is how long a handler may take.
const Patience = time.Minute

const (
	workers  = 8                      // items under way at once
	batch    = 1024                   // items read at once
	interval = 500 * time.Millisecond // between looks at the queue
	maxPause = 10 * time.Minute       // between attempts
)

// Start returns a running Runner. The handlers must not change any more.
func Start(s storage.Store, handlers map[Kind]Handler, log *slog.Logger, now func() time.Time) *Runner {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Runner{
		store: s, handlers: handlers, log: log, now: now, cancel: cancel, done: make(chan struct{}),
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
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := r.pass(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("reading the due queue", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// pass starts all that is due now and not under way. It waits for a slot for
// each item, but not for the items: one that hangs must not hold up the others.
func (r *Runner) pass(ctx context.Context) error {
	var unread error
	for after := ""; ; {
		items, last, err := read(ctx, r.store, r.now(), after, batch)
		unread = errors.Join(unread, err)
		for _, item := range items {
			if !r.start(ctx, item) {
				return ctx.Err()
			}
		}
		if last == "" {
			return unread
		}
		after = last
	}
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
	next.At = r.now().Add(Pause(next.Attempts))
	r.log.Warn("due item failed, will try again", "kind", item.Kind, "ref", item.Ref,
		"attempts", next.Attempts, "next", next.At, "error", err)
	_, err = storage.Update(ctx, r.store, func(tx *storage.Tx) error {
		if _, err := tx.Get(ctx, item.key()); err != nil {
			if errors.Is(err, storage.ErrNotFound) {
				return nil // somebody has cancelled it meanwhile
			}
			return err
		}
		Cancel(tx, item)
		return Schedule(tx, next)
	})
	if err != nil && ctx.Err() == nil {
		r.log.Error("rescheduling a due item", "kind", item.Kind, "ref", item.Ref, "error", err)
	}
}

func (r *Runner) handle(ctx context.Context, item Item) error {
	handle := r.handlers[item.Kind]
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
