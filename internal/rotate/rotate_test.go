package rotate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/rotate"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/source"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
	"github.com/cofferhq/coffer/internal/storage/storetest"
)

// system is another system with users, and the source of these tests.
type system struct {
	users    map[string]string // name → password
	sessions map[string]int
	strategy source.Strategy

	calls int          // from outside, of those that change something
	fail  map[int]fate // number of the call → what becomes of it
	deaf  bool         // logins are not answered
	check func()       // before each call
}

// fate is what becomes of a call.
type fate int

const (
	lost     fate = iota + 1 // it never arrives
	unheard                  // its answer is lost
	powerCut                 // the caller dies before
)

var errNetwork = logical.Errorf(logical.ErrUpstream, "the system does not answer")

// touch is a call that changes something.
func (s *system) touch(effect func()) error {
	if s.check != nil {
		s.check()
	}
	s.calls++
	switch s.fail[s.calls] {
	case lost:
		return errNetwork
	case unheard:
		effect()
		return errNetwork
	case powerCut:
		panic(powerCut)
	}
	effect()
	return nil
}

func (s *system) Fields() []string { return []string{"username", "password"} }

func (s *system) Create(_ context.Context, a source.Attempt) (source.Values, error) {
	name := "app_a"
	if s.strategy == source.Alternate && a.Predecessor["username"].RevealText() == "app_a" {
		name = "app_b"
	}
	return source.Values{"username": secret.Text(name), "password": secret.Text("pw-" + a.ID)}, nil
}

func (s *system) Set(_ context.Context, a source.Attempt) error {
	return s.touch(func() { s.users[a.Candidate["username"].RevealText()] = a.Candidate["password"].RevealText() })
}

func (s *system) Test(_ context.Context, v source.Values) error {
	if s.deaf {
		return errNetwork
	}
	if s.users[v["username"].RevealText()] != v["password"].RevealText() {
		return fmt.Errorf("%w: wrong password", source.ErrRefused)
	}
	return nil
}

func (s *system) Retire(_ context.Context, a source.Attempt) error {
	if s.strategy == source.Replace {
		return nil
	}
	return s.touch(func() {
		name := a.Predecessor["username"].RevealText()
		if s.users[name] == a.Predecessor["password"].RevealText() {
			s.users[name] = "nobody knows"
		}
	})
}

func (s *system) Sessions(_ context.Context, v source.Values) (int, error) {
	return s.sessions[v["username"].RevealText()], nil
}

func (s *system) Close() error { return nil }

// town is a Rotator with all that it needs.
type town struct {
	*rotate.Rotator
	t       *testing.T
	store   *inmem.Store
	faulty  storage.Store
	system  *system
	now     time.Time
	tally   rotate.Tally
	record  []string
	noAudit bool
}

var start = time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)

func newTown(t *testing.T, s source.Strategy) *town {
	store := inmem.New()
	t.Cleanup(func() { store.Close() })
	w := &town{t: t, store: store, faulty: store, now: start, system: &system{
		users: map[string]string{"app_a": "first"}, sessions: map[string]int{}, strategy: s, fail: map[int]fate{},
	}}
	w.restart()
	return w
}

// restart is what a crash makes of it: all that was in memory is gone.
func (w *town) restart() {
	w.Rotator = rotate.New(rotate.Options{
		Store: w.faulty, Namespace: "root", House: w, Consumers: w, Now: func() time.Time { return w.now },
		Log: slog.New(slog.DiscardHandler),
		Kinds: source.Kinds{{
			Type: "system", Strategies: []source.Strategy{source.Replace, source.Alternate},
			Open: func(json.RawMessage, source.Strategy) (source.Source, error) { return w.system, nil },
		}},
	})
}

var kvKey = storage.Plain("kv")

type kvRow struct {
	Version int
	Fields  map[string]string
}

func (w *town) kv(ctx context.Context, tx *storage.Tx) (row kvRow, err error) {
	e, err := tx.Get(ctx, kvKey)
	if errors.Is(err, storage.ErrNotFound) {
		return kvRow{Fields: map[string]string{}}, nil
	}
	if err == nil {
		err = json.Unmarshal(e.Value, &row)
	}
	return row, err
}

// secret is what readers find.
func (w *town) secret() (row kvRow) {
	err := storage.View(context.Background(), w.store, func(tx *storage.Tx) (err error) {
		row, err = w.kv(context.Background(), tx)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return row
}

func (w *town) Current(ctx context.Context, _ *rotate.Target) (map[string]secret.Bytes, int, error) {
	row := w.secret()
	fields := map[string]secret.Bytes{}
	for name, value := range row.Fields {
		fields[name] = secret.Text(value)
	}
	return fields, row.Version, nil
}

func (w *town) Publish(ctx context.Context, tx *storage.Tx, _ *rotate.Target, fields map[string]secret.Bytes, _ string) (int, error) {
	row, err := w.kv(ctx, tx)
	if err != nil {
		return 0, err
	}
	row.Version++
	for name, value := range fields {
		if row.Fields[name] = value.RevealText(); value.Empty() {
			delete(row.Fields, name)
		}
	}
	value, err := json.Marshal(row)
	tx.Put(kvKey, value)
	return row.Version, err
}

func (w *town) Record(_ context.Context, e rotate.Entry) error {
	if w.noAudit {
		return errors.New("no device takes it")
	}
	w.record = append(w.record, fmt.Sprint(e.Step, " ", e.Ended != nil))
	return nil
}

func (w *town) Tally(context.Context, *rotate.Target, int, []string, bool) (rotate.Tally, error) {
	return w.tally, nil
}

func (w *town) plan(change func(*rotate.Rotation)) {
	w.t.Helper()
	p := &rotate.Rotation{
		Name: "db", Source: "system", Strategy: w.system.strategy, Schedule: "24h", Grace: time.Minute,
		Target: rotate.Target{MountID: "m", Path: "app/db"},
	}
	if change != nil {
		change(p)
	}
	w.update(func(tx *storage.Tx) error { return w.Put(w.t.Context(), tx, p) })
}

// settled is a town whose first attempt is over.
func settled(t *testing.T, s source.Strategy, change func(*rotate.Rotation)) *town {
	t.Helper()
	w := newTown(t, s)
	w.plan(change)
	_, state := w.state()
	w.now = state.Due
	w.run()
	w.wantGood(kvRow{})
	w.system.calls = 0
	return w
}

func (w *town) update(fn func(tx *storage.Tx) error) {
	w.t.Helper()
	if _, err := storage.Update(w.t.Context(), w.store, fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *town) state() (p *rotate.Rotation, s *rotate.State) {
	w.t.Helper()
	err := storage.View(w.t.Context(), w.store, func(tx *storage.Tx) (err error) {
		p, s, err = w.Get(w.t.Context(), tx, "db")
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return p, s
}

func (w *town) evidence() []rotate.Evidence {
	w.t.Helper()
	p, _ := w.state()
	var all []rotate.Evidence
	err := storage.View(w.t.Context(), w.store, func(tx *storage.Tx) (err error) {
		all, err = w.Evidence(w.t.Context(), tx, p.ID)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// run does what is due until the next attempt is a day away, as the due queue
// does: what fails comes back at another time. It says how the process ended.
func (w *town) run() {
	w.t.Helper()
	var off time.Duration // by which the queue has put the item off
	for range 300 {
		p, s := w.state()
		if s.Due.IsZero() || s.Attempt == nil && s.Due.After(w.now.Add(time.Hour)) {
			return
		}
		at := s.Due.Add(off)
		if at.After(w.now) {
			w.now = at
		}
		if err := w.do(due.Item{At: at, Kind: rotate.Kind, Namespace: "root", Ref: p.ID}); err != nil {
			off += time.Second
		} else {
			off = 0
		}
	}
	_, s := w.state()
	w.t.Fatalf("no end: %+v, %+v", s, s.Attempt)
}

// do is one call of the due queue's, which may be the last of the process.
func (w *town) do(i due.Item) (err error) {
	defer func() {
		switch died := recover(); died {
		case nil:
		case powerCut:
			w.restart()
			err = errors.New("the process has died")
		default:
			panic(died)
		}
	}()
	return w.Do(w.t.Context(), i)
}

// works says whether readers have what works.
func (w *town) works() bool {
	row := w.secret()
	return row.Version == 0 || w.system.users[row.Fields["username"]] == row.Fields["password"]
}

// wantGood fails the test unless the last attempt has replaced old, which is dead.
func (w *town) wantGood(old kvRow) {
	w.t.Helper()
	row := w.secret()
	if !w.works() || row.Fields["password"] == old.Fields["password"] {
		w.t.Errorf("readers have %v, users are %v", row, w.system.users)
	}
	if name := old.Fields["username"]; name != "" && w.system.users[name] == old.Fields["password"] {
		w.t.Errorf("the old password of %q still works", name)
	}
	for name, password := range w.system.users {
		if password != row.Fields["password"] && password != "nobody knows" && password != "first" {
			w.t.Errorf("user %q has a password that nobody knows of: %q", name, password)
		}
	}
	all := w.evidence()
	if len(all) == 0 || all[0].Tested != rotate.Worked || old.Version > 0 && all[0].Dead != rotate.Dead {
		w.t.Errorf("evidence: %+v", all)
	}
	if _, s := w.state(); s.Attempt != nil || s.Failures != 0 || s.LastSuccess.IsZero() {
		w.t.Errorf("state: %+v", s)
	}
}

var strategies = []source.Strategy{source.Replace, source.Alternate}

func TestTheSecretIsReplacedOnSchedule(t *testing.T) {
	for _, s := range strategies {
		t.Run(string(s), func(t *testing.T) {
			w := settled(t, s, nil)
			for range 4 {
				old := w.secret()
				_, before := w.state()
				w.now = before.Next
				w.run()
				w.wantGood(old)
				if _, after := w.state(); after.Next.Sub(before.Next) != 24*time.Hour {
					t.Errorf("next at %v, after %v", after.Next, before.Next)
				}
			}
		})
	}
}

// What a clock that was put back has moved in the queue is planned anew: nothing is
// lost, nothing waits for the time that the clock told before, nothing is done twice.
func TestAClockThatWasPutBack(t *testing.T) {
	const year = 365 * 24 * time.Hour
	early := func(t *testing.T, w *town) (changed bool) {
		t.Helper()
		p, before := w.state()
		i := due.Item{At: before.Due.Add(-year), Kind: rotate.Kind, Namespace: "root", Ref: p.ID}
		w.update(func(tx *storage.Tx) error { return due.Schedule(tx, i) })
		if err := w.do(i); err != nil {
			t.Fatal(err)
		}
		_, after := w.state()
		return !after.Due.Equal(before.Due)
	}
	for _, s := range strategies {
		t.Run("between attempts of "+string(s), func(t *testing.T) {
			w := settled(t, s, nil)
			old := w.secret()
			w.now = w.now.Add(-year)
			if !early(t, w) {
				t.Error("it waits for a year")
			}
			if got := w.secret(); got.Version != old.Version {
				t.Errorf("it was rotated at once: %+v", got)
			}
			if _, state := w.state(); state.Due.Sub(w.now) != 24*time.Hour {
				t.Errorf("due in %v", state.Due.Sub(w.now))
			}
			_, state := w.state()
			w.now = state.Due
			w.run()
			w.wantGood(old)
			if len(w.evidence()) != 2 {
				t.Errorf("%d attempts", len(w.evidence()))
			}
		})
	}
	t.Run("while consumers are awaited", func(t *testing.T) {
		w := settled(t, source.Alternate, func(p *rotate.Rotation) { p.Await = rotate.AwaitGrace })
		old := w.secret()
		p, state := w.state()
		w.now = state.Due
		if err := w.do(due.Item{At: state.Due, Kind: rotate.Kind, Namespace: "root", Ref: p.ID}); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(-year)
		early(t, w)
		w.run()
		w.wantGood(old)
		if e := w.evidence()[0]; e.Retired.Sub(e.Published) != time.Minute {
			t.Errorf("waited %v", e.Retired.Sub(e.Published))
		}
	})
	t.Run("a little, just now", func(t *testing.T) {
		w := settled(t, source.Replace, nil)
		p, state := w.state()
		w.now = state.Due.Add(-time.Millisecond)
		i := due.Item{At: state.Due, Kind: rotate.Kind, Namespace: "root", Ref: p.ID}
		if err := w.do(i); err != nil {
			t.Fatal(err)
		}
		left := 0
		err := storage.View(t.Context(), w.store, func(tx *storage.Tx) error {
			for _, err := range tx.Scan(t.Context(), storage.Plain("due"), "") {
				if left++; err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || left != 1 {
			t.Errorf("%d items are left, %v", left, err)
		}
	})
	t.Run("and the rotation was resumed, or changed", func(t *testing.T) {
		w := settled(t, source.Replace, nil)
		w.now = w.now.Add(-year)
		w.update(func(tx *storage.Tx) error { return w.Pause(t.Context(), tx, "db") })
		w.update(func(tx *storage.Tx) error { return w.Resume(t.Context(), tx, "db") })
		if _, state := w.state(); state.Due.Sub(w.now) > 24*time.Hour {
			t.Errorf("resumed: due in %v", state.Due.Sub(w.now))
		}
		w.plan(nil)
		if _, state := w.state(); state.Due.Sub(w.now) > 24*time.Hour {
			t.Errorf("changed: due in %v", state.Due.Sub(w.now))
		}
	})
}

// With two in turn, what readers have works at every moment.
func TestReadersAlwaysHaveWhatWorks(t *testing.T) {
	w := newTown(t, source.Alternate)
	w.system.check = func() {
		if !w.works() {
			t.Error("readers have what does not work")
		}
	}
	w.plan(nil)
	for range 5 {
		w.now = w.now.Add(24 * time.Hour)
		w.run()
	}
	if w.system.calls < 9 {
		t.Errorf("%d calls", w.system.calls)
	}
}

func TestAwait(t *testing.T) {
	tests := []struct {
		name    string
		await   rotate.Await
		tally   rotate.Tally
		restart bool // while it waits
		now     bool
		want    time.Duration // between publishing and retiring, to the next look
	}{
		{"nobody reads", rotate.AwaitConsumers, rotate.Tally{}, false, false, 0},
		{"all have moved", rotate.AwaitConsumers, rotate.Tally{Moved: 3, Left: 1}, false, false, 0},
		{"one is behind until the deadline", rotate.AwaitConsumers, rotate.Tally{Moved: 3, Behind: 1}, false, false, 5 * time.Minute},
		{"one has gone without a word", rotate.AwaitConsumers, rotate.Tally{Unknown: 1}, false, false, time.Minute},
		{"the grace alone counts", rotate.AwaitGrace, rotate.Tally{Behind: 1}, false, false, time.Minute},
		{"all have moved before the grace is over", rotate.AwaitBoth, rotate.Tally{Moved: 1}, false, false, time.Minute},
		{"one is behind after the grace", rotate.AwaitBoth, rotate.Tally{Behind: 1}, false, false, 5 * time.Minute},
		{"a crash has lost reads", rotate.AwaitConsumers, rotate.Tally{Moved: 1}, true, false, time.Minute},
		{"an emergency waits for nobody", rotate.AwaitBoth, rotate.Tally{Behind: 1}, false, true, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := settled(t, source.Alternate, func(p *rotate.Rotation) { p.Await, p.Deadline = test.await, 5*time.Minute })
			if test.now {
				w.update(func(tx *storage.Tx) error { _, err := w.Trigger(t.Context(), tx, "db", true); return err })
			}
			w.now = w.now.Add(24 * time.Hour)
			if test.restart {
				w.tally = rotate.Tally{Behind: 1}
				p, s := w.state()
				w.now = s.Due
				if err := w.do(due.Item{At: s.Due, Kind: rotate.Kind, Namespace: "root", Ref: p.ID}); err != nil {
					t.Fatal(err)
				}
				w.restart()
			}
			w.tally = test.tally
			w.run()
			e := w.evidence()[0]
			if got := e.Retired.Sub(e.Published); got != test.want || e.Dead != rotate.Dead {
				t.Errorf("waited %v, want %v: %+v", got, test.want, e)
			}
			if test.want > 0 && !test.restart && e.Tally != test.tally {
				t.Errorf("tally %+v", e.Tally)
			}
		})
	}
}

// Wherever a call to the system fails or the process dies: in the end there is a
// new secret, readers have it, and the old one is dead.
func TestEveryCallMayFail(t *testing.T) {
	for _, s := range strategies {
		for n := 1; n <= 6; n++ {
			for _, f := range []fate{lost, unheard, powerCut} {
				t.Run(fmt.Sprint(s, n, f), func(t *testing.T) {
					w := settled(t, s, nil)
					old := w.secret()
					w.system.fail[n] = f
					w.system.fail[n+1] = f
					w.now = w.now.Add(24 * time.Hour)
					w.run()
					w.wantGood(old)
				})
			}
		}
	}
}

// The same for calls to the store, of which the n-th is the process's last.
func TestEveryCommitMayBeTheLast(t *testing.T) {
	for _, s := range strategies {
		for _, after := range []bool{false, true} {
			for n := 1; ; n++ {
				w := settled(t, s, nil)
				old := w.secret()
				w.now = w.now.Add(24 * time.Hour)
				f := &storetest.Faulty{Store: w.store, N: n, After: after}
				w.faulty = f
				w.restart()
				p, state := w.state()
				err := w.do(due.Item{At: state.Due, Kind: rotate.Kind, Namespace: "root", Ref: p.ID})
				w.faulty = w.store
				w.restart()
				w.run()
				w.wantGood(old)
				if err == nil && !f.Tripped() {
					break
				}
				if n > 200 {
					t.Fatal("no end")
				}
				if t.Failed() {
					t.Fatalf("%s, call %d, after %v", s, n, after)
				}
			}
		}
	}
}

func TestVerdictsAboutTheOldSecret(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(w *town)
		want  string
	}{
		{"refused", func(*town) {}, rotate.Dead},
		{"nobody wants it tried", func(w *town) { w.plan(func(p *rotate.Rotation) { p.NoVerify = true }) }, rotate.Skipped},
		{"there was none", func(w *town) { w.update(func(tx *storage.Tx) error { tx.Delete(kvKey); return nil }) }, rotate.Skipped},
		{"the system does not say", func(w *town) { w.system.check = func() { w.system.deaf = w.system.calls == 1 } }, rotate.Inconclusive},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := settled(t, source.Alternate, nil)
			test.spoil(w)
			w.now = w.now.Add(24 * time.Hour)
			w.run()
			if e := w.evidence()[0]; e.Dead != test.want {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestNoRecordNoWork(t *testing.T) {
	w := newTown(t, source.Replace)
	w.plan(nil)
	w.noAudit = true
	_, s := w.state()
	w.now = s.Due
	for range 3 {
		p, s := w.state()
		w.now = s.Due
		if err := w.do(due.Item{At: s.Due, Kind: rotate.Kind, Namespace: "root", Ref: p.ID}); err != nil {
			t.Fatal(err)
		}
	}
	if _, s := w.state(); w.system.calls != 0 || s.Attempt != nil || s.Failures != 3 || s.LastError == "" {
		t.Errorf("%d calls, %+v", w.system.calls, s)
	}
	w.noAudit = false
	w.run()
	w.wantGood(kvRow{})
	if got := strings.Join(w.record, ","); got != "create false,verify-dead true" {
		t.Errorf("record: %s", got)
	}
}

func TestMissedRuns(t *testing.T) {
	for policy, want := range map[string]int{"catch-up": 2, "skip": 1} {
		for _, plan := range []string{"0 3 * * *", "24h"} {
			t.Run(policy+" of "+plan, func(t *testing.T) {
				w := settled(t, source.Replace, func(p *rotate.Rotation) { p.Schedule, p.Missed = plan, policy })
				w.now = w.now.Add(20*24*time.Hour + 5*time.Hour)
				w.run()
				if n := len(w.evidence()); n != want {
					t.Errorf("%d attempts, want %d", n, want)
				}
				if _, s := w.state(); !s.Next.After(w.now) || s.Next.Sub(w.now) > 24*time.Hour {
					t.Errorf("next at %v, now %v", s.Next, w.now)
				}
			})
		}
	}
}

func TestPausedRotationsRest(t *testing.T) {
	w := newTown(t, source.Replace)
	w.plan(nil)
	w.run()
	w.update(func(tx *storage.Tx) error { return w.Pause(t.Context(), tx, "db") })
	w.now = w.now.Add(72 * time.Hour)
	w.run()
	if _, s := w.state(); !s.Due.IsZero() || s.Attempts != 0 {
		t.Errorf("%+v", s)
	}
	w.update(func(tx *storage.Tx) error { return w.Resume(t.Context(), tx, "db") })
	w.run()
	w.wantGood(kvRow{})
}

func TestAbandon(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(w *town)
		want  string // of the error; empty: it is abandoned
	}{
		{"the old one works and the new one does not", func(w *town) {
			for n := range 20 {
				w.system.fail[n] = lost
			}
		}, ""},
		{"the new one works", func(w *town) {
			for n := range 20 {
				w.system.fail[n] = unheard
			}
		}, "the new credential works"},
		{"nothing is known", func(w *town) { w.system.deaf = true; w.system.fail[1] = lost }, "can't be shown"},
		{"nothing is under way", nil, "no attempt under way"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := settled(t, source.Replace, nil)
			old := w.secret()
			if test.spoil != nil {
				test.spoil(w)
				w.now = w.now.Add(24 * time.Hour)
				p, s := w.state()
				if err := w.do(due.Item{At: s.Due, Kind: rotate.Kind, Namespace: "root", Ref: p.ID}); err != nil {
					t.Fatal(err)
				}
			}
			err := w.Abandon(t.Context(), "db")
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if e := w.evidence()[0]; e.Error == "" || !w.works() || w.secret().Version != old.Version {
				t.Errorf("%+v", e)
			}
			clear(w.system.fail)
			w.now = w.now.Add(24 * time.Hour)
			w.run()
			w.wantGood(old)
		})
	}
}

func TestBadRotationsAreRefused(t *testing.T) {
	good := rotate.Rotation{Name: "other", Source: "system", Schedule: "24h", Target: rotate.Target{MountID: "m", Path: "app/other"}}
	tests := []struct {
		name   string
		change func(p *rotate.Rotation)
		want   string
	}{
		{"an unknown source", func(p *rotate.Rotation) { p.Source = "oracle" }, `no source "oracle"`},
		{"a strategy that there is not", func(p *rotate.Rotation) { p.Strategy = "both" }, "cannot do strategy"},
		{"a cron line that never fires", func(p *rotate.Rotation) { p.Schedule = "0 0 30 2 *" }, ""},
		{"a period under the minimum", func(p *rotate.Rotation) { p.Schedule = "100ms" }, ""},
		{"a policy that there is not", func(p *rotate.Rotation) { p.Missed = "never" }, ""},
		{"something else to await", func(p *rotate.Rotation) { p.Await = "godot" }, `await "godot"`},
		{"a deadline within the grace", func(p *rotate.Rotation) { p.Grace, p.Deadline = time.Hour, time.Minute }, "before the grace"},
		{"no end", func(p *rotate.Rotation) { p.Grace, p.Deadline = 1<<60, 1<<60 }, "must lie between"},
		{"no path", func(p *rotate.Rotation) { p.Target.Path = "/" }, "path of a secret"},
		{"a field that the source has not", func(p *rotate.Rotation) { p.Target.Fields = map[string]string{"pin": "pin"} }, `no field "pin"`},
		{"two values in one field", func(p *rotate.Rotation) {
			p.Target.Fields = map[string]string{"username": "x", "password": "x"}
		}, "both go to"},
		{"a field that another rotation writes", func(p *rotate.Rotation) { p.Target.Path = "app/db" }, "another rotation"},
		{"old values where there are none", func(p *rotate.Rotation) {
			p.Target.Previous = map[string]string{"password": "old"}
		}, "previous_fields"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newTown(t, source.Replace)
			w.plan(nil)
			p := good
			p.Target.Fields = maps.Clone(good.Target.Fields)
			test.change(&p)
			_, err := storage.Update(t.Context(), w.store, func(tx *storage.Tx) error { return w.Put(t.Context(), tx, &p) })
			if !errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestDeletedRotationsLeaveNothing(t *testing.T) {
	w := newTown(t, source.Replace)
	before := w.keys()
	w.plan(nil)
	for range rotate.KeptEvidence + 10 {
		w.now = w.now.Add(24 * time.Hour)
		w.run()
	}
	if n := len(w.evidence()); n != rotate.KeptEvidence {
		t.Errorf("%d attempts are remembered", n)
	}
	w.update(func(tx *storage.Tx) error { return w.Delete(t.Context(), tx, "db") })
	w.update(func(tx *storage.Tx) error { tx.Delete(kvKey); return nil })
	if after := w.keys(); !slices.Equal(before, after) {
		t.Errorf("left: %q", after)
	}
}

func (w *town) keys() (keys []string) {
	err := storage.View(w.t.Context(), w.store, func(tx *storage.Tx) error {
		for e, err := range tx.Scan(w.t.Context(), "", "") {
			if err != nil {
				return err
			}
			keys = append(keys, e.Key)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return keys
}
