package userpass

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

// house is the method over a store, as the core drives it. Its clock stands
// still.
type house struct {
	t      testing.TB
	store  storage.Store
	method *method
	engine *logical.Engine
	now    time.Time
	from   netip.Addr
}

var (
	start   = time.Date(2026, 3, 1, 12, 0, 0, 500, time.UTC)
	partKey = storage.Plain("mount")
	cheap   = cost{memory: 8, passes: 1, threads: 1}
)

// newHouse has hashes that cost next to nothing.
func newHouse(t testing.TB) *house {
	m := newMethod(cheap, vaultLimits)
	return &house{t: t, store: inmem.New(), method: m, engine: m.engine(), now: start, from: netip.MustParseAddr("10.1.2.3")}
}

// request finds the handler of a path and what it is called with.
func (h *house) request(op logical.Op, path, body string) (*logical.Action, *logical.Request, error) {
	endpoint, params := h.engine.Endpoints.Find(path)
	if endpoint == nil {
		return nil, nil, logical.ErrUnsupportedPath
	}
	action := endpoint.Action(op)
	if action == nil {
		return nil, nil, logical.ErrUnsupportedOp
	}
	r := &logical.Request{Op: op, Path: path, Now: h.now, RemoteAddr: h.from}
	r.Mount = logical.MountPoint{Path: "auth/userpass/", DefaultLeaseTTL: time.Hour, MaxLeaseTTL: 768 * time.Hour}
	if body != "" {
		r.Body = json.RawMessage(body)
	}
	return action, r, r.Accept(action.Fields, params, nil)
}

// callAnd does one request in one commit, with what and adds to it.
func (h *house) callAnd(ctx context.Context, op logical.Op, path, body string, and func(tx *storage.Tx)) (*logical.Response, error) {
	action, r, err := h.request(op, path, body)
	if err != nil {
		return nil, err
	}
	var resp *logical.Response
	_, err = storage.Update(ctx, h.store, func(tx *storage.Tx) error {
		r.Part = tx.Below(partKey)
		var err error
		if resp, err = action.Do(ctx, r); err == nil {
			and(tx)
		}
		return err
	})
	if err == nil && resp != nil && resp.After != nil {
		resp.After()
	}
	return resp, err
}

func (h *house) call(op logical.Op, path, body string) (*logical.Response, error) {
	return h.callAnd(context.Background(), op, path, body, func(*storage.Tx) {})
}

// must does a request that has to succeed and returns the data of its answer.
func (h *house) must(op logical.Op, path, body string) map[string]any {
	h.t.Helper()
	resp, err := h.call(op, path, body)
	if err != nil {
		h.t.Fatalf("%s %s: %v", op, path, err)
	}
	if resp == nil || resp.Data == nil {
		return nil
	}
	raw, err := json.Marshal(resp.Data)
	if err != nil {
		h.t.Fatal(err)
	}
	var data map[string]any
	if err := json.Unmarshal(raw, &data); err != nil {
		h.t.Fatal(err)
	}
	return data
}

func (h *house) write(path, body string) {
	h.t.Helper()
	h.must(logical.Write, path, body)
}

func (h *house) read(path string) map[string]any {
	h.t.Helper()
	return h.must(logical.Read, path, "")
}

// refused says what the answer has to be.
func (h *house) refused(op logical.Op, path, body string, kind error, text string) {
	h.t.Helper()
	resp, err := h.call(op, path, body)
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), text) {
		h.t.Errorf("%s %s: answer %+v, error %v, want %v with %q", op, path, resp, err, kind, text)
	}
}

func withPassword(password string) string {
	raw, err := json.Marshal(map[string]string{"password": password})
	if err != nil {
		panic(err) // texts always marshal
	}
	return string(raw)
}

func (h *house) login(name, password string) (*logical.Auth, error) {
	resp, err := h.call(logical.Write, "login/"+name, withPassword(password))
	if err != nil {
		return nil, err
	}
	return resp.Auth, nil
}

func (h *house) mustLogin(name, password string) *logical.Auth {
	h.t.Helper()
	auth, err := h.login(name, password)
	if err != nil {
		h.t.Fatalf("login: %v", err)
	}
	return auth
}

// fails wants a login to fail n times, as one with a wrong password does.
func (h *house) fails(name, password string, n int) {
	h.t.Helper()
	for range n {
		if _, err := h.login(name, password); !errors.Is(err, errCredentials) {
			h.t.Fatalf("login of %s: %v, want %v", name, err, errCredentials)
		}
	}
}

// lockedOut wants a login to be refused without a look at the password.
func (h *house) lockedOut(name, password string) {
	h.t.Helper()
	_, err := h.login(name, password)
	if !errors.Is(err, logical.ErrDenied) || err.Error() != "permission denied" {
		h.t.Errorf("login of %s: %v, want it locked out", name, err)
	}
}

// stored returns all rows as one text.
func (h *house) stored() string {
	h.t.Helper()
	var all strings.Builder
	err := storage.View(context.Background(), h.store, func(tx *storage.Tx) error {
		for e, err := range tx.Scan(context.Background(), "", "") {
			if err != nil {
				return err
			}
			all.WriteString(e.Key)
			all.Write(e.Value)
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all.String()
}
