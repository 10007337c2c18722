package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/storage"
)

// world is another system, and the engine of these tests that works on it.
type world struct {
	mu      sync.Mutex // guards the fields below
	users   map[string]bool
	worked  int   // tasks that were brought
	broken  error // what the system answers to everything
	inside  func()
	leaving int
}

var errAway = errors.New("the system is away")

func (w *world) kind() logical.Kind {
	return logical.Kind{Type: "world", New: func(logical.MountPoint) (*logical.Engine, error) {
		return &logical.Engine{
			Endpoints: logical.Bind(w, logical.Routes[*world]{
				{Op: logical.Read, Path: "creds", Do: (*world).creds, Outside: true, Help: "Make a user."},
				{Op: logical.Write, Path: "plan", Do: (*world).plan, Help: "Put a task off."},
				{Op: logical.Read, Path: "rows", Do: (*world).rows, Help: "Count the rows."},
			}),
			RevokeLease: func(ctx context.Context, r *logical.Request, l *logical.Lease) error {
				var user string
				if err := json.Unmarshal(l.State, &user); err != nil {
					return err
				}
				return w.drop(user)
			},
			Work:  w.work,
			Leave: w.leave,
			Forget: func(context.Context, *logical.Request) ([]string, error) {
				w.fails(nil)
				return []string{"the user of the world may still be there"}, nil
			},
		}, nil
	}}
}

func (w *world) creds(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	undo := logical.Task{At: r.Now.Add(time.Minute), Ref: "user"}
	err := r.Step(ctx, func(r *logical.Request) error {
		r.Part.Put(storage.Plain("pending"), nil)
		r.Schedule(undo)
		r.Emit(logical.Event{Type: "world/attempt"})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if w.inside != nil {
		w.inside()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return nil, w.broken
	}
	w.users["user"] = true
	return &logical.Response{
		Data:  map[string]string{"username": "user"},
		Lease: &logical.Lease{TTL: time.Hour, State: json.RawMessage(`"user"`)},
		Finish: func(_ context.Context, r *logical.Request) error {
			r.Part.Delete(storage.Plain("pending"))
			r.Cancel(undo)
			return nil
		},
	}, nil
}

func (w *world) plan(_ context.Context, r *logical.Request) (*logical.Response, error) {
	r.Schedule(logical.Task{At: r.Now.Add(time.Minute), Ref: "plan"})
	return nil, nil
}

func (w *world) rows(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	n := 0
	for _, err := range r.Part.Range(ctx, "", "") {
		if err != nil {
			return nil, err
		}
		n++
	}
	return &logical.Response{Data: map[string]int{"rows": n}}, nil
}

func (w *world) drop(user string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil {
		delete(w.users, user)
	}
	return w.broken
}

func (w *world) work(ctx context.Context, r *logical.Request, t logical.Task) error {
	w.mu.Lock()
	w.worked++
	w.mu.Unlock()
	if err := w.drop(t.Ref); err != nil {
		return err
	}
	return r.Step(ctx, func(r *logical.Request) error {
		r.Part.Delete(storage.Plain("pending"))
		return nil
	})
}

func (w *world) leave(context.Context, *logical.Request) error {
	w.mu.Lock()
	w.leaving++
	w.mu.Unlock()
	return w.drop("user")
}

// fails makes the system answer err from here on.
func (w *world) fails(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = err
}

func (w *world) state() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("users %d, worked %d", len(w.users), w.worked)
}

func newWorld(t *testing.T) (*house, *world) {
	h := newHouse(t)
	w := h.world
	if err := h.Mount(t.Context(), &mount.Entry{Path: "world/", Type: "world"}); err != nil {
		t.Fatal(err)
	}
	return h, w
}

// rowsLeft is how many rows the engine has.
func (h *house) rowsLeft() string { return string(h.must(logical.Read, "world/rows", "").Data) }

// later turns the clock on and waits until the due queue has made it so.
func (h *house) later(d time.Duration, so func() bool) {
	h.t.Helper()
	h.clock.Add(int64(d.Seconds()))
	h.eventually(so)
}

func TestWhatIsMadeOutsideIsLeased(t *testing.T) {
	h, w := newWorld(t)
	a := h.must(logical.Read, "world/creds", "")
	if a.LeaseID == "" || w.state() != "users 1, worked 0" || h.rowsLeft() != `{"rows":0}` {
		t.Errorf("lease %q, %s, %s", a.LeaseID, w.state(), h.rowsLeft())
	}
	if err := h.Leases().Revoke(t.Context(), "root", a.LeaseID, h.now()); err != nil || w.state() != "users 0, worked 0" {
		t.Errorf("%v, %s", err, w.state())
	}
}

func TestWhatIsLeftOutsideIsTakenBackLater(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(h *house, w *world, token string)
	}{
		{"the system fails", func(_ *house, w *world, _ string) { w.broken = errAway }},
		{"who asked is gone by the time that the lease is recorded", func(h *house, w *world, token string) {
			w.inside = func() { h.must(logical.Write, "auth/token/revoke", `{"token":"`+token+`"}`) }
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, w := newWorld(t)
			token := h.policy("world", `path "world/*" { capabilities = ["read"] }`)
			test.spoil(h, w, token)
			if _, err := h.ask(token, logical.Read, "world/creds", ""); err == nil {
				t.Fatal("no error")
			}
			if h.rowsLeft() != `{"rows":1}` {
				t.Errorf("the step was not committed: %s", h.rowsLeft())
			}
			w.fails(nil)
			h.later(2*time.Minute, func() bool {
				return strings.HasPrefix(w.state(), "users 0") && h.rowsLeft() == `{"rows":0}`
			})
		})
	}
}

func TestATaskIsTriedUntilItSucceeds(t *testing.T) {
	h, w := newWorld(t)
	h.must(logical.Write, "world/plan", "")
	w.fails(errAway)
	h.later(2*time.Minute, func() bool { return w.state() == "users 0, worked 1" })
	h.later(time.Minute, func() bool { return w.state() == "users 0, worked 2" })
	w.fails(nil)
	h.later(time.Hour, func() bool { return w.state() == "users 0, worked 3" })
	h.clock.Add(3600)
	h.must(logical.Write, "world/plan", "")
	h.later(2*time.Minute, func() bool { return w.state() == "users 0, worked 4" })
}

func TestAnEngineTakesItsThingsAlongWhenItLeaves(t *testing.T) {
	h, w := newWorld(t)
	h.must(logical.Write, "world/plan", "")
	w.users["user"] = true
	w.fails(errAway)
	if err := h.Unmount(t.Context(), "world/"); err == nil {
		t.Fatal("the mount has gone, and left its user behind")
	}
	w.fails(nil)
	if err := h.Unmount(t.Context(), "world/"); err != nil || len(w.users) != 0 || w.leaving != 2 {
		t.Errorf("%v, %s, asked %d times", err, w.state(), w.leaving)
	}
	h.later(time.Hour, func() bool { return !strings.Contains(h.log.String(), `"kind":"work"`) })
	if w.state() != "users 0, worked 0" {
		t.Error(w.state())
	}
}

// A step of a request does not get in while its mount is leaving.
func TestAMountThatIsLeavingTakesNoSteps(t *testing.T) {
	h, w := newWorld(t)
	w.inside = func() {
		if err := h.Unmount(context.Background(), "world/"); err != nil {
			t.Error(err)
		}
	}
	_, err := h.ask(rootText, logical.Read, "world/creds", "")
	if err == nil || h.Mounts().At("world/") != nil {
		t.Errorf("error %v", err)
	}
}
