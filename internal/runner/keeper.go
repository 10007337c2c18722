package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cofferhq/coffer/api"
)

// keeper keeps the session's token alive. It owns one goroutine, which keep
// starts and Close joins; the session is its own until then.
type keeper struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when run has returned
	s      *session
}

// shortestPause bounds how often the server is asked when it refuses.
const shortestPause = time.Second

func keep(s *session) *keeper {
	ctx, cancel := context.WithCancel(context.Background())
	k := &keeper{cancel: cancel, done: make(chan struct{}), s: s}
	go func() {
		defer close(k.done)
		k.run(ctx)
	}()
	return k
}

// Close stops the keeper and waits for a request under way to return.
func (k *keeper) Close() { k.cancel(); <-k.done }

// run renews at two thirds of the token's life.
func (k *keeper) run(ctx context.Context) {
	if k.s.lookUp(ctx) != nil {
		return
	}
	first := k.s.life
	for k.s.life > 0 && (k.s.renewable || k.s.again != nil) {
		if !k.prolong(ctx, first) {
			return
		}
	}
}

// prolong waits and tries until the token lives longer. It gives up, and returns
// false, when ctx ends or a token has died that nobody can replace.
func (k *keeper) prolong(ctx context.Context, first time.Duration) bool {
	end := time.Now().Add(k.s.life)
	for pause, failures := k.s.life*2/3, 0; sleep(ctx, pause); failures++ {
		err := k.try(ctx, first)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if failures == 0 {
			k.s.warn("the token could not be renewed, and it is tried again: " + err.Error())
		}
		left := time.Until(end)
		if left <= 0 && k.s.again == nil {
			k.s.warn("the token has expired: the program runs on without one")
			return false
		}
		pause = max(left/3, shortestPause)
		if left <= 0 {
			pause = max(first/3, shortestPause)
		}
	}
	return false
}

// try renews the token, or logs in anew if that gives too little: the token
// comes near the end that its role set for it.
func (k *keeper) try(ctx context.Context, first time.Duration) error {
	var cause error
	if k.s.renewable {
		auth, err := k.renew(ctx)
		switch {
		case err == nil && (auth.LeaseDuration > int(first.Seconds()/3) || k.s.again == nil):
			k.s.learn(auth)
			return nil
		case err != nil && k.s.again == nil:
			return err
		}
		cause = err
	}
	auth, err := k.s.again(ctx)
	if err != nil {
		return errors.Join(cause, fmt.Errorf("log in again: %w", err))
	}
	// The old token is not revoked before the end: its leases go with it.
	k.s.use(auth)
	return nil
}

func (k *keeper) renew(ctx context.Context) (*api.Auth, error) {
	answer, err := k.s.client.Write(ctx, "auth/token/renew-self", map[string]any{})
	if err != nil {
		return nil, err
	}
	if answer == nil || answer.Auth == nil {
		return nil, errors.New("renew the token: the answer has none")
	}
	return answer.Auth, nil
}

// sleep returns false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// number returns a whole number of an answer, or zero.
func number(v any) int {
	n, ok := v.(json.Number)
	if !ok {
		return 0
	}
	i, err := n.Int64()
	if err != nil {
		return 0
	}
	return int(i)
}
