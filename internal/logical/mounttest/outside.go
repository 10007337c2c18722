package mounttest

import (
	"context"
	"slices"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// request returns a request that nobody has made, as the core makes them.
func (m *Mount) request() *logical.Request {
	r := &logical.Request{Mount: m.Point, Now: m.Now}
	r.Step = m.step(r)
	return r
}

// step is what r has for Step.
func (m *Mount) step(r *logical.Request) func(context.Context, func(*logical.Request) error) error {
	return func(ctx context.Context, fn func(*logical.Request) error) error {
		var done *logical.Request
		_, err := storage.Update(ctx, m.Store, func(tx *storage.Tx) error {
			own := *r
			own.Part, own.Step, own.Events, own.Tasks = tx.Below(Key), nil, nil, nil
			done = &own
			return fn(&own)
		})
		if err == nil {
			m.keepTasks(done)
		}
		return err
	}
}

// outside does an action that touches other systems, and what its answer leaves
// to be done.
func (m *Mount) outside(ctx context.Context, action *logical.Action, r *logical.Request) (*logical.Response, error) {
	r.Step = m.step(r)
	resp, err := action.Do(ctx, r)
	if err != nil || resp == nil || resp.Finish == nil {
		return resp, err
	}
	return resp, m.step(r)(ctx, func(r *logical.Request) error { return resp.Finish(ctx, r) })
}

// keepTasks changes the queue as r wants it.
func (m *Mount) keepTasks(r *logical.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, change := range r.Tasks {
		m.tasks = slices.DeleteFunc(m.tasks, func(t logical.Task) bool { return t == change.Task })
		if !change.Cancel {
			m.tasks = append(m.tasks, change.Task)
		}
	}
}

// Tasks returns what the engine has put off, by time.
func (m *Mount) Tasks() []logical.Task {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.Clone(m.tasks)
	slices.SortStableFunc(all, func(a, b logical.Task) int { return a.At.Compare(b.At) })
	return all
}

// Work does the tasks that are due at Now, one time each, and returns what the
// engine says to them. What fails stays in the queue.
func (m *Mount) Work() []error {
	var said []error
	for _, t := range m.Tasks() {
		if t.At.After(m.Now) {
			continue
		}
		err := m.Engine.Work(m.T.Context(), m.request(), t)
		if err == nil {
			m.keepTasks(&logical.Request{Tasks: []logical.TaskChange{{Task: t, Cancel: true}}})
		}
		said = append(said, err)
	}
	return said
}

// RenewLease renews a lease that an answer asked for.
func (m *Mount) RenewLease(l *logical.Lease) error {
	return m.Engine.RenewLease(m.T.Context(), m.request(), l)
}

// RevokeLease revokes a lease that an answer asked for.
func (m *Mount) RevokeLease(l *logical.Lease) error {
	return m.Engine.RevokeLease(m.T.Context(), m.request(), l)
}

// Leave has the engine take back what is outside, as when its mount is disabled.
func (m *Mount) Leave() error { return m.Engine.Leave(m.T.Context(), m.request()) }
