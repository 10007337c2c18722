package quota

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

func newStore(t *testing.T, rules ...Rule) *Store {
	t.Helper()
	inner := inmem.New()
	t.Cleanup(func() { inner.Close() })
	s := NewStore(inner, "root")
	for _, r := range rules {
		put(t, s, r)
	}
	load(t, s)
	return s
}

func put(t *testing.T, s *Store, r Rule) {
	t.Helper()
	if r.Rate == 0 {
		r.Rate = 1
	}
	if r.Interval == 0 {
		r.Interval = time.Second
	}
	if _, err := s.Put(t.Context(), r); err != nil {
		t.Fatalf("%s: %v", r.Name, err)
	}
}

func load(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTheMostSpecificRuleWins(t *testing.T) {
	s := newStore(t,
		Rule{Name: "server"},
		Rule{Name: "kv", MountID: "kv"},
		Rule{Name: "folder", MountID: "kv", Path: "data/*"},
		Rule{Name: "deeper", MountID: "kv", Path: "data/a/*"},
		Rule{Name: "one", MountID: "kv", Path: "data/a/b"},
		Rule{Name: "door", MountID: "door", Path: "login"},
		Rule{Name: "role", MountID: "door", Role: "web"},
	)
	role := func(name string) func() string { return func() string { return name } }
	tests := []struct {
		name string
		in   Target
		want string
	}{
		{"the server's for what has none", Target{Path: "other/x", MountID: "other", Rest: "x"}, "server"},
		{"the server's for what is nowhere", Target{Path: "nowhere"}, "server"},
		{"the mount's", Target{Path: "kv/config", MountID: "kv", Rest: "config"}, "kv"},
		{"a beginning", Target{Path: "kv/data/x", MountID: "kv", Rest: "data/x"}, "folder"},
		{"the longest beginning", Target{Path: "kv/data/a/x", MountID: "kv", Rest: "data/a/x"}, "deeper"},
		{"the path itself", Target{Path: "kv/data/a/b", MountID: "kv", Rest: "data/a/b"}, "one"},
		{"the path of a list", Target{Path: "kv/data/a/b/", MountID: "kv", Rest: "data/a/b/"}, "one"},
		{"not what only begins like a path", Target{Path: "kv/data/a/bc", MountID: "kv", Rest: "data/a/bc"}, "deeper"},
		{"a role before the path", Target{Path: "auth/door/login", MountID: "door", Rest: "login", Role: role("web")}, "role"},
		{"another role", Target{Path: "auth/door/login", MountID: "door", Rest: "login", Role: role("db")}, "door"},
		{"no role", Target{Path: "auth/door/login", MountID: "door", Rest: "login", Role: role("")}, "door"},
		{"no login", Target{Path: "auth/door/role/web", MountID: "door", Rest: "role/web"}, "server"},
		{"what is exempt", Target{Path: "sys/health"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if l := s.For(tt.in); l != nil {
				got = l.Name
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestRulesThatMakeNoSenseAreRefused(t *testing.T) {
	good := Rule{Name: "r", Rate: 1, Interval: time.Second}
	tests := []struct {
		name   string
		change func(r *Rule)
	}{
		{"no name", func(r *Rule) { r.Name = "" }},
		{"a name with a slash", func(r *Rule) { r.Name = "a/b" }},
		{"no rate", func(r *Rule) { r.Rate = 0 }},
		{"a rate below zero", func(r *Rule) { r.Rate = -1 }},
		{"a rate that is no number", func(r *Rule) { r.Rate = math.NaN() }},
		{"a rate without end", func(r *Rule) { r.Rate = math.Inf(1) }},
		{"a rate that would overflow", func(r *Rule) { r.Rate = 1e-300 }},
		{"half a second", func(r *Rule) { r.Interval = time.Second / 2 }},
		{"half a second of being blocked", func(r *Rule) { r.Block = time.Second / 2 }},
		{"a star inside of the path", func(r *Rule) { r.MountID, r.Path = "m", "a*b" }},
		{"a role of no mount", func(r *Rule) { r.Role = "web" }},
		{"a role and a path", func(r *Rule) { r.MountID, r.Path, r.Role = "m", "login", "web" }},
	}
	s := newStore(t, Rule{Name: "first", MountID: "m"})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := good
			tt.change(&r)
			if _, err := s.Put(t.Context(), r); !errors.Is(err, logical.ErrInvalid) {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("two for the same", func(t *testing.T) {
		r := good
		r.MountID = "m"
		if _, err := s.Put(t.Context(), r); !errors.Is(err, logical.ErrInvalid) {
			t.Errorf("error %v", err)
		}
		r.Name = "first"
		if _, err := s.Put(t.Context(), r); err != nil {
			t.Errorf("in its own place: %v", err)
		}
	})
}

func TestWhatWasUsedOutlivesOtherChanges(t *testing.T) {
	s := newStore(t, Rule{Name: "server"})
	if s.For(Target{Path: "a"}).Take(alice, noon).Refused {
		t.Fatal("refused at once")
	}
	put(t, s, Rule{Name: "other", MountID: "m"})
	load(t, s)
	if !s.For(Target{Path: "a"}).Take(alice, noon).Refused {
		t.Error("another rule has made the client's use forgotten")
	}
	put(t, s, Rule{Name: "server", Rate: 2})
	load(t, s)
	if s.For(Target{Path: "a"}).Take(alice, noon).Refused {
		t.Error("the old rule is still in force")
	}
}

func TestNothingIsThereWithoutRules(t *testing.T) {
	s := newStore(t)
	if !s.Empty() || len(s.Names()) != 0 || s.For(Target{Path: "a"}) != nil {
		t.Errorf("names %q", s.Names())
	}
	if n := testing.AllocsPerRun(100, func() { s.Empty() }); n > 0 {
		t.Errorf("asking costs %v allocations", n)
	}
}

func TestRulesGoWithTheirMount(t *testing.T) {
	s := newStore(t, Rule{Name: "server"}, Rule{Name: "a", MountID: "m"})
	// More than fit into one commit.
	for i := range storage.MaxOps + 10 {
		put(t, s, Rule{Name: "p" + string(rune('a'+i%26)) + string(rune('a'+i/26)), MountID: "m", Path: "x" + string(rune('a'+i%26)) + string(rune('a'+i/26))})
	}
	if err := s.Forget(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	load(t, s)
	if got := s.Names(); !slices.Equal(got, []string{"server"}) {
		t.Errorf("left: %q", got)
	}
}

func TestRulesAreDeleted(t *testing.T) {
	s := newStore(t, Rule{Name: "server"})
	for range 2 { // the second time it is gone already
		if _, err := s.Delete(t.Context(), "server"); err != nil {
			t.Fatal(err)
		}
	}
	load(t, s)
	if _, ok := s.Rule("server"); ok || !s.Empty() {
		t.Error("still there")
	}
}

func TestSettingsAreKept(t *testing.T) {
	s := newStore(t, Rule{Name: "server"})
	_, err := s.Configure(t.Context(), func(to *Settings) { to.ExemptPaths, to.Audit = []string{"a/", "b/*"}, true })
	if err != nil {
		t.Fatal(err)
	}
	load(t, s)
	if got := s.Settings(); !got.Audit || got.Headers {
		t.Errorf("%+v", got)
	}
	for path, exempt := range map[string]bool{"a": true, "a/": true, "a/b": false, "b": false, "b/c/d": true, "sys/health": false} {
		if got := s.For(Target{Path: path}) == nil; got != exempt {
			t.Errorf("%s: exempt is %v", path, got)
		}
	}
}

func TestRecordsOfALaterVersionAreRefused(t *testing.T) {
	for name, key := range map[string]string{"a rule": table("root") + storage.Name("r"), "the settings": settingsKey("root")} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			if _, err := s.store.Apply(context.Background(), nil, []storage.Op{storage.Put(key, []byte(`{"v":2}`))}); err != nil {
				t.Fatal(err)
			}
			if err := s.Load(t.Context()); err == nil {
				t.Error("no error")
			}
		})
	}
}
