package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	// shortestPause bounds how often a server that refuses is asked.
	shortestPause = time.Second
	// longestPause bounds how long nobody tries to get a token that has ended.
	longestPause = time.Minute
)

// Keep begins to keep the token alive, until Close. It returns at once; a second
// call does nothing.
func (s *Session) Keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.done = cancel, make(chan struct{})
	go func() {
		defer close(s.done)
		s.keep(ctx)
	}()
}

// keep prolongs one token after the other.
func (s *Session) keep(ctx context.Context) {
	s.lookUp(ctx)
	for ctx.Err() == nil {
		token, changed := s.state()
		if token.span > 0 && (token.renewable || s.login != nil) {
			s.prolong(ctx, token, changed)
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// lookUp learns what is not known of a token that was given. It counts as a use of
// the token, so it comes after the first reads.
func (s *Session) lookUp(ctx context.Context) {
	token, _ := s.state()
	if token.number > 0 || s.client.Token() == "" {
		return
	}
	answer, err := s.client.WithWrapTTL("").Read(ctx, "auth/token/lookup-self")
	if err != nil || answer == nil {
		return // it may not look; then it is used as it is
	}
	ttl := seconds(answer.Data["ttl"])
	if renewable := answer.Data["renewable"] == true; ttl > 0 && renewable {
		s.learn(token.number, ttl, renewable)
	}
}

// prolong waits and tries until the token lives longer, or is another. It gives a
// token up that has ended and that nobody can replace.
func (s *Session) prolong(ctx context.Context, token life, changed <-chan struct{}) {
	pause := s.jitter(token.span * 2 / 3)
	for failures := 0; ; failures++ {
		if !sleep(ctx, changed, pause) {
			return
		}
		err := s.try(ctx, token)
		if err == nil || ctx.Err() != nil {
			return
		}
		if failures == 0 {
			s.report(fmt.Errorf("the token could not be renewed, and it is tried again: %w", err))
		}
		left := time.Until(token.end())
		switch {
		case left > 0:
			pause = max(left/3, shortestPause)
		case s.login == nil:
			s.report(errors.New("the token has expired, and nobody can log in again"))
			s.learn(token.number, 0, false)
			return
		default:
			pause = s.jitter(min(max(token.first/3, shortestPause), longestPause))
		}
	}
}

// try renews the token, or logs in anew if that gives too little.
func (s *Session) try(ctx context.Context, token life) error {
	select {
	case s.slot <- struct{}{}:
		defer func() { <-s.slot }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if now, _ := s.state(); now.number != token.number {
		return nil // who was refused has logged in
	}
	var cause error
	if token.renewable {
		enough, err := s.renew(ctx, token)
		if err == nil && (enough || s.login == nil) {
			return nil
		}
		if s.login == nil {
			return err
		}
		cause = err
	}
	// The old token is not revoked before the end: its leases go with it.
	if err := s.Login(ctx); err != nil {
		return errors.Join(cause, fmt.Errorf("log in again: %w", err))
	}
	return nil
}

// renew says whether the token lives long enough after it.
func (s *Session) renew(ctx context.Context, token life) (enough bool, err error) {
	answer, err := s.client.WithWrapTTL("").Write(ctx, "auth/token/renew-self", map[string]any{})
	if err != nil {
		return false, err
	}
	if answer == nil || answer.Auth == nil {
		return false, errors.New("renew the token: the answer has none")
	}
	span := time.Duration(answer.Auth.LeaseDuration) * time.Second
	if enough = span > token.first/3; enough || s.login == nil {
		s.learn(token.number, span, answer.Auth.Renewable)
	}
	return enough, nil
}

// sleep returns false if ctx ends before, or changed is closed, which may be nil.
func sleep(ctx context.Context, changed <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-changed:
	case <-ctx.Done():
	}
	return false
}

// seconds returns a whole number of an answer as a time, or zero.
func seconds(v any) time.Duration {
	n, ok := v.(json.Number)
	if !ok {
		return 0
	}
	i, err := n.Int64()
	if err != nil || i < 0 || i > maxSeconds {
		return 0
	}
	return time.Duration(i) * time.Second
}

const maxSeconds = int64(1<<63-1) / int64(time.Second)
