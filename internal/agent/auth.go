package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// Times between logins, and renewals, that fail.
const (
	defaultMinBackOff = time.Second
	defaultMaxBackOff = 5 * time.Minute
)

// keeper has a token and keeps it alive: it logs in, gives the token to the client
// and the sinks, renews it at two thirds of its life, and logs in again when it has
// ended or will not live longer.
type keeper struct {
	method *Method
	sinks  []Sink
	client *client.Client // has the token of the moment
	log    *slog.Logger
	now    credentials

	suspected chan struct{} // of capacity 1: the token was refused

	mu      sync.Mutex    // guards the fields below
	number  uint64        // of the token; zero: there is none yet
	changed chan struct{} // closed, and replaced, when the token is another
}

func newKeeper(cfg *Config, c *client.Client, log *slog.Logger) *keeper {
	return &keeper{
		method: cfg.Method, sinks: cfg.Sinks, client: c, log: log,
		suspected: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

// token returns the number of the token and a channel that is closed when it is
// another.
func (k *keeper) token() (number uint64, changed <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.number, k.changed
}

// ready waits for the first token.
func (k *keeper) ready(ctx context.Context) error {
	for {
		number, changed := k.token()
		if number > 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// suspect says that the server has refused the token. Whether it has ended, or has
// not the right, is found out.
func (k *keeper) suspect() {
	select {
	case k.suspected <- struct{}{}:
	default:
	}
}

// run keeps the token alive until ctx ends. It returns an error if the method says
// that one ends the agent.
func (k *keeper) run(ctx context.Context) error {
	for ctx.Err() == nil {
		auth, err := k.earn(ctx)
		if err != nil {
			return err
		}
		if auth == nil {
			return nil // ctx has ended
		}
		k.adopt(ctx, auth)
		k.keep(ctx, time.Duration(auth.LeaseDuration)*time.Second, auth.Renewable)
	}
	return nil
}

// earn logs in, as often as it takes.
func (k *keeper) earn(ctx context.Context) (*api.Auth, error) {
	for failures := 0; ; failures++ {
		auth, err := k.method.logIn(ctx, k.client, &k.now)
		switch {
		case ctx.Err() != nil:
			return nil, nil
		case err == nil:
			return auth, nil
		case k.method.ExitOnError:
			return nil, fmt.Errorf("log in with %s: %w", k.method.Kind, err)
		}
		pause := backOff(failures, orDefault(k.method.MinBackOff, defaultMinBackOff), orDefault(k.method.MaxBackOff, defaultMaxBackOff))
		k.log.Error("login failed, and is tried again", "method", k.method.Kind, "after", pause.Round(time.Millisecond), "error", err)
		if !sleep(ctx, pause, nil) {
			return nil, nil
		}
	}
}

func orDefault(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}

// backOff doubles from least to most with each failure, less up to a quarter at
// random, so that many agents do not come back at once.
func backOff(failures int, least, most time.Duration) time.Duration {
	d := max(least, time.Millisecond)
	for range min(failures, 32) {
		if d *= 2; d > most {
			break
		}
	}
	d = max(min(d, most), time.Millisecond)
	return d - rand.N(d/4+1)
}

// sleep returns false if ctx ends before. It ends early when wake gets something.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-wake:
		return true
	case <-ctx.Done():
		return false
	}
}

// adopt makes the token the one that all use.
func (k *keeper) adopt(ctx context.Context, auth *api.Auth) {
	k.client.SetToken(auth.ClientToken)
	for i := range k.sinks {
		// One folder that is gone is no reason to keep the token from the others.
		if err := k.sinks[i].write(ctx, k.client); err != nil {
			k.log.Error("the token could not be written", "sink", k.sinks[i].Path, "error", err)
		}
	}
	k.log.Info("logged in", "method", k.method.Kind, "accessor", auth.Accessor,
		"ttl", time.Duration(auth.LeaseDuration)*time.Second, "renewable", auth.Renewable)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.number++
	close(k.changed)
	k.changed = make(chan struct{})
}

// keep renews the token until that does not help any more, or ctx ends.
func (k *keeper) keep(ctx context.Context, span time.Duration, renewable bool) {
	first, from, failures := span, time.Now(), 0
	var known time.Time // when the server last said that the token lives
	for {
		var due <-chan time.Time
		if span > 0 {
			// Who cannot renew waits longer: a new token ends the leases of the old one.
			pause := span * 2 / 3
			if !renewable {
				pause = span * 9 / 10
			}
			if failures > 0 {
				pause = max(time.Until(from.Add(span))/3, defaultMinBackOff)
			}
			due = time.After(pause - rand.N(pause/10+1))
		}
		select {
		case <-ctx.Done():
			return
		case <-k.suspected:
			if time.Since(known) < lookAgain {
				continue // it lacks a right, and not for the first time
			}
			if k.alive(ctx) {
				known = time.Now()
				continue
			}
			k.log.Warn("the token has ended before its time")
			return
		case <-due:
		}
		if !renewable {
			return
		}
		left, err := k.renew(ctx)
		switch {
		case err == nil && left > first/3:
			span, from, failures = left, time.Now(), 0
		case err == nil, client.StatusOf(err) == http.StatusForbidden, time.Now().After(from.Add(span)):
			return // it will not live longer: another one is needed
		default:
			if failures++; failures == 1 {
				k.log.Warn("the token could not be renewed, and it is tried again", "error", err)
			}
		}
	}
}

// lookAgain is how soon after an answer it is asked again whether the token lives.
const lookAgain = 5 * time.Second

// alive says whether the server knows the token. A server that is away is no answer.
func (k *keeper) alive(ctx context.Context) bool {
	_, err := k.client.Read(ctx, "auth/token/lookup-self")
	return client.StatusOf(err) != http.StatusForbidden
}

func (k *keeper) renew(ctx context.Context) (left time.Duration, err error) {
	answer, err := k.client.Write(ctx, "auth/token/renew-self", map[string]any{})
	if err != nil {
		return 0, err
	}
	if answer == nil || answer.Auth == nil {
		return 0, errors.New("the answer has no token")
	}
	return time.Duration(answer.Auth.LeaseDuration) * time.Second, nil
}

// revokeTimeout bounds how long the end waits for the server.
const revokeTimeout = 5 * time.Second

// revoke ends the token at the agent's own end.
func (k *keeper) revoke() error {
	ctx, cancel := context.WithTimeout(context.Background(), revokeTimeout)
	defer cancel()
	_, err := k.client.Write(ctx, "auth/token/revoke-self", nil)
	if err != nil && client.StatusOf(err) != http.StatusForbidden {
		return fmt.Errorf("revoke the token, which ends by itself: %w", err)
	}
	return nil
}

// wholeSeconds reads a number of an answer as a time, or zero.
func wholeSeconds(v any) time.Duration {
	n, ok := v.(json.Number)
	if !ok {
		return 0
	}
	i, err := n.Int64()
	if err != nil || i < 0 || i > 1<<32 {
		return 0
	}
	return time.Duration(i) * time.Second
}
