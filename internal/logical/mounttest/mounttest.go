// Package mounttest drives an engine or auth method over a store as the core
// does, for tests of engines: without tokens, policies and audit, but with
// routes, typed fields and one commit for each request.
//
// Start reading at [Mount].
package mounttest

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// Start is when the clock of a new [Mount] stands. It has a fraction of a second.
var Start = time.Date(2026, 3, 1, 12, 0, 0, 500, time.UTC)

// Key is below which a [Mount] has its rows.
var Key = storage.Plain("data") + storage.Plain("mount")

// Mount is an engine, or an auth method, over a store. Its clock stands still.
// Its methods are safe for concurrent use while the fields are left alone.
type Mount struct {
	T      testing.TB
	Store  storage.Store // the mount's rows lie below Key
	Engine *logical.Engine
	Point  logical.MountPoint

	// What requests come with.
	Now    time.Time
	From   netip.Addr
	Caller *logical.Caller

	mu    sync.Mutex     // guards the field below
	tasks []logical.Task // that the engine has put off
}

// New returns a mount of engine over an empty store, which the test's end closes.
// Point is that of a mount with usual limits, Now is [Start], From is 10.1.2.3
// and Caller nil: all can be changed.
func New(t testing.TB, engine *logical.Engine, store storage.Store) *Mount {
	t.Helper()
	t.Cleanup(func() { store.Close() })
	return &Mount{
		T: t, Store: store, Engine: engine,
		Point: logical.MountPoint{Path: "mount/", DefaultLeaseTTL: time.Hour, MaxLeaseTTL: 768 * time.Hour},
		Now:   Start, From: netip.MustParseAddr("10.1.2.3"),
	}
}

// Request finds the handler of a path, which may have a query, and what it is to
// be called with.
func (m *Mount) Request(op logical.Op, path, body string) (*logical.Action, *logical.Request, error) {
	path, rawQuery, _ := strings.Cut(path, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, nil, err
	}
	endpoint, params := m.Engine.Endpoints.Find(path)
	if endpoint == nil {
		return nil, nil, logical.ErrUnsupportedPath
	}
	action := endpoint.Action(op)
	if action == nil {
		return nil, nil, logical.ErrUnsupportedOp
	}
	r := &logical.Request{Op: op, Path: path, Mount: m.Point, Now: m.Now, RemoteAddr: m.From, Caller: m.Caller}
	if body != "" {
		r.Body = json.RawMessage(body)
	}
	return action, r, r.Accept(action.Fields, params, query)
}

// createOrUpdate says which of the two a Write is, where the route does.
func (m *Mount) createOrUpdate(ctx context.Context, action *logical.Action, r *logical.Request) error {
	if r.Op != logical.Write || action.Exists == nil {
		return nil
	}
	return storage.View(ctx, m.Store, func(tx *storage.Tx) error {
		r.Part = tx.Below(Key)
		exists, err := action.Exists(ctx, r)
		if err != nil {
			return err
		}
		if r.Op = logical.Create; exists {
			r.Op = logical.Update
		}
		return nil
	})
}

// Do does a request that Request has returned, in one commit with what each of
// and adds to it, unless its route is Outside. The events of the commit are left in r.
func (m *Mount) Do(ctx context.Context, action *logical.Action, r *logical.Request, and ...func(tx *storage.Tx)) (*logical.Response, error) {
	if err := m.createOrUpdate(ctx, action, r); err != nil {
		return nil, err
	}
	resp, err := m.act(ctx, action, r, and)
	if err != nil {
		return nil, err
	}
	if resp != nil && resp.After != nil {
		resp.After()
	}
	return resp, nil
}

func (m *Mount) act(ctx context.Context, action *logical.Action, r *logical.Request, and []func(tx *storage.Tx)) (resp *logical.Response, err error) {
	if action.Outside {
		return m.outside(ctx, action, r)
	}
	_, err = storage.Update(ctx, m.Store, func(tx *storage.Tx) error {
		r.Part, r.Events, r.Tasks = tx.Below(Key), nil, nil
		if resp, err = action.Do(ctx, r); err != nil {
			return err
		}
		for _, add := range and {
			add(tx)
		}
		return nil
	})
	if err == nil {
		m.keepTasks(r)
	}
	return resp, err
}

// CallAnd is Request and Do.
func (m *Mount) CallAnd(ctx context.Context, op logical.Op, path, body string, and ...func(tx *storage.Tx)) (*logical.Response, error) {
	action, r, err := m.Request(op, path, body)
	if err != nil {
		return nil, err
	}
	return m.Do(ctx, action, r, and...)
}

// Call does one request.
func (m *Mount) Call(op logical.Op, path, body string) (*logical.Response, error) {
	return m.CallAnd(m.T.Context(), op, path, body)
}

// Must does a request that has to succeed and returns the data of its answer, as
// encoding/json reads them; nil if there are none.
func (m *Mount) Must(op logical.Op, path, body string) map[string]any {
	m.T.Helper()
	resp, err := m.Call(op, path, body)
	if err != nil {
		m.T.Fatalf("%s %s: %v", op, path, err)
	}
	text := Data(m.T, resp)
	if text == "" {
		return nil
	}
	var data map[string]any
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		m.T.Fatal(err)
	}
	return data
}

// Write is Must of a write.
func (m *Mount) Write(path, body string) map[string]any {
	m.T.Helper()
	return m.Must(logical.Write, path, body)
}

// Read is Must of a read.
func (m *Mount) Read(path string) map[string]any {
	m.T.Helper()
	return m.Must(logical.Read, path, "")
}

// Refused wants a request to fail with an error of kind whose text holds text.
func (m *Mount) Refused(op logical.Op, path, body string, kind error, text string) {
	m.T.Helper()
	resp, err := m.Call(op, path, body)
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), text) {
		m.T.Errorf("%s %s: answer %+v, error %v, want %v with %q", op, path, resp, err, kind, text)
	}
}

// Data returns the data of an answer as JSON, "" if there are none.
func Data(t testing.TB, resp *logical.Response) string {
	t.Helper()
	if resp == nil || resp.Data == nil {
		return ""
	}
	raw, err := json.Marshal(resp.Data)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
