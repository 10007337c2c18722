package core

import (
	"context"
	"errors"
	"strings"

	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/event"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/storage"
)

// working is the kind of due items that are tasks of engines. Ref is the id of
// the mount, a dot, and the engine's own.
const working due.Kind = "work"

// outside calls the engine once, outside any transaction, and returns what is
// left to do in the one that settles the answer.
func (c *Core) outside(ctx context.Context, v *visit) (action, error) {
	v.request.Step = c.step(v.mount, v.request, ofCaller)
	resp, err := v.action.Do(ctx, v.request)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, r *logical.Request) (*logical.Response, error) {
		if resp == nil || resp.Finish == nil {
			return resp, nil
		}
		return resp, resp.Finish(ctx, r)
	}, nil
}

// byItself returns a request that nobody has made: the core's, to an engine.
func (c *Core) byItself(m *mount.Mounted) *logical.Request {
	r := &logical.Request{Mount: m.Point, Now: c.Now()}
	r.Step = c.step(m, r, ofCore)
	return r
}

// whose says who wants a step.
type whose bool

const (
	ofCaller whose = false
	ofCore   whose = true // it may still clean up while the mount is leaving
)

// step returns what r has for Step: transactions on the rows of m, which end
// when the mount does.
func (c *Core) step(m *mount.Mounted, r *logical.Request, who whose) func(context.Context, func(*logical.Request) error) error {
	return func(ctx context.Context, fn func(*logical.Request) error) error {
		_, err := storage.Update(ctx, c.barrier, func(tx *storage.Tx) error {
			// That the mount is there becomes a condition of the commit.
			e, err := mount.Get(ctx, tx, m.Namespace, m.ID)
			if err != nil {
				return err
			}
			if e.Leaving && who == ofCaller {
				return noRoute(m.Path)
			}
			own := *r
			own.Part, own.Step, own.Events, own.Tasks = tx.Below(m.Data), nil, nil, nil
			if err := fn(&own); err != nil {
				return err
			}
			return leaveWord(tx, &own)
		})
		return fromStorage(err)
	}
}

// leaveWord writes the events and tasks of r, in the transaction of its part.
func leaveWord(tx *storage.Tx, r *logical.Request) error {
	for _, e := range r.Events {
		if err := event.Append(tx, r.Mount.Namespace, r.Mount, r.ID, r.Now, e); err != nil {
			return err
		}
	}
	for _, change := range r.Tasks {
		item := due.Item{
			At: change.Task.At, Kind: working, Namespace: r.Mount.Namespace, Ref: r.Mount.ID + "." + change.Task.Ref,
		}
		if change.Cancel {
			due.Cancel(tx, item)
		} else if err := due.Schedule(tx, item); err != nil {
			return err
		}
	}
	return nil
}

// work does an engine's task. That of a mount which is gone is done.
func (c *Core) work(ctx context.Context, i due.Item) error {
	id, ref, ok := strings.Cut(i.Ref, ".")
	if !ok {
		return errors.New("core: a task without a mount")
	}
	m, err := c.mountByID(id)
	if err != nil {
		return err
	}
	if m == nil {
		return c.strike(ctx, i, id)
	}
	if m.Engine.Work != nil && !m.Leaving {
		r := c.byItself(m)
		if r.Now.Before(i.At) {
			r.Now = i.At // the clock went back a little just now
		}
		if err := m.Engine.Work(ctx, r, logical.Task{At: i.At, Ref: ref}); err != nil {
			return err
		}
	}
	return c.strike(ctx, i, "")
}

// strike takes an item off the queue; if gone is set, on the condition that there
// is no mount of that id: one that was made a moment ago may not be loaded yet.
func (c *Core) strike(ctx context.Context, i due.Item, gone string) error {
	_, err := storage.Update(ctx, c.barrier, func(tx *storage.Tx) error {
		if gone != "" {
			if err := expectGone(ctx, tx, i.Namespace, gone); err != nil {
				return err
			}
		}
		due.Cancel(tx, i)
		return nil
	})
	return err
}

// expectGone makes it a condition of tx that there is no mount of that id.
func expectGone(ctx context.Context, tx *storage.Tx, ns, id string) error {
	_, err := mount.Get(ctx, tx, ns, id)
	switch {
	case err == nil:
		return errors.New("the mount is not loaded yet")
	case errors.Is(err, logical.ErrNotFound):
		return nil
	}
	return err
}
