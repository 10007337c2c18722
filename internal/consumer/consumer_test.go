package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cofferhq/coffer/internal/consumer"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

var (
	start = time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	db    = consumer.Secret{MountID: "m", Path: "app/db"}
	web   = consumer.Reader{Token: "web", Display: "approle-web", Role: "web", EntityID: "e1", Addr: netip.MustParseAddr("192.0.2.1")}
)

// counted counts the commits of a store, and can make them fail.
type counted struct {
	storage.Store
	mu      sync.Mutex // guards the fields below
	commits int
	broken  error
}

func (c *counted) Apply(ctx context.Context, conds []storage.Cond, ops []storage.Op) (storage.Revision, error) {
	c.mu.Lock()
	broken := c.broken
	c.commits++
	c.mu.Unlock()
	if broken != nil {
		return 0, broken
	}
	return c.Store.Apply(ctx, conds, ops)
}

// ledger is a Store on one that counts.
type ledger struct {
	*consumer.Store
	t    *testing.T
	disk *counted
}

func newLedger(t *testing.T) *ledger {
	disk := &counted{Store: inmem.New()}
	t.Cleanup(func() { disk.Close() })
	return &ledger{Store: consumer.NewStore(disk, "root"), t: t, disk: disk}
}

func (l *ledger) flush() {
	l.t.Helper()
	if err := l.Flush(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

func (l *ledger) of(s consumer.Secret) []consumer.Consumer {
	l.t.Helper()
	all, err := l.Of(l.t.Context(), s)
	if err != nil {
		l.t.Fatal(err)
	}
	return all
}

// one is the only consumer of the secret.
func (l *ledger) one(s consumer.Secret) consumer.Consumer {
	l.t.Helper()
	all := l.of(s)
	if len(all) != 1 {
		l.t.Fatalf("%d consumers: %+v", len(all), all)
	}
	return all[0]
}

func (l *ledger) update(fn func(tx *storage.Tx) error) {
	l.t.Helper()
	if _, err := storage.Update(l.t.Context(), l.disk, fn); err != nil {
		l.t.Fatal(err)
	}
}

func (l *ledger) acknowledge(s consumer.Secret, r consumer.Reader, version int, now time.Time) {
	l.t.Helper()
	l.update(func(tx *storage.Tx) error { return l.Acknowledge(l.t.Context(), tx, s, r, version, now) })
}

func (l *ledger) leave(s consumer.Secret, r consumer.Reader, now time.Time) {
	l.t.Helper()
	l.update(func(tx *storage.Tx) error { return l.Leave(l.t.Context(), tx, s, r, now) })
}

func TestAReadIsRememberedWithAllThatIsKnownOfItsReader(t *testing.T) {
	l := newLedger(t)
	r := web
	r.Instance, r.Expires = "pod-1", start.Add(time.Hour)
	l.Saw(db, r, 3, start)
	want := consumer.Consumer{
		Token: "web", Instance: "pod-1", EntityID: "e1", Display: "approle-web", Role: "web", Addr: r.Addr,
		Expires: r.Expires, First: start, Last: start, Read: 3,
	}
	if diff := cmp.Diff(want, l.one(db), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
	if others := l.of(consumer.Secret{MountID: "m", Path: "app"}); len(others) > 0 {
		t.Errorf("it has read nothing else: %+v", others)
	}
}

// A read costs no write of its own: what many show goes to the store at once, and
// what is known already does not.
func TestReadsAreStoredTogetherAndOnce(t *testing.T) {
	l := newLedger(t)
	for n := range 50 {
		r := web
		r.Instance = fmt.Sprint("pod-", n)
		l.Saw(db, r, 1, start)
	}
	if l.disk.commits != 0 {
		t.Errorf("%d commits by reads", l.disk.commits)
	}
	l.flush()
	if n := len(l.of(db)); n != 50 || l.disk.commits != 1 {
		t.Errorf("%d consumers in %d commits", n, l.disk.commits)
	}
	for n := range 100 {
		r := web
		r.Instance = "pod-1"
		l.Saw(db, r, 1, start.Add(time.Duration(n)*time.Second))
	}
	l.flush()
	if l.disk.commits != 1 {
		t.Errorf("a read that shows nothing new was stored: %d commits", l.disk.commits)
	}
}

func TestWhatReadsShowThatIsNew(t *testing.T) {
	for _, tt := range []struct {
		name       string
		version    int
		after      time.Duration
		commits    int
		read       int
		lastStored time.Duration
	}{
		{"nothing", 2, time.Minute, 1, 2, 0},
		{"a newer version", 3, time.Minute, 2, 3, time.Minute},
		{"an older version is no news", 1, time.Minute, 1, 2, 0},
		{"that it still reads, after an hour", 2, time.Hour, 2, 2, time.Hour},
		{"an older version, after an hour", 1, time.Hour, 2, 2, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLedger(t)
			l.Saw(db, web, 2, start)
			l.flush()
			l.Saw(db, web, tt.version, start.Add(tt.after))
			c := l.one(db)
			if l.disk.commits != tt.commits || c.Read != tt.read || !c.Last.Equal(start.Add(tt.lastStored)) || !c.First.Equal(start) {
				t.Errorf("%d commits, %+v", l.disk.commits, c)
			}
		})
	}
}

func TestReadsBeforeAFlushAreOneConsumer(t *testing.T) {
	l := newLedger(t)
	l.Saw(db, web, 2, start)
	l.Saw(db, web, 5, start.Add(time.Millisecond))
	l.Saw(db, web, 4, start.Add(2*time.Hour))
	if c := l.one(db); c.Read != 5 || !c.First.Equal(start) || !c.Last.Equal(start.Add(2*time.Hour)) {
		t.Errorf("%+v", c)
	}
}

func TestReadersAreToldApart(t *testing.T) {
	l := newLedger(t)
	other, pod := web, web
	other.Token, pod.Instance = "other", "pod-1"
	for _, r := range []consumer.Reader{web, other, pod, web} {
		l.Saw(db, r, 1, start)
	}
	if all := l.of(db); len(all) != 3 {
		t.Errorf("%+v", all)
	}
}

func TestWhatCannotBeStoredWaits(t *testing.T) {
	l := newLedger(t)
	l.Saw(db, web, 1, start)
	l.disk.broken = errors.New("the disk is full")
	if err := l.Flush(t.Context()); !errors.Is(err, l.disk.broken) {
		t.Fatalf("error %v", err)
	}
	l.Saw(db, web, 2, start.Add(time.Second)) // meanwhile
	l.disk.broken = nil
	if c := l.one(db); c.Read != 2 || !c.First.Equal(start) {
		t.Errorf("%+v", c)
	}
}

// Who asks for the consumers must see a read that another Flush has taken and not
// stored yet.
func TestOfWaitsForAFlushUnderWay(t *testing.T) {
	slow := &slow{Store: inmem.New(), reached: make(chan struct{}), on: make(chan struct{})}
	defer slow.Close()
	st := consumer.NewStore(slow, "root")
	st.Saw(db, web, 1, start)
	flushed := make(chan error, 1)
	go func() { flushed <- st.Flush(context.Background()) }()
	<-slow.reached
	found := make(chan int, 1)
	go func() {
		all, _ := st.Of(context.Background(), db)
		found <- len(all)
	}()
	close(slow.on)
	if n := <-found; n != 1 {
		t.Errorf("%d consumers", n)
	}
	if err := <-flushed; err != nil {
		t.Error(err)
	}
}

// slow is a store whose first commit waits.
type slow struct {
	storage.Store
	once        sync.Once
	reached, on chan struct{}
}

func (s *slow) Apply(ctx context.Context, conds []storage.Cond, ops []storage.Op) (storage.Revision, error) {
	s.once.Do(func() { close(s.reached); <-s.on })
	return s.Store.Apply(ctx, conds, ops)
}

func TestWhatClientsSayOfThemselves(t *testing.T) {
	later := func(d time.Duration) time.Time { return start.Add(d) }
	for _, tt := range []struct {
		name string
		do   func(l *ledger)
		want consumer.State // seen from version 2, the token being alive
	}{
		{"one that only reads is behind", func(l *ledger) { l.Saw(db, web, 2, start) }, consumer.Behind},
		{"one that says so has moved", func(l *ledger) { l.Saw(db, web, 2, start); l.acknowledge(db, web, 2, later(1)) }, consumer.Moved},
		{"one that has never read may say so", func(l *ledger) { l.acknowledge(db, web, 2, start) }, consumer.Moved},
		{"one that uses an older version is behind", func(l *ledger) { l.Saw(db, web, 2, start); l.acknowledge(db, web, 1, later(1)) }, consumer.Behind},
		{"one may go back", func(l *ledger) { l.acknowledge(db, web, 2, start); l.acknowledge(db, web, 1, later(1)) }, consumer.Behind},
		{"one that says goodbye has left", func(l *ledger) { l.Saw(db, web, 1, start); l.leave(db, web, later(1)) }, consumer.Left},
		{"one that reads again is back", func(l *ledger) {
			l.Saw(db, web, 1, start)
			l.leave(db, web, later(1))
			l.Saw(db, web, 1, later(2))
		}, consumer.Behind},
		{"one that says what it uses is back", func(l *ledger) { l.leave(db, web, start); l.acknowledge(db, web, 2, later(1)) }, consumer.Moved},
		{"a read from before the goodbye is stored after it", func(l *ledger) {
			l.Saw(db, web, 1, start)
			l.leave(db, web, later(1))
			l.flush()
		}, consumer.Left},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLedger(t)
			tt.do(l)
			c := l.one(db)
			if got := c.StateAt(2, true, false); got != tt.want {
				t.Errorf("%s: %+v", got, c)
			}
		})
	}
}

func TestStateAt(t *testing.T) {
	for _, tt := range []struct {
		name        string
		c           consumer.Consumer
		alive, idle bool
		want        consumer.State
	}{
		{"has read an older one", consumer.Consumer{Read: 4}, true, false, consumer.Behind},
		{"has read it, and may still use the older one", consumer.Consumer{Read: 5}, true, false, consumer.Behind},
		{"has read it, and nobody is logged in with an older one", consumer.Consumer{Read: 5}, true, true, consumer.Moved},
		{"has not read it, although nobody is logged in", consumer.Consumer{Read: 4}, true, true, consumer.Behind},
		{"uses it", consumer.Consumer{Read: 5, Using: 5}, true, false, consumer.Moved},
		{"uses a newer one", consumer.Consumer{Read: 6, Using: 6}, true, false, consumer.Moved},
		{"uses an older one and has read it", consumer.Consumer{Read: 5, Using: 4}, true, false, consumer.Behind},
		{"its token is gone", consumer.Consumer{Read: 4}, false, false, consumer.Unknown},
		{"its token is gone after it has moved", consumer.Consumer{Read: 5, Using: 5}, false, false, consumer.Moved},
		{"its token is gone, it has read it and nobody is logged in", consumer.Consumer{Read: 5}, false, true, consumer.Moved},
		{"has said goodbye", consumer.Consumer{Read: 4, Gone: start}, true, false, consumer.Left},
		{"has said goodbye, and its token is gone", consumer.Consumer{Read: 4, Gone: start}, false, false, consumer.Left},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.c.StateAt(5, tt.alive, tt.idle); got != tt.want {
				t.Errorf("%s", got)
			}
		})
	}
}

func TestRolesThatCount(t *testing.T) {
	c := consumer.Consumer{Role: "web", EntityID: "e1"}
	for _, tt := range []struct {
		name  string
		roles []string
		want  bool
	}{
		{"all, if none is named", nil, true},
		{"its own", []string{"db", "web"}, true},
		{"its entity", []string{"e1"}, true},
		{"another", []string{"db"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := c.HasRole(tt.roles); got != tt.want {
				t.Error(got)
			}
		})
	}
	if (&consumer.Consumer{}).HasRole([]string{"web"}) {
		t.Error("one without a role has it")
	}
}

func TestReaderOf(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	service := &logical.Caller{Accessor: "acc", TokenType: logical.TokenService, DisplayName: "approle", Metadata: map[string]string{"role_name": "web"}}
	batch := &logical.Caller{TokenType: logical.TokenBatch, Role: "jobs", Metadata: map[string]string{"role_name": "web"}}

	r := consumer.ReaderOf(service, "cfs.text", addr, "pod-1")
	if r.Token != "acc" || r.Batch || r.Role != "web" || r.Instance != "pod-1" || r.Addr != addr {
		t.Errorf("%+v", r)
	}
	b := consumer.ReaderOf(batch, "cfb.text", addr, "")
	if !b.Batch || b.Token == "" || strings.Contains(b.Token, "text") || b.Role != "jobs" {
		t.Errorf("%+v", b)
	}
	if again := consumer.ReaderOf(batch, "cfb.text", addr, ""); again.Token != b.Token {
		t.Error("a batch token is two readers")
	}
	if other := consumer.ReaderOf(batch, "cfb.other", addr, ""); other.Token == b.Token {
		t.Error("two batch tokens are one reader")
	}
	if long := consumer.ReaderOf(service, "", addr, strings.Repeat("x", 10_000)); len(long.Instance) > 128 {
		t.Errorf("an instance has a name of %d bytes", len(long.Instance))
	}
}

func TestASealedStoreForgets(t *testing.T) {
	l := newLedger(t)
	l.Saw(db, web, 1, start)
	l.Forget()
	if all := l.of(db); len(all) > 0 {
		t.Errorf("%+v", all)
	}
	l.Saw(db, web, 1, start) // is news again
	l.one(db)
}

func TestManyReadAtOnce(t *testing.T) {
	l := newLedger(t)
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for v := range 200 {
				r := web
				r.Instance = fmt.Sprint(n % 4)
				l.Saw(db, r, v, start)
				if v%50 == 0 {
					if err := l.Flush(context.Background()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	for _, c := range l.of(db) {
		if c.Read != 199 {
			t.Errorf("%+v", c)
		}
	}
}
