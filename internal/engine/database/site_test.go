package database_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/engine/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/logical/mounttest"
	"github.com/cofferhq/coffer/internal/password"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

// site is a server as far as the engine sees one, whose tasks and leases are rows
// like the engine's: what a crash leaves of them is what a crash leaves. Its clock
// stands still.
type site struct {
	t     *testing.T
	world *world // nil: the systems are real
	kinds dbms.Kinds
	store storage.Store
	now   time.Time

	engine *logical.Engine
	mu     sync.Mutex       // for the field below
	mount  *mounttest.Mount // finds routes

	notes map[string]string
}

const dataKey, taskKey, leaseKey = "pdata\x00\x01", "ptask\x00\x01", "please\x00\x01"

// policies are the password policies of a site.
func policies(_ context.Context, name string) (password.Policy, error) {
	if name != "long" {
		return password.Policy{}, logical.Invalid("the password policy %q does not exist", name)
	}
	return password.Parse(`length = 40` + "\n" + `rule "charset" { charset = "abcdefgh" }`)
}

func newSite(t *testing.T, w *world) *site {
	s := newSiteOf(t, w.kinds())
	s.world = w
	return s
}

func newSiteOf(t *testing.T, kinds dbms.Kinds) *site {
	s := &site{t: t, kinds: kinds, store: inmem.New(), now: mounttest.Start}
	t.Cleanup(func() { s.engine.Close() })
	s.restart(s.store)
	return s
}

// restart begins with a new engine on store.
func (s *site) restart(store storage.Store) {
	s.t.Helper()
	if s.engine != nil {
		if err := s.engine.Close(); err != nil {
			s.t.Error(err)
		}
	}
	var err error
	point := logical.MountPoint{ID: "mount-id", Path: "database/", DefaultLeaseTTL: time.Hour, MaxLeaseTTL: 768 * time.Hour}
	if s.engine, err = database.New(s.kinds, policies).New(point); err != nil {
		s.t.Fatal(err)
	}
	s.store = store
	s.mount = &mounttest.Mount{T: s.t, Store: store, Engine: s.engine, Point: point, Caller: &logical.Caller{DisplayName: "token-app"}}
}

// step is what requests have for Step.
func (s *site) step(r *logical.Request) func(context.Context, func(*logical.Request) error) error {
	return func(ctx context.Context, fn func(*logical.Request) error) error {
		return s.commit(ctx, r, func(_ *storage.Tx, r *logical.Request) error { return fn(r) })
	}
}

func (s *site) commit(ctx context.Context, r *logical.Request, fn func(tx *storage.Tx, r *logical.Request) error) error {
	_, err := storage.Update(ctx, s.store, func(tx *storage.Tx) error {
		own := *r
		own.Part, own.Step, own.Events, own.Tasks = tx.Below(dataKey), nil, nil, nil
		if err := fn(tx, &own); err != nil {
			return err
		}
		for _, change := range own.Tasks {
			key := taskKey + storage.Order(uint64(change.Task.At.UnixNano())) + storage.Plain(change.Task.Ref)
			if change.Cancel {
				tx.Delete(key)
			} else {
				tx.Put(key, nil)
			}
		}
		return nil
	})
	return err
}

func (s *site) request(op logical.Op, path, body string) (*logical.Action, *logical.Request, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mount.Now = s.now
	return s.mount.Request(op, path, body)
}

// call does one request, as the core does it.
func (s *site) call(op logical.Op, path, body string) (*logical.Response, error) {
	s.t.Helper()
	action, r, err := s.request(op, path, body)
	if err != nil {
		return nil, err
	}
	ctx := s.t.Context()
	var resp *logical.Response
	if action.Outside {
		r.Step = s.step(r)
		if resp, err = action.Do(ctx, r); err != nil {
			return nil, err
		}
	}
	err = s.commit(ctx, r, func(tx *storage.Tx, r *logical.Request) (err error) {
		if !action.Outside {
			if resp, err = action.Do(ctx, r); err != nil {
				return err
			}
		}
		if resp == nil {
			return nil
		}
		if resp.Finish != nil {
			if err := resp.Finish(ctx, r); err != nil {
				return err
			}
		}
		if resp.Lease != nil {
			tx.Put(leaseKey+storage.Plain(resp.Data.(map[string]any)["username"].(string)), resp.Lease.State)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// must does a request that has to succeed and returns its data.
func (s *site) must(op logical.Op, path, body string) map[string]any {
	s.t.Helper()
	resp, err := s.call(op, path, body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", op, path, err)
	}
	var data map[string]any
	if text := mounttest.Data(s.t, resp); text != "" {
		if err := json.Unmarshal([]byte(text), &data); err != nil {
			s.t.Fatal(err)
		}
	}
	return data
}

func (s *site) write(path, body string) map[string]any {
	s.t.Helper()
	return s.must(logical.Write, path, body)
}

func (s *site) read(path string) map[string]any {
	s.t.Helper()
	return s.must(logical.Read, path, "")
}

// refused wants a request to fail with a text.
func (s *site) refused(op logical.Op, path, body, text string) {
	s.t.Helper()
	_, err := s.call(op, path, body)
	if err == nil || !strings.Contains(err.Error(), text) {
		s.t.Errorf("%s %s: error %v, want %q", op, path, err, text)
	}
}

func (s *site) own() *logical.Request {
	r := &logical.Request{Mount: s.mount.Point, Now: s.now}
	r.Step = s.step(r)
	return r
}

// lease returns the lease on a user; nil if there is none.
func (s *site) lease(user string) *logical.Lease {
	s.t.Helper()
	for row, state := range s.rows(leaseKey) {
		if row == leaseKey+storage.Plain(user) {
			return &logical.Lease{TTL: time.Hour, State: json.RawMessage(state)}
		}
	}
	return nil
}

// revoke revokes the lease on a user, as the core does it.
func (s *site) revoke(user string) error {
	l := s.lease(user)
	if l == nil {
		return nil
	}
	if err := s.engine.RevokeLease(s.t.Context(), s.own(), l); err != nil {
		return err
	}
	return s.commit(s.t.Context(), s.own(), func(tx *storage.Tx, _ *logical.Request) error {
		tx.Delete(leaseKey + storage.Plain(user))
		return nil
	})
}

func (s *site) renew(user string) error {
	return s.engine.RenewLease(s.t.Context(), s.own(), s.lease(user))
}

// rows are the rows below a prefix.
func (s *site) rows(prefix string) map[string]string {
	s.t.Helper()
	rows := map[string]string{}
	err := storage.View(s.t.Context(), s.store, func(tx *storage.Tx) error {
		for e, err := range tx.Scan(s.t.Context(), prefix, "") {
			if err != nil {
				return err
			}
			rows[e.Key] = string(e.Value)
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return rows
}

// work turns the clock on and does what is then due, once each, until nothing is or
// nothing more succeeds. It returns what went wrong last.
func (s *site) work(later time.Duration) (failure error) {
	s.t.Helper()
	s.now = s.now.Add(later)
	for progress := true; progress; {
		progress, failure = false, nil
		for _, task := range s.due() {
			if err := s.engine.Work(s.t.Context(), s.own(), task); err != nil {
				failure = fmt.Errorf("%s: %w", task.Ref, err)
				continue
			}
			progress = true
			err := s.commit(s.t.Context(), s.own(), func(_ *storage.Tx, r *logical.Request) error {
				r.Cancel(task)
				return nil
			})
			if err != nil {
				s.t.Fatal(err)
			}
		}
	}
	return failure
}

func (s *site) due() (tasks []logical.Task) { s.t.Helper(); return s.dueAt(s.now) }

// dueAt are the tasks that are due then.
func (s *site) dueAt(then time.Time) (tasks []logical.Task) {
	s.t.Helper()
	for key := range s.rows(taskKey) {
		at, rest, err := storage.Cut(key[len(taskKey):])
		if err != nil {
			s.t.Fatal(err)
		}
		ref, _, err := storage.Cut(rest)
		if err != nil {
			s.t.Fatal(err)
		}
		if when := time.Unix(0, int64(at.Number())).UTC(); !when.After(then) {
			tasks = append(tasks, logical.Task{At: when, Ref: ref.Text()})
		}
	}
	return tasks
}

// The bodies that most tests begin with.
const (
	connection = `{"plugin_name": "fake-database-plugin", "allowed_roles": "*", "connection_url": "fake://{{username}}:{{password}}@host",
		"username": "root", "password": "` + rootPassword + `"}`
	reader = `{"db_name": "db", "creation_statements": ["CREATE {{name}} {{password}}, then GRANT"], "default_ttl": "30m", "max_ttl": "24h"}`
	app    = `{"db_name": "db", "username": "app", "rotation_period": "24h"}`
)

const firstPassword = "the-password-that-app-had"

// furnished is a site with a connection "db" and a role "reader"; the system has a
// user "app".
func furnished(t *testing.T) *site {
	s := newSite(t, newWorld())
	s.world.add("app", firstPassword)
	s.write("config/db", connection)
	s.write("roles/reader", reader)
	return s
}
