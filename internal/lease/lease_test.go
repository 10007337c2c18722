package lease_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/lease"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

const ns = "root"

var noon = time.Date(2026, 5, 1, 12, 0, 0, 5, time.UTC)

// engine is an outside system: what was given away, and is not yet revoked.
type engine struct {
	mu    sync.Mutex
	down  error // what it fails with; nil: it works
	freed map[string]int
}

func (e *engine) free(_ context.Context, l *lease.Lease) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.down != nil {
		return e.down
	}
	if e.freed == nil {
		e.freed = map[string]int{}
	}
	e.freed[l.ID]++
	return nil
}

func (e *engine) set(down error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = down
}

func (e *engine) count(id string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.freed[id]
}

type world struct {
	*lease.Store
	engine
	t     testing.TB
	under storage.Store
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, under: inmem.New()}
	w.Store = lease.NewStore(w.under, w.free)
	return w
}

// grant stores a new lease of an hour, of six at most.
func (w *world) grant(path, tokenID string, now time.Time) *lease.Lease {
	w.t.Helper()
	l := lease.New(ns, path, &logical.Lease{Renewable: true, State: []byte(`{"user":"u"}`)}, time.Hour, 6*time.Hour, now)
	l.MountID, l.TokenID = "m", tokenID
	w.update(func(tx *storage.Tx) error { return w.Put(tx, l, nil) })
	return l
}

func (w *world) update(fn func(tx *storage.Tx) error) {
	w.t.Helper()
	if _, err := storage.Update(w.t.Context(), w.under, fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) rows() map[string]int {
	w.t.Helper()
	n := map[string]int{}
	err := storage.View(w.t.Context(), w.under, func(tx *storage.Tx) error {
		for e, err := range tx.Scan(w.t.Context(), "", "") {
			if err != nil {
				return err
			}
			table, _, _ := storage.Cut(e.Key)
			if table.Text() != "dueclock" { // the queue's own
				n[table.Text()]++
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// run does what is due until the test ends, on the time of the test's bubble.
func (w *world) run() {
	r := due.Start(due.Options{Store: w.under, Handlers: map[due.Kind]due.Handler{
		lease.Kind: func(ctx context.Context, i due.Item) error { return w.Expire(ctx, i, time.Now()) },
	}, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	w.t.Cleanup(func() { r.Close() })
}

func TestALeaseReadsAsItWasWritten(t *testing.T) {
	w := newWorld(t)
	l := w.grant("database/creds/app/", "tok", noon)
	got, err := w.Lookup(t.Context(), ns, l.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l, got); diff != "" {
		t.Error(diff)
	}
	if l.ID != "database/creds/app/"+l.Ref || l.Left(noon) != time.Hour || l.Left(noon.Add(2*time.Hour)) != 0 {
		t.Errorf("%s, %s", l.ID, l.Left(noon))
	}
	if _, err := w.Lookup(t.Context(), ns, "database/creds/app"); !errors.Is(err, lease.ErrUnknown) {
		t.Errorf("%v", err)
	}
	if _, err := w.Lookup(t.Context(), "other", l.ID); !errors.Is(err, lease.ErrUnknown) {
		t.Errorf("%v", err)
	}
}

func TestLeasesLiveNoLongerThanTheyMay(t *testing.T) {
	const h = time.Hour
	renewable := &logical.Lease{Renewable: true}
	tests := []struct {
		name       string
		lease      *logical.Lease
		ttl, limit time.Duration
		after      time.Duration // since it was issued
		increment  time.Duration
		want       time.Duration // from then on
		err        string
	}{
		{"by what it had", renewable, h, 6 * h, h / 2, 0, h, ""},
		{"by more", renewable, h, 6 * h, h / 2, 3 * h, 3 * h, ""},
		{"by less than is left", renewable, 2 * h, 6 * h, h, h / 2, h / 2, ""},
		{"to its limit", renewable, 2 * h, 3 * h, h + h/2, 0, h + h/2, ""},
		{"a lifetime above the limit", renewable, 9 * h, 3 * h, h, 0, 2 * h, ""},
		{"one that is not renewable", &logical.Lease{}, h, 6 * h, h / 2, 0, 0, "lease is not renewable"},
		{"one that is over", renewable, h, 6 * h, h, 0, 0, "lease not found"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := lease.New(ns, "p", test.lease, test.ttl, test.limit, noon)
			now := noon.Add(test.after)
			err := l.Extend(now, test.increment)
			if test.err != "" {
				if !errors.Is(err, logical.ErrInvalid) || err.Error() != test.err {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || l.Left(now) != test.want || !l.LastRenewal.Equal(now) || l.Expires.After(noon.Add(test.limit)) {
				t.Errorf("%s, %v, want %s", l.Left(now), err, test.want)
			}
		})
	}
}

func TestLeasesEndOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run()
		short, long := w.grant("a/b", "", time.Now()), w.grant("a/c", "tok", time.Now())
		time.Sleep(30 * time.Minute)
		previous := *long
		if err := long.Extend(time.Now(), 2*time.Hour); err != nil {
			t.Fatal(err)
		}
		w.update(func(tx *storage.Tx) error { return w.Put(tx, long, &previous) })
		time.Sleep(31 * time.Minute)
		synctest.Wait()
		if w.count(short.ID) != 1 || w.count(long.ID) != 0 {
			t.Errorf("after an hour: freed %d and %d times", w.count(short.ID), w.count(long.ID))
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if w.count(short.ID) != 1 || w.count(long.ID) != 1 || len(w.rows()) != 0 {
			t.Errorf("in the end: freed %d and %d times, left %v", w.count(short.ID), w.count(long.ID), w.rows())
		}
	})
}

func TestLeasesAreFoundBelowAPath(t *testing.T) {
	w := newWorld(t)
	paths := []string{"db/creds/app", "db/creds/app", "db/creds/apple", "db/static/x", "dbx/y"}
	byPath := map[string][]string{}
	for _, p := range paths {
		byPath[p] = append(byPath[p], w.grant(p, "", noon).ID)
	}
	all := func(paths ...string) (ids []string) {
		for _, p := range paths {
			ids = append(ids, byPath[p]...)
		}
		slices.Sort(ids)
		return ids
	}
	below := []struct {
		name, prefix string
		want         []string
	}{
		{"everything", "", all("db/creds/app", "db/creds/apple", "db/static/x", "dbx/y")},
		{"a mount", "db", all("db/creds/app", "db/creds/apple", "db/static/x")},
		{"a mount with its slash", "db/", all("db/creds/app", "db/creds/apple", "db/static/x")},
		{"whole elements only", "db/creds/app", all("db/creds/app")},
		{"half an element", "db/cr", nil},
	}
	for _, test := range below {
		t.Run(test.name, func(t *testing.T) {
			got, err := w.Below(t.Context(), ns, test.prefix)
			slices.Sort(got)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("%q, %v, want %q", got, err, test.want)
			}
		})
	}
	for path, want := range map[string]string{"": "db/ dbx/", "db/": "creds/ static/", "db/creds/": "app/ apple/", "none/": ""} {
		if got, err := w.Children(t.Context(), ns, path); err != nil || strings.Join(got, " ") != want {
			t.Errorf("children of %q: %q, %v", path, got, err)
		}
	}
}

// What version 1 has written must be read for ever.
func TestTheFormatOfRecordsStays(t *testing.T) {
	const v1 = `{"v":1,"ref":"REF","mnt":"M","tok":"T","at":"2026-05-01T12:00:00Z","exp":"2026-05-01T13:00:00Z",` +
		`"ttl":3600000000000,"max":7200000000000,"rnw":true,"st":{"a":1},"of later versions":{}}`
	w := newWorld(t)
	write := func(record string) {
		w.update(func(tx *storage.Tx) error {
			tx.Put(storage.Plain("lease")+storage.Plain(ns)+storage.Path("a/REF"), []byte(record))
			return nil
		})
	}
	write(v1)
	got, err := w.Lookup(t.Context(), ns, "a/REF")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	want := &lease.Lease{
		ID: "a/REF", Namespace: ns, Ref: "REF", MountID: "M", TokenID: "T", Issued: at,
		Expires: at.Add(time.Hour), TTL: time.Hour, MaxTTL: 2 * time.Hour, Renewable: true, State: []byte(`{"a":1}`),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, record := range []string{strings.Replace(v1, `"v":1`, `"v":2`, 1), `{`} {
		write(record)
		if _, err := w.Lookup(t.Context(), ns, "a/REF"); err == nil || errors.Is(err, lease.ErrUnknown) {
			t.Errorf("%.10s…: %v", record, err)
		}
	}
}
