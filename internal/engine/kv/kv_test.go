package kv

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

// server is a mount with a store of its own, served as the core does.
type server struct {
	t      testing.TB
	store  storage.Store
	engine *logical.Engine
	point  logical.MountPoint
	now    time.Time
	events []logical.Event // of the last call that committed
}

var start = time.Date(2026, 3, 4, 5, 6, 7, 890, time.UTC)

func serve(t testing.TB, version string) *server {
	t.Helper()
	s := &server{t: t, store: inmem.New(), now: start}
	t.Cleanup(func() { s.store.Close() })
	s.mount(version)
	return s
}

// mount makes the engine anew, on the same store.
func (s *server) mount(version string) {
	s.t.Helper()
	s.point = logical.MountPoint{Path: "secret/", Type: "kv", DefaultLeaseTTL: time.Hour}
	if version != "" {
		s.point.Options = map[string]string{"version": version}
	}
	engine, err := Kind.New(s.point)
	if err != nil {
		s.t.Fatal(err)
	}
	s.engine = engine
}

// do serves one call. path may have a query.
func (s *server) do(op logical.Op, path, body string) (*logical.Response, error) {
	s.t.Helper()
	resp, events, err := s.call(s.t.Context(), op, path, body)
	s.events = events
	return resp, err
}

func (s *server) call(ctx context.Context, op logical.Op, path, body string) (resp *logical.Response, events []logical.Event, err error) {
	path, query, _ := strings.Cut(path, "?")
	endpoint, params := s.engine.Endpoints.Find(path)
	if endpoint == nil {
		return nil, nil, logical.ErrUnsupportedPath
	}
	action := endpoint.Action(op)
	if action == nil {
		return nil, nil, logical.ErrUnsupportedOp
	}
	r := &logical.Request{Op: op, Path: path, Mount: s.point, Now: s.now}
	if body != "" {
		r.Body = json.RawMessage(body)
	}
	values := map[string][]string{}
	for _, pair := range strings.Split(query, "&") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			values[k] = []string{v}
		}
	}
	if err := r.Accept(action.Fields, params, values); err != nil {
		return nil, nil, err
	}
	if err := s.tell(ctx, r, action); err != nil {
		return nil, nil, err
	}
	_, err = storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		r.Part, r.Events = tx.Below(dataKey), nil
		resp, err = action.Do(ctx, r)
		return err
	})
	return resp, r.Events, err
}

// dataKey is where the core keeps the mount's rows.
var dataKey = storage.Plain("data") + storage.Plain("mount")

// tell makes a Create or an Update of a Write.
func (s *server) tell(ctx context.Context, r *logical.Request, action *logical.Action) error {
	if r.Op != logical.Write || action.Exists == nil {
		return nil
	}
	return storage.View(ctx, s.store, func(tx *storage.Tx) error {
		r.Part, r.Op = tx.Below(dataKey), logical.Create
		exists, err := action.Exists(ctx, r)
		if exists {
			r.Op = logical.Update
		}
		return err
	})
}

// ok is do for calls that must succeed. It returns the answer's data as JSON,
// "" if there is none.
func (s *server) ok(op logical.Op, path, body string) string {
	s.t.Helper()
	resp, err := s.do(op, path, body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", op, path, err)
	}
	return dataOf(s.t, resp)
}

func dataOf(t testing.TB, resp *logical.Response) string {
	t.Helper()
	if resp == nil {
		return ""
	}
	raw, err := json.Marshal(resp.Data)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// rows counts the rows below a table.
func (s *server) rows(table string) int {
	s.t.Helper()
	n := 0
	err := storage.View(s.t.Context(), s.store, func(tx *storage.Tx) error {
		for _, err := range tx.Below(dataKey).Scan(s.t.Context(), storage.Plain(table), "") {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
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
	s.t.Helper()
	for i, st := range steps {
		resp, err := s.do(st.op, st.path, st.body)
		if !errors.Is(err, st.err) || err != nil && st.err == nil {
			s.t.Fatalf("step %d, %s %s: error %v, want %v", i, st.op, st.path, err, st.err)
		}
		if st.text != "" && err.Error() != st.text {
			s.t.Errorf("step %d, %s %s: error %q, want %q", i, st.op, st.path, err, st.text)
		}
		if got := dataOf(s.t, resp); got != st.want {
			s.t.Errorf("step %d, %s %s: got\n%s\nwant\n%s", i, st.op, st.path, got, st.want)
		}
		if lost := resp != nil && resp.NotFound; lost != st.lost {
			s.t.Errorf("step %d, %s %s: not found is %t", i, st.op, st.path, lost)
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
		for _, ep := range serve(t, version).engine.Endpoints.All() {
			for _, op := range []logical.Op{logical.Read, logical.List, logical.Write, logical.Patch, logical.Delete} {
				if a := ep.Action(op); a != nil && a.Help == "" {
					t.Errorf("version %s: %s %s has none", version, op, ep.Pattern)
				}
			}
		}
	}
}
