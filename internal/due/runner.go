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
// item that it has done already.
type Handler func(ctx context.Context, i Item) error

// Runner does what has fallen due. It owns one goroutine, which Start starts and
// Close joins, and at most Workers more. What is due lives in the store.
type Runner struct {
	store    storage.Store
	handlers map[Kind]Handler
	log      *slog.Logger
	now      func() time.Time

	cancel context.CancelFunc
	done   chan struct{} // closed when run has returned
}

const (
	workers  = 8                      // items under way at once
	batch    = 1024                   // items read at once
	interval = 500 * time.Millisecond // between looks at the queue
	maxPause = 10 * time.Minute       // between attempts
)

// Start returns a running Runner. The handlers must not change any more.
func Start(s storage.Store, handlers map[Kind]Handler, log *slog.Logger, now func() time.Time) *Runner {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Runner{store: s, handlers: handlers, log: log, now: now, cancel: cancel, done: make(chan struct{})}
	go r.run(ctx)
	return r
}

// Close stops the Runner and waits for work in progress to return.
func (r *Runner) Close() error { r.cancel(); <-r.done; return nil }

func (r *Runner) run(ctx context.Context) {
	defer close(r.done)
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

var errBatchFull = errors.New("due: batch is full")

// pass does all that is due now.
func (r *Runner) pass(ctx context.Context) error {
	for more := true; more && ctx.Err() == nil; {
		var items []Item
		_, err := Each(ctx, r.store, r.now(), func(i Item) error {
			items = append(items, i)
			if len(items) == batch {
				return errBatchFull
			}
			return nil
		})
		more = errors.Is(err, errBatchFull)
		if err != nil && !more {
			return err
		}
		r.doAll(ctx, items)
	}
	return nil
}

func (r *Runner) doAll(ctx context.Context, items []Item) {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, workers)
	for _, item := range items {
		if ctx.Err() != nil {
			return
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			r.do(ctx, item)
		})
	}
}

func (r *Runner) do(ctx context.Context, item Item) {
	handle := r.handlers[item.Kind]
	err := errors.New("due: no handler for this kind")
	if handle != nil {
		err = handle(ctx, item)
	}
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

// Pause is the time to wait before the next attempt: it doubles with each, from
// a second to ten minutes, and varies by a fifth so that many don't meet.
func Pause(attempts int) time.Duration {
	d := maxPause
	if attempts < 10 {
		d = time.Second << max(attempts-1, 0)
	}
	return d - time.Duration(rand.Int64N(int64(d)/5))
}
