package database

import (
	"context"
	"sync"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// turns lets one at a time do something about a user of a system. Its zero value
// is ready to use.
type turns struct {
	mu   sync.Mutex // guards the field below
	held map[string]*turn
}

type turn struct {
	token chan struct{} // holds one element while the turn is free
	want  int           // who has it or waits for it; guarded by turns.mu
}

// maxWait is how long a turn is waited for: as long as one call may take that was
// begun before.
const maxWait = 40 * time.Second

// take waits for the turn of key and returns what ends it.
func (t *turns) take(ctx context.Context, key string) (end func(), err error) {
	one := t.enter(key)
	late := time.NewTimer(maxWait)
	defer late.Stop()
	select {
	case <-one.token:
		return func() {
			one.token <- struct{}{}
			t.leave(key)
		}, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-late.C:
		err = logical.Errorf(logical.ErrUpstream, "another operation on the same database user is under way, try again")
	}
	t.leave(key)
	return nil, err
}

func (t *turns) enter(key string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.held[key]
	if one == nil {
		one = &turn{token: make(chan struct{}, 1)}
		one.token <- struct{}{}
		if t.held == nil {
			t.held = make(map[string]*turn)
		}
		t.held[key] = one
	}
	one.want++
	return one
}

func (t *turns) leave(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held[key].want--; t.held[key].want == 0 {
		delete(t.held, key)
	}
}
