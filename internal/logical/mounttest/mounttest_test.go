package mounttest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/logical/mounttest"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

// toy is an engine that keeps texts.
type toy struct {
	calls *int // of write
	after *int // answers that are on record
}

var routes = logical.Routes[toy]{
	{Op: logical.Read, Path: "text/{name}", Do: toy.read, Fields: logical.Fields{"shout": {Type: logical.Bool}}},
	{Op: logical.Write, Path: "text/{name}", Do: toy.write, Exists: toy.exists, Fields: logical.Fields{"text": {Type: logical.Text}}},
	{Op: logical.Write, Path: "login", Do: toy.login},
}

func (toy) read(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	e, err := r.Part.Get(ctx, storage.Name(r.Text("name")))
	if err != nil {
		return nil, logical.ErrNotFound
	}
	return &logical.Response{Data: map[string]any{"text": string(e.Value), "shout": r.Bool("shout")}}, nil
}

func (e toy) write(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	*e.calls++
	if _, err := e.exists(ctx, r); err != nil {
		return nil, err
	}
	r.Emit(logical.Event{Type: r.Op.String()})
	r.Part.Put(storage.Name(r.Text("name")), []byte(r.Text("text")))
	return &logical.Response{After: func() { *e.after++ }}, nil
}

func (toy) exists(ctx context.Context, r *logical.Request) (bool, error) {
	_, err := r.Part.Get(ctx, storage.Name(r.Text("name")))
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (toy) login(_ context.Context, r *logical.Request) (*logical.Response, error) {
	if r.Caller == nil {
		return nil, logical.ErrDenied
	}
	return &logical.Response{Auth: &logical.Auth{DisplayName: r.RemoteAddr.String()}}, nil
}

func newToy(t *testing.T) (*mounttest.Mount, toy) {
	e := toy{new(int), new(int)}
	return mounttest.New(t, &logical.Engine{Endpoints: logical.Bind(e, routes)}, inmem.New()), e
}

func TestRequestsAreServedByTheirRoutes(t *testing.T) {
	m, _ := newToy(t)
	m.Refused(logical.Read, "text/a", "", logical.ErrNotFound, "")
	m.Refused(logical.Read, "other", "", logical.ErrUnsupportedPath, "")
	m.Refused(logical.Delete, "text/a", "", logical.ErrUnsupportedOp, "")
	m.Refused(logical.Write, "text/a", "[]", logical.ErrInvalid, "not an object")
	if data := m.Write("text/a", `{"text": "hi"}`); data != nil {
		t.Errorf("data %v of an answer without", data)
	}
	if diff := cmp.Diff(map[string]any{"text": "hi", "shout": true}, m.Read("text/a?shout=1")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{mounttest.Key + storage.Name("a")}, m.Keys()); diff != "" {
		t.Error(diff)
	}
	m.Change(func(part storage.Part) error {
		part.Put(storage.Name("a"), []byte("changed"))
		return nil
	})
	if got := m.Read("text/a")["text"]; got != "changed" {
		t.Errorf("text %q", got)
	}
}

func TestACreationIsToldFromAnUpdate(t *testing.T) {
	m, _ := newToy(t)
	for _, want := range []logical.Op{logical.Create, logical.Update} {
		if exists := m.Exists("text/a"); exists != (want == logical.Update) {
			t.Errorf("exists is %t before the %s", exists, want)
		}
		action, r, err := m.Request(logical.Write, "text/a", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Do(t.Context(), action, r); err != nil || r.Op != want {
			t.Errorf("%s, error %v, want %s", r.Op, err, want)
		}
	}
}

// The answer is one of the attempt that was committed.
func TestAConflictIsTriedAgain(t *testing.T) {
	m, e := newToy(t)
	action, r, err := m.Request(logical.Write, "text/a", `{"text": "mine"}`)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Do(t.Context(), action, r, func(*storage.Tx) {
		if *e.calls == 1 {
			m.Write("text/a", `{"text": "other"}`)
		}
	})
	if err != nil || *e.calls != 3 || *e.after != 2 || len(r.Events) != 1 {
		t.Errorf("%d calls, %d answers on record, events %v, error %v", *e.calls, *e.after, r.Events, err)
	}
	if got := m.Read("text/a")["text"]; got != "mine" {
		t.Errorf("text %q", got)
	}
}

func TestLoginsComeFromSomewhere(t *testing.T) {
	m, _ := newToy(t)
	if _, err := m.Login("login", ""); !errors.Is(err, logical.ErrDenied) {
		t.Errorf("without a caller: %v", err)
	}
	m.Caller = &logical.Caller{}
	if got := m.MustLogin("login", "").DisplayName; got != "10.1.2.3" {
		t.Errorf("from %q", got)
	}
}
