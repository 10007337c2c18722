package event_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cofferhq/coffer/internal/event"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/policy"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

// outpost is a store with a hub.
type outpost struct {
	*event.Hub
	t     *testing.T
	store storage.Store
}

// inBubble runs fn with a hub that remembers a number of events, while time
// stands still.
func inBubble(t *testing.T, recent int, fn func(t *testing.T, o *outpost)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := &outpost{t: t, store: inmem.New()}
		o.Hub = event.NewHub(event.Options{
			Store: o.store, Log: slog.New(slog.DiscardHandler), Now: time.Now, Source: "vault://test", Recent: recent,
		})
		fn(t, o)
		o.Hub.Close()
		if err := o.store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// write appends an event of a secret and returns its revision.
func (o *outpost) write(path string) storage.Revision { return o.append("kv-v2/data-write", path) }

func (o *outpost) append(eventType, path string) storage.Revision {
	o.t.Helper()
	m := logical.MountPoint{ID: "M", Path: "secret/", Type: "kv", Namespace: "root"}
	rev, err := storage.Update(o.t.Context(), o.store, func(tx *storage.Tx) error {
		return event.Append(tx, "root", m, "R", time.Now(), logical.Event{
			Type: eventType, Path: "data/" + path, Metadata: map[string]string{"data_path": "secret/data/" + path, "operation": "data-write"},
		})
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return rev
}

func rules(t *testing.T, text string) *policy.ACL {
	t.Helper()
	p, err := policy.Parse("test", text)
	if err != nil {
		t.Fatal(err)
	}
	acl, err := policy.Compile([]*policy.Policy{p}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return acl
}

func everything(t *testing.T) *policy.ACL {
	t.Helper()
	acl, err := policy.Compile([]*policy.Policy{policy.Root()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return acl
}

func (o *outpost) subscribe(w event.Wish, acl *policy.ACL) *event.Subscription {
	o.t.Helper()
	if w.Types == "" {
		w.Types = "*"
	}
	s, err := o.Subscribe(o.t.Context(), w, acl)
	if err != nil {
		o.t.Fatal(err)
	}
	return s
}

// got returns the paths of the events that wait, when all is quiet.
func got(t *testing.T, s *event.Subscription) []string {
	t.Helper()
	synctest.Wait()
	all, _, err := s.Take()
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, m := range all {
		paths = append(paths, m.Path)
	}
	return paths
}

func wants(t *testing.T, s *event.Subscription, paths ...string) {
	t.Helper()
	for i := range paths {
		paths[i] = "secret/data/" + paths[i]
	}
	if all := got(t, s); !slices.Equal(all, paths) {
		t.Errorf("got %v, want %v", all, paths)
	}
}

func ended(t *testing.T, s *event.Subscription, why error) {
	t.Helper()
	synctest.Wait()
	if _, _, err := s.Take(); !errors.Is(err, why) {
		t.Errorf("the stream ended with %v, want %v", err, why)
	}
}

func since(rev storage.Revision) *storage.Revision { return &rev }

func TestASubscriberGetsWhatItWantsAndMayHave(t *testing.T) {
	tests := []struct {
		name  string
		wish  event.Wish
		rules string // empty: all is allowed
		want  []string
	}{
		{"everything", event.Wish{}, ``, []string{"a", "b", "c"}},
		{"one type", event.Wish{Types: "kv-v2/delete"}, ``, []string{"c"}},
		{"types with a star", event.Wish{Types: "kv-v2/data-*"}, ``, []string{"a", "b"}},
		{"a type that never comes", event.Wish{Types: "database/*"}, ``, nil},
		{"one path", event.Wish{Filter: `data_path == "secret/data/b"`}, ``, []string{"b"}},
		{"two paths", event.Wish{Filter: `data_path == "secret/data/b" or data_path == "secret/data/c"`}, ``, []string{"b", "c"}},
		{"all but a path", event.Wish{Filter: `data_path != "secret/data/b"`}, ``, []string{"a", "c"}},
		{"more namespaces", event.Wish{Namespaces: []string{"*"}}, ``, []string{"a", "b", "c"}},
		{"another namespace", event.Wish{Namespace: "other"}, ``, nil},
		{"by a policy of one path", event.Wish{}, `path "secret/data/a" { capabilities = ["subscribe"] subscribe_event_types = ["*"] }`, []string{"a"}},
		{"by a policy of a type", event.Wish{}, `path "secret/*" { capabilities = ["subscribe"] subscribe_event_types = ["kv-v2/data-*"] }`, []string{"a", "b"}},
		{"by a policy without types", event.Wish{}, `path "secret/*" { capabilities = ["subscribe"] }`, nil},
		{"by a policy without the capability", event.Wish{}, `path "secret/*" { capabilities = ["read"] subscribe_event_types = ["*"] }`, nil},
		{"by a policy that denies", event.Wish{}, `path "secret/*" { capabilities = ["subscribe"] subscribe_event_types = ["*"] }
			path "secret/data/b" { capabilities = ["deny"] }`, []string{"a", "c"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, 0, func(t *testing.T, o *outpost) {
				acl := everything(t)
				if test.rules != "" {
					acl = rules(t, test.rules)
				}
				before := o.write("before")
				s := o.subscribe(test.wish, acl)
				o.write("a")
				o.write("b")
				o.append("kv-v2/delete", "c")
				wants(t, s, slices.Clone(test.want)...)
				// Who comes later, and goes on from before, gets just the same.
				test.wish.Since = since(before)
				late := o.subscribe(test.wish, acl)
				wants(t, late, slices.Clone(test.want)...)
				for _, one := range []*event.Subscription{s, late} {
					if err := one.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

func TestASubscriberGoesOnWithoutAGapOrADouble(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, o *outpost) {
		acl := everything(t)
		start := o.write("before")
		o.write("a") // while nobody listens: it is in the store only
		middle := o.write("b")
		s := o.subscribe(event.Wish{Since: since(start)}, acl)
		wants(t, s, "a", "b")
		o.write("c")
		wants(t, s, "c")
		s.Close()
		s = o.subscribe(event.Wish{Since: since(middle)}, acl)
		o.write("d")
		wants(t, s, "c", "d")
		if _, reached, err := s.Take(); err != nil || reached < middle+2 {
			t.Errorf("reached %d, %v", reached, err)
		}
		o.Stop(event.ErrStopping)
		ended(t, s, event.ErrStopping)
		s.Close()
	})
}

// Whenever subscribers come and go, each event comes once, in order.
func TestComingBackInTheMiddleOfWrites(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, o *outpost) {
		acl := everything(t)
		last := o.write("before")
		const n = 300
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range n {
				o.write(fmt.Sprintf("%03d", i))
			}
		}()
		var all []string
		for len(all) < n {
			s := o.subscribe(event.Wish{Since: since(last)}, acl)
			<-s.Ready()
			messages, _, err := s.Take()
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messages {
				all, last = append(all, m.Path), m.Revision
			}
			s.Close()
		}
		<-done
		for i, path := range all {
			if want := fmt.Sprintf("secret/data/%03d", i); path != want {
				t.Fatalf("event %d is of %s", i, path)
			}
		}
	})
}

func TestWhoIsAwayTooLongIsToldSo(t *testing.T) {
	const recent = 4
	tests := []struct {
		name string
		from func(o *outpost) storage.Revision
	}{
		{"more has happened than is remembered", func(o *outpost) storage.Revision {
			from := o.write("before")
			for range recent + 1 {
				o.write("a")
			}
			return from
		}},
		{"events were pruned", func(o *outpost) storage.Revision {
			o.write("before")
			old := o.write("old")
			time.Sleep(2 * event.Retention) // of the bubble's time
			_, err := storage.Update(o.t.Context(), o.store, func(tx *storage.Tx) error {
				_, err := event.Prune(o.t.Context(), tx, time.Now())
				return err
			})
			if err != nil {
				o.t.Fatal(err)
			}
			return old - 1
		}},
		{"the revision is none of this store's", func(o *outpost) storage.Revision { return o.write("a") + 1000 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, recent, func(t *testing.T, o *outpost) {
				s := o.subscribe(event.Wish{Since: since(test.from(o))}, everything(t))
				ended(t, s, event.ErrForgotten)
				s.Close()
			})
		})
	}
}

func TestWhoHasMissedNothingMayHaveBeenAwayForLong(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, o *outpost) {
		o.write("old")
		last := o.write("last")
		time.Sleep(2 * event.Retention)
		if _, err := storage.Update(t.Context(), o.store, func(tx *storage.Tx) error {
			_, err := event.Prune(t.Context(), tx, time.Now())
			return err
		}); err != nil {
			t.Fatal(err)
		}
		s := o.subscribe(event.Wish{Since: since(last)}, everything(t))
		o.write("new")
		wants(t, s, "new")
		s.Close()
	})
}

func TestASlowSubscriberIsCutOff(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, o *outpost) {
		slow := o.subscribe(event.Wish{}, everything(t))
		quick := o.subscribe(event.Wish{}, everything(t))
		taken := 0
		for range 170 {
			_, err := storage.Update(t.Context(), o.store, func(tx *storage.Tx) error {
				for range 100 {
					m := logical.MountPoint{Path: "secret/"}
					if err := event.Append(tx, "root", m, "", time.Now(), logical.Event{Type: "t"}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			taken += len(got(t, quick))
		}
		ended(t, slow, event.ErrSlow)
		if taken != 17000 {
			t.Errorf("the other one got %d", taken)
		}
		slow.Close()
		quick.Close()
	})
}

func TestPoliciesMayChange(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, o *outpost) {
		s := o.subscribe(event.Wish{}, rules(t, `path "secret/data/a" { capabilities = ["subscribe"] subscribe_event_types = ["*"] }`))
		o.write("a")
		o.write("b")
		wants(t, s, "a")
		s.Allow(rules(t, `path "secret/data/b" { capabilities = ["subscribe"] subscribe_event_types = ["*"] }`))
		o.write("a")
		o.write("b")
		wants(t, s, "b")
		s.End(event.ErrToken)
		ended(t, s, event.ErrToken)
		s.Close()
		s.Allow(everything(t)) // of one that has closed, nothing comes
	})
}

func TestTheHubRestsWithoutSubscribers(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, o *outpost) {
		s := o.subscribe(event.Wish{}, everything(t))
		s.Close()
		time.Sleep(5 * time.Minute)
		start := o.write("a")
		s = o.subscribe(event.Wish{Since: since(start - 1)}, everything(t))
		o.write("b")
		wants(t, s, "a", "b")
		s.Close()
	})
}

func TestNobodySubscribesToAHubThatIsClosed(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, o *outpost) {
		o.Close()
		if _, err := o.Subscribe(t.Context(), event.Wish{Types: "*"}, everything(t)); !errors.Is(err, logical.ErrSealed) {
			t.Errorf("error %v", err)
		}
	})
}

func TestSubscriptionsOfOneTokenAreLimited(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, o *outpost) {
		acl := everything(t)
		var all []*event.Subscription
		for range event.MaxPerOwner {
			all = append(all, o.subscribe(event.Wish{Owner: "A"}, acl))
		}
		if _, err := o.Subscribe(t.Context(), event.Wish{Types: "*", Owner: "A"}, acl); !errors.Is(err, logical.ErrQuota) {
			t.Errorf("error %v", err)
		}
		all = append(all, o.subscribe(event.Wish{Owner: "B"}, acl))
		all[0].Close()
		all[0] = o.subscribe(event.Wish{Owner: "A"}, acl)
		for _, s := range all {
			s.Close()
		}
	})
}
