package kv

import (
	"errors"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/logical/mounttest"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

// server is a mount with a store of its own.
type server struct {
	*mounttest.Mount
	events []logical.Event // of the last do that committed
}

var start = mounttest.Start // when all happens, unless a test moves the clock

func serve(t testing.TB, version string) *server {
	t.Helper()
	s := &server{Mount: mounttest.New(t, nil, inmem.New())}
	s.mount(version)
	return s
}

// mount makes the engine anew, on the same store.
func (s *server) mount(version string) {
	s.T.Helper()
	s.Point.Path, s.Point.Options = "secret/", nil
	if version != "" {
		s.Point.Options = map[string]string{"version": version}
	}
	engine, err := Kind.New(s.Point)
	if err != nil {
		s.T.Fatal(err)
	}
	s.Engine = engine
}

// do serves one call and remembers its events.
func (s *server) do(op logical.Op, path, body string) (*logical.Response, error) {
	s.events = nil
	action, r, err := s.Request(op, path, body)
	if err != nil {
		return nil, err
	}
	resp, err := s.Do(s.T.Context(), action, r)
	s.events = r.Events
	return resp, err
}

// ok is do for calls that must succeed. It returns the answer's data as JSON,
// "" if there are none.
func (s *server) ok(op logical.Op, path, body string) string {
	s.T.Helper()
	resp, err := s.do(op, path, body)
	if err != nil {
		s.T.Fatalf("%s %s: %v", op, path, err)
	}
	return mounttest.Data(s.T, resp)
}

// rows counts the rows of a table.
func (s *server) rows(table string) int {
	s.T.Helper()
	n := 0
	for _, key := range s.Keys() {
		if strings.HasPrefix(key, mounttest.Key+storage.Plain(table)) {
			n++
		}
	}
	return n
}

// step is one call of a script and what it must bring.
type step struct {
	op   logical.Op
	path string
	body string
	want string // the data as JSON, "" for none
	err  error  // a kind
	text string // of the error, if not empty
	lost bool   // 404 with data
}

func (s *server) script(steps []step) {
	s.T.Helper()
	for i, st := range steps {
		resp, err := s.do(st.op, st.path, st.body)
		if !errors.Is(err, st.err) || err != nil && st.err == nil {
			s.T.Fatalf("step %d, %s %s: error %v, want %v", i, st.op, st.path, err, st.err)
		}
		if st.text != "" && err.Error() != st.text {
			s.T.Errorf("step %d, %s %s: error %q, want %q", i, st.op, st.path, err, st.text)
		}
		if got := mounttest.Data(s.T, resp); got != st.want {
			s.T.Errorf("step %d, %s %s: got\n%s\nwant\n%s", i, st.op, st.path, got, st.want)
		}
		if lost := resp != nil && resp.NotFound; lost != st.lost {
			s.T.Errorf("step %d, %s %s: not found is %t", i, st.op, st.path, lost)
		}
	}
}

func TestTheOptionChoosesTheVersion(t *testing.T) {
	for _, c := range []struct {
		name    string
		options map[string]string
		ok      bool
		config  bool // there is a path "config" of its own
	}{
		{"none is 1", nil, true, false},
		{"other options are 1", map[string]string{"x": "y"}, true, false},
		{"1", map[string]string{"version": "1"}, true, false},
		{"2", map[string]string{"version": "2"}, true, true},
		{"3 is refused", map[string]string{"version": "3"}, false, false},
		{"a word is refused", map[string]string{"version": "two"}, false, false},
		{"nothing is refused", map[string]string{"version": ""}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Kind.Check(c.options)
			if (err == nil) != c.ok {
				t.Fatalf("check: %v", err)
			}
			e, nerr := Kind.New(logical.MountPoint{Options: c.options})
			if !c.ok {
				if !errors.Is(err, logical.ErrInvalid) || nerr == nil {
					t.Fatalf("check: %v, new: %v", err, nerr)
				}
				return
			}
			if ep, _ := e.Endpoints.Find("config"); (ep.Pattern == "config") != c.config {
				t.Errorf("config is served by %q", ep.Pattern)
			}
		})
	}
}

func TestEveryRouteHasHelp(t *testing.T) {
	for _, version := range []string{"1", "2"} {
		for _, ep := range serve(t, version).Engine.Endpoints.All() {
			for _, op := range []logical.Op{logical.Read, logical.List, logical.Write, logical.Patch, logical.Delete} {
				if a := ep.Action(op); a != nil && a.Help == "" {
					t.Errorf("version %s: %s %s has none", version, op, ep.Pattern)
				}
			}
		}
	}
}
