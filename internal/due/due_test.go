package due

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

var base = time.Date(2026, 5, 1, 12, 0, 0, 1, time.UTC)

// write changes the queue in one commit.
func write(t testing.TB, s storage.Store, fn func(tx *storage.Tx) error) {
	t.Helper()
	if _, err := storage.Update(t.Context(), s, fn); err != nil {
		t.Fatal(err)
	}
}

func schedule(t testing.TB, s storage.Store, items ...Item) {
	t.Helper()
	write(t, s, func(tx *storage.Tx) error {
		for _, i := range items {
			if err := Schedule(tx, i); err != nil {
				return err
			}
		}
		return nil
	})
}

// refs returns what is due at now, page by page.
func refs(t testing.TB, s storage.Store, now time.Time, page int) []string {
	t.Helper()
	var list []string
	for after := ""; ; {
		p, err := read(t.Context(), s, now, after, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range p.items {
			list = append(list, i.Ref)
		}
		if after = p.last; after == "" {
			return list
		}
	}
}

func at(after time.Duration, ref string) Item {
	return Item{At: base.Add(after), Kind: "k", Namespace: "ns", Ref: ref}
}

func TestItemsFallDueInOrder(t *testing.T) {
	s := inmem.New()
	schedule(t, s, at(3, "c"), at(1, "a"), at(2, "b"), at(2, "b2"), at(time.Hour, "later"))
	tests := []struct {
		name string
		now  time.Time
		want []string
	}{
		{"before the first", base, nil},
		{"at the very moment", base.Add(1), []string{"a"}},
		{"between", base.Add(2), []string{"a", "b", "b2"}},
		{"after all but one", base.Add(time.Minute), []string{"a", "b", "b2", "c"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for page := 1; page <= 5; page++ {
				if got := refs(t, s, test.now, page); !slices.Equal(got, test.want) {
					t.Errorf("by %d: %q, want %q", page, got, test.want)
				}
			}
		})
	}
}

func TestItemsReadAsTheyWereWritten(t *testing.T) {
	tests := []struct {
		name string
		item Item
		want time.Time
	}{
		{"now", Item{At: base, Kind: "k", Namespace: "n", Ref: "r", Attempts: 3}, base},
		{"in another zone", Item{At: base.In(time.FixedZone("x", 3600)), Kind: "k", Ref: "r"}, base},
		{"odd characters", Item{At: base, Kind: "a\x00b", Namespace: "\xff", Ref: "a/b\x00\x01"}, base},
		{"before 1970", Item{At: time.Unix(-5, 0), Kind: "k"}, time.Unix(0, 0)},
		{"the zero time", Item{Kind: "k"}, time.Unix(0, 0)},
		{"after 2262", Item{At: base.AddDate(280, 0, 0), Kind: "k"}, time.Unix(0, math.MaxInt64)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := inmem.New()
			schedule(t, s, test.item)
			p, err := read(t.Context(), s, test.want, "", 10)
			items := p.items
			if err != nil || len(items) != 1 {
				t.Fatalf("%v, %v", items, err)
			}
			want := test.item
			want.At = test.want.UTC()
			if items[0] != want {
				t.Errorf("%+v, want %+v", items[0], want)
			}
			if early := refs(t, s, test.want.Add(-1), 10); test.want.UnixNano() > 0 && early != nil {
				t.Error("due too early")
			}
			write(t, s, func(tx *storage.Tx) error { Cancel(tx, items[0]); return nil })
			if left := refs(t, s, latest, 10); left != nil {
				t.Errorf("%q is left", left)
			}
		})
	}
}

func TestRowsOfANewerVersionHoldUpNothing(t *testing.T) {
	s := inmem.New()
	schedule(t, s, at(1, "a"), at(3, "b"))
	write(t, s, func(tx *storage.Tx) error {
		tx.Put(at(2, "new").key(), []byte(`{"v":2}`))
		tx.Put(at(2, "torn").key(), []byte(`{`))
		tx.Put(at(2, "more").key()+storage.Plain("x"), []byte(`{"v":1}`))
		return nil
	})
	p, err := read(t.Context(), s, base.Add(time.Hour), "", 10)
	items, last := p.items, p.last
	if err == nil || last != "" || len(items) != 2 || items[0].Ref != "a" || items[1].Ref != "b" {
		t.Errorf("%v, %q, %v", items, last, err)
	}
}

// What version 1 has written must be read for ever.
func TestTheFormatStays(t *testing.T) {
	i := at(0, "r")
	i.Attempts = 2
	s := inmem.New()
	write(t, s, func(tx *storage.Tx) error {
		key := storage.Plain("due") + storage.Order(uint64(base.UnixNano())) + storage.Plain("k") + storage.Plain("ns") + storage.Plain("r")
		tx.Put(key, []byte(`{"v":1,"n":2,"of later versions":true}`))
		return nil
	})
	p, err := read(t.Context(), s, base, "", 10)
	if err != nil || len(p.items) != 1 || p.items[0] != i {
		t.Errorf("%+v, %v", p.items, err)
	}
}

// work is a queue with a running Runner, whose calls it writes down.
type work struct {
	store storage.Store

	mu    sync.Mutex
	calls []string // "ref@seconds", in order
}

func start(t *testing.T, handle func(ctx context.Context, i Item) error) *work {
	w := &work{store: inmem.New()}
	began := time.Now()
	r := Start(Options{Store: w.store, Handlers: map[Kind]Handler{"k": func(ctx context.Context, i Item) error {
		w.mu.Lock()
		w.calls = append(w.calls, fmt.Sprintf("%s@%d", i.Ref, time.Since(began)/time.Second))
		w.mu.Unlock()
		return handle(ctx, i)
	}}, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	t.Cleanup(func() { r.Close() })
	return w
}

func (w *work) in(d time.Duration, ref string) Item {
	return Item{At: time.Now().Add(d), Kind: "k", Ref: ref}
}

func (w *work) called() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

// done removes the item, as handlers do.
func (w *work) done(ctx context.Context, i Item) error {
	_, err := storage.Update(ctx, w.store, func(tx *storage.Tx) error { Cancel(tx, i); return nil })
	return err
}

func TestRunnerDoesWhatIsDueOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *work
		w = start(t, func(ctx context.Context, i Item) error { return w.done(ctx, i) })
		schedule(t, w.store, w.in(3*time.Second, "b"), w.in(-time.Hour, "a"), w.in(time.Hour, "later"))
		time.Sleep(time.Minute)
		if got, want := w.called(), []string{"a@0", "b@3"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if left := refs(t, w.store, latest, 10); !slices.Equal(left, []string{"later"}) {
			t.Errorf("%q is left", left)
		}
	})
}

func TestRunnerTriesAgainLaterAndLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *work
		failures := 5
		w = start(t, func(ctx context.Context, i Item) error {
			if i.Attempts < failures {
				return errors.New("not yet")
			}
			return w.done(ctx, i)
		})
		schedule(t, w.store, w.in(0, "a"))
		time.Sleep(time.Hour)
		// 1 + 2 + 4 + 8 + 16 seconds, less up to a fifth, in steps of half a second.
		if n := len(w.called()); n != failures+1 {
			t.Errorf("called %d times: %q", n, w.called())
		}
		if left := refs(t, w.store, latest, 10); left != nil {
			t.Errorf("%q is left", left)
		}
	})
}

func TestRunnerPutsOffWhatNobodyHandles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *work
		w = start(t, func(ctx context.Context, i Item) error { return w.done(ctx, i) })
		schedule(t, w.store, Item{At: time.Now(), Kind: "unknown", Ref: "x"}, w.in(time.Second, "a"))
		time.Sleep(10 * time.Second)
		if got := w.called(); len(got) != 1 {
			t.Errorf("%q", got)
		}
		if left := refs(t, w.store, latest, 10); !slices.Equal(left, []string{"x"}) {
			t.Errorf("%q is left", left)
		}
	})
}

func TestOneThatHangsHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *work
		w = start(t, func(ctx context.Context, i Item) error {
			if i.Ref == "hangs" {
				<-ctx.Done()
				return ctx.Err()
			}
			return w.done(ctx, i)
		})
		schedule(t, w.store, w.in(0, "hangs"), w.in(5*time.Second, "a"), w.in(10*time.Second, "b"))
		time.Sleep(11 * time.Second)
		if got, want := w.called(), []string{"hangs@0", "a@5", "b@10"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		time.Sleep(Patience)
		if got := w.called(); len(got) < 4 || got[3] != "hangs@60" {
			t.Errorf("what hung was not tried again when its time was over: %q", got)
		}
	})
}

func TestAnItemThatIsNotRemovedIsNotDoneInALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(context.Context, Item) error { return nil })
		for n := range 3 * batch / 100 {
			var items []Item
			for k := range 100 {
				items = append(items, w.in(0, fmt.Sprint(n*100+k)))
			}
			schedule(t, w.store, items...)
		}
		time.Sleep(interval + interval/2)
		synctest.Wait()
		if n := len(w.called()); n > 3*3*batch {
			t.Errorf("called %d times in three looks", n)
		}
	})
}

func TestCancelledItemsDoNotComeBackFromAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *work
		w = start(t, func(ctx context.Context, i Item) error {
			return errors.Join(w.done(ctx, i), errors.New("failed, but somebody has cancelled it"))
		})
		schedule(t, w.store, w.in(0, "a"))
		time.Sleep(time.Hour)
		if got := w.called(); len(got) != 1 {
			t.Errorf("%q", got)
		}
	})
}

func TestCloseWaitsForWorkAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, returned := inmem.New(), false
		r := Start(Options{Store: s, Handlers: map[Kind]Handler{"k": func(ctx context.Context, _ Item) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			returned = true
			return ctx.Err()
		}}, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		schedule(t, s, Item{At: time.Now(), Kind: "k", Ref: "a"})
		time.Sleep(interval)
		synctest.Wait()
		if err := r.Close(); err != nil || !returned {
			t.Errorf("%v, handler has returned: %t", err, returned)
		}
		if left := refs(t, s, latest, 10); !slices.Equal(left, []string{"a"}) {
			t.Errorf("%q is left", left)
		}
	})
}

func TestPausesGrowToALimit(t *testing.T) {
	last := time.Duration(0)
	for n := 0; n < 100; n++ {
		d := Pause(n)
		if d <= 0 || d > maxPause || n > 1 && n < 10 && d <= last/2 {
			t.Errorf("attempt %d: %s after %s", n, d, last)
		}
		last = d
	}
	if Pause(1000) < maxPause*4/5 {
		t.Error("the last pauses are too short")
	}
}

func FuzzParseItem(f *testing.F) {
	f.Add(at(0, "a").key(), []byte(`{"v":1}`))
	f.Add("", []byte(``))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		item, err := parse(storage.Entry{Key: key, Value: value})
		if err != nil {
			return
		}
		if again, err := parse(storage.Entry{Key: item.key(), Value: value}); err != nil || again != item {
			t.Errorf("%+v reads as %+v, %v", item, again, err)
		}
	})
}
