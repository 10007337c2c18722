package due

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

// house is a queue in the time of a synctest bubble, whose clock can be set.
type house struct {
	t      *testing.T
	store  storage.Store
	began  time.Time
	ahead  atomic.Int64 // of the clock, before the bubble's time
	runner *Runner
	work   work
	jumps  []Jump
}

func (h *house) now() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }

// set moves the clock, and waits until that was noticed.
func (h *house) set(by time.Duration) {
	h.ahead.Add(int64(by))
	time.Sleep(2 * interval)
	synctest.Wait()
}

func (h *house) start() {
	h.t.Helper()
	handle := func(ctx context.Context, i Item) error {
		h.work.mu.Lock()
		h.work.calls = append(h.work.calls, i.Ref)
		h.work.mu.Unlock()
		_, err := storage.Update(ctx, h.store, func(tx *storage.Tx) error { Cancel(tx, i); return nil })
		return err
	}
	h.runner = Start(Options{
		Store: h.store, Handlers: map[Kind]Handler{"k": handle, "end": handle}, Log: slog.New(slog.DiscardHandler), Now: h.now,
		Steady:  func() time.Duration { return time.Since(h.began) },
		PutBack: map[Kind]Reach{"k": All, "end": Retries},
		Jumped:  func(_ context.Context, j Jump) { h.jumps = append(h.jumps, j) },
	})
	time.Sleep(interval)
	synctest.Wait()
}

// restart ends the runner and starts another, after a time in which none ran.
func (h *house) restart(away time.Duration) {
	h.t.Helper()
	h.runner.Close()
	time.Sleep(away)
	h.start()
}

// plan adds items, by the clock as it is.
func (h *house) plan(kind Kind, in time.Duration, refs ...string) {
	h.t.Helper()
	for _, ref := range refs {
		schedule(h.t, h.store, Item{At: h.now().Add(in), Kind: kind, Ref: ref})
	}
}

// wants wants these items, and no others, to have been done since the last time.
func (h *house) wants(refs ...string) {
	h.t.Helper()
	synctest.Wait()
	h.work.mu.Lock()
	defer h.work.mu.Unlock()
	if !slices.Equal(slices.Sorted(slices.Values(h.work.calls)), refs) {
		h.t.Errorf("%s after the beginning: done %q, want %q", time.Since(h.began), h.work.calls, refs)
	}
	h.work.calls = nil
}

func (h *house) holds(want bool) {
	h.t.Helper()
	if got := h.runner.Held(); (got != nil) != want {
		h.t.Errorf("%s after the beginning: held %+v, want %t", time.Since(h.began), got, want)
	}
}

func inHouse(t *testing.T, fn func(h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &house{t: t, store: inmem.New(), began: time.Now()}
		h.start()
		fn(h)
		h.runner.Close()
	})
}

func TestWhatFallsDueByAJumpForwardIsHeldBack(t *testing.T) {
	inHouse(t, func(h *house) {
		h.plan("end", 5*time.Minute, "in five minutes")
		h.plan("end", 10*24*time.Hour, "in ten days")
		h.plan("end", 20*24*time.Hour+time.Hour, "an hour later")
		h.set(20 * 24 * time.Hour)
		h.wants()
		h.holds(true)
		if len(h.jumps) != 1 || !h.jumps[0].Holds || h.jumps[0].By.Round(time.Minute) != 20*24*time.Hour {
			t.Errorf("told of %v", h.jumps)
		}
		h.plan("k", time.Second, "new")
		time.Sleep(2 * time.Second)
		h.wants("new") // what is planned by the new clock is done by it
		time.Sleep(5 * time.Minute)
		h.wants("in five minutes") // it is due without the jump, too
		s, err := h.runner.Status(t.Context())
		if err != nil || s.Held != 1 || s.Waiting["end"] != 1 || s.Hold == nil || s.Next.IsZero() {
			t.Errorf("status %+v, %v", s, err)
		}
		if ok, err := h.runner.Confirm(t.Context()); !ok || err != nil {
			t.Errorf("confirmed: %t, %v", ok, err)
		}
		time.Sleep(interval)
		h.wants("in ten days")
		h.holds(false)
		if ok, err := h.runner.Confirm(t.Context()); ok || err != nil {
			t.Errorf("confirmed again: %t, %v", ok, err)
		}
		time.Sleep(time.Hour)
		h.wants("an hour later")
	})
}

func TestAHoldEndsWhenTheClockIsCorrected(t *testing.T) {
	inHouse(t, func(h *house) {
		h.plan("end", 24*time.Hour, "tomorrow")
		h.set(365 * 24 * time.Hour)
		h.plan("k", 10*time.Minute, "planned by the wrong clock")
		h.plan("end", 5*time.Minute, "a retry by the wrong clock")
		h.plan("end", time.Hour, "an end by the wrong clock")
		h.set(-365 * 24 * time.Hour)
		h.holds(false)
		h.wants()
		time.Sleep(6 * time.Minute)
		h.wants("a retry by the wrong clock")
		time.Sleep(5 * time.Minute)
		h.wants("planned by the wrong clock")
		time.Sleep(24 * time.Hour)
		h.wants("tomorrow") // the end stays where it is on record
	})
}

func TestAClockThatWentBackStarvesNothingAndDoesNothingTwice(t *testing.T) {
	inHouse(t, func(h *house) {
		h.plan("k", time.Minute, "k")
		h.plan("end", time.Hour, "end")
		h.set(-48 * time.Hour)
		h.holds(false)
		h.wants()
		time.Sleep(time.Minute)
		h.wants("k")
		time.Sleep(48 * time.Hour)
		h.wants()
		time.Sleep(time.Hour)
		h.wants("end")
		if len(h.jumps) != 1 || h.jumps[0].Holds || !strings.Contains(h.jumps[0].String(), "back by 48h") {
			t.Errorf("told of %v", h.jumps)
		}
	})
}

func TestManyItemsArePutBack(t *testing.T) {
	inHouse(t, func(h *house) {
		const many = 3 * batch
		for n := range many / 100 {
			var items []Item
			for k := range 100 {
				items = append(items, Item{At: h.now().Add(time.Hour), Kind: "k", Ref: string(rune('a'+n)) + string(rune('0'+k))})
			}
			schedule(t, h.store, items...)
		}
		h.set(-24 * time.Hour)
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := len(h.work.called()); got != many/100*100 {
			t.Errorf("%d are done", got)
		}
	})
}

func TestJumpsOverARestart(t *testing.T) {
	tests := []struct {
		name      string
		away, set time.Duration
		held      bool
		done      []string
	}{
		{name: "there was none", away: time.Hour, done: []string{"k"}},
		{name: "a long absence is no jump", away: 29 * 24 * time.Hour, done: []string{"end", "k"}},
		{name: "an absence out of all proportion may be one", away: time.Second, set: 31 * 24 * time.Hour, held: true},
		{name: "the clock was put back", away: time.Second, set: -31 * 24 * time.Hour},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inHouse(t, func(h *house) {
				h.plan("k", 20*time.Minute, "k")
				h.plan("end", 2*time.Hour, "end")
				h.runner.Close()
				h.ahead.Add(int64(test.set))
				time.Sleep(test.away)
				h.start()
				h.wants(test.done...)
				h.holds(test.held)
				if !test.held && len(test.done) == 0 {
					time.Sleep(20 * time.Minute)
					h.wants("k")
				}
			})
		})
	}
}

func TestAHoldOutlivesARestart(t *testing.T) {
	inHouse(t, func(h *house) {
		h.plan("end", 3*time.Hour, "soon")
		h.plan("end", 30*time.Hour, "later")
		h.set(48 * time.Hour)
		h.holds(true)
		h.restart(2 * time.Hour)
		h.holds(true)
		h.wants()
		time.Sleep(time.Hour)
		h.wants("soon")
		if ok, err := h.runner.Confirm(t.Context()); !ok || err != nil {
			t.Fatal(ok, err)
		}
		time.Sleep(time.Second)
		h.wants("later")
		h.restart(time.Second)
		h.holds(false)
	})
}

func TestAHoldEndsWhenAllOfItIsDueWithoutTheJump(t *testing.T) {
	inHouse(t, func(h *house) {
		h.set(2 * time.Hour)
		h.plan("end", -time.Hour, "held")
		h.holds(true)
		time.Sleep(2 * time.Hour)
		h.holds(false)
		h.wants("held")
	})
}

func TestSmallJumpsAreNobodysBusiness(t *testing.T) {
	inHouse(t, func(h *house) {
		h.plan("end", 30*time.Minute, "a")
		h.set(50 * time.Minute)
		h.wants("a")
		h.set(-4 * time.Minute)
		h.holds(false)
		if len(h.jumps) > 0 {
			t.Errorf("told of %v", h.jumps)
		}
	})
}

// counted counts the looks at a store.
type counted struct {
	storage.Store
	looks atomic.Int64
}

func (c *counted) Snapshot(ctx context.Context) (storage.Snapshot, error) {
	c.looks.Add(1)
	return c.Store.Snapshot(ctx)
}

func TestAnEarlierItemWakesTheRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{Store: inmem.New()}
		var late time.Duration
		r := Start(Options{Store: c, Log: slog.New(slog.DiscardHandler), Now: time.Now, Handlers: map[Kind]Handler{
			"k": func(ctx context.Context, i Item) error {
				late = max(late, time.Since(i.At))
				_, err := storage.Update(ctx, c.Store, func(tx *storage.Tx) error { Cancel(tx, i); return nil })
				return err
			},
		}})
		defer r.Close()
		time.Sleep(time.Minute + 100*time.Millisecond)
		for n := range 20 {
			schedule(t, c.Store, Item{At: time.Now().Add(time.Duration(n) * 7 * time.Millisecond), Kind: "k", Ref: "a"})
			time.Sleep(3 * time.Second)
			if left := refs(t, c.Store, latest, 10); left != nil {
				t.Fatalf("%d: %q is left", n, left)
			}
		}
		if late > 2*least {
			t.Errorf("%v late", late)
		}
		// Two looks each: one that finds it, one that finds that it is gone.
		if got := c.looks.Load(); got > 20*3+10 {
			t.Errorf("%d looks", got)
		}
	})
}

func TestAnIdleQueueIsHardlyLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{Store: inmem.New()}
		r := Start(Options{Store: c, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		defer r.Close()
		schedule(t, c.Store, Item{At: time.Now().Add(24 * time.Hour), Kind: "k", Ref: "a"})
		time.Sleep(time.Minute)
		before := c.looks.Load()
		for range 1000 { // later ones are no reason to look
			schedule(t, c.Store, Item{At: time.Now().Add(time.Hour), Kind: "k", Ref: "b"})
			time.Sleep(time.Second)
		}
		if got := c.looks.Load() - before; got > 1000/60+1+1000/600+1 {
			t.Errorf("%d looks in 1000 seconds", got)
		}
	})
}
