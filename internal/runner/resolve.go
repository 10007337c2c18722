package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cofferhq/coffer/secrets"
)

// resolve logs in, if there is a reason to, and fetches the values: from the server
// or, if that is away and it is allowed, from the cache.
func (j *job) resolve(ctx context.Context, asks bool) (values, error) {
	if !asks {
		resolved, err := secrets.NewResolver(nil).Resolve(ctx, j.slots) // escapes alone: it asks nobody
		if err != nil {
			return values{}, err
		}
		return values{value: resolved.Value}, nil
	}
	var err error
	if j.client, err = j.Connect(j.environment.getenv); err != nil {
		return values{}, local(err)
	}
	if j.Offline != nil {
		server := j.client.URL("", nil).String() + " " + j.client.Namespace()
		if j.cache, err = openCache(j.Offline, j.environment.getenv, subjectOf(server, j.slots, j.templates)); err != nil {
			return values{}, local(err)
		}
	}
	j.deadline = time.Now().Add(j.RetryTimeout)
	err = j.connect(ctx)
	if err == nil {
		v := j.current()
		j.remember(v)
		return v, nil
	}
	if j.cache != nil && isPassing(err) {
		return j.startOffline(err)
	}
	return values{}, err
}

// connect logs in and reads everything, with patience. It follows from then on,
// if that is wanted.
func (j *job) connect(ctx context.Context) error {
	if j.login == nil {
		login, err := j.logIn(ctx, j.client, j.environment)
		if err != nil {
			return err
		}
		j.login = login
	}
	err := j.patiently(ctx, isPassing, func() error { return withoutParts(j.read(ctx), j.parts) })
	return explain(ctx, j.client, err)
}

func (j *job) read(ctx context.Context) error {
	if len(j.templates) > 0 {
		if j.renderer == nil {
			j.renderer = newRenderer(j)
		}
		if err := j.renderer.render(ctx); err != nil {
			return err
		}
	}
	if !j.follows() {
		resolved, err := secrets.NewResolver(j.client).Resolve(ctx, j.slots)
		if err == nil {
			j.fixed = values{value: resolved.Value}
			j.login.Keep()
		}
		return err
	}
	if err := j.follow(ctx); err != nil {
		return err
	}
	if j.renderer != nil {
		j.work.Go(func() { j.renderer.follow(j.ctx) })
	}
	return nil
}

// remember writes the values to the cache, if there is one.
func (j *job) remember(v values) {
	if j.cache == nil {
		return
	}
	if err := j.cache.store(v, j.names); err != nil {
		j.Warn("the values could not be kept for a start without the server: " + err.Error())
	}
}

// startOffline takes the values of the cache, and has the server looked for.
func (j *job) startOffline(cause error) (values, error) {
	v, at, err := j.cache.load(j.templates)
	if err != nil {
		return values{}, errors.Join(cause, fmt.Errorf("-offline-ok: %w", err))
	}
	j.Warn(fmt.Sprintf("WARNING: %v\nThe server is away. The program is started with values of %s, %v old. They may have been changed or revoked since.",
		cause, at.Format(time.RFC3339), time.Since(at).Round(time.Second)))
	j.fixed = v
	if j.follows() {
		j.work.Go(j.awaitServer)
	}
	return v, nil
}

// awaitServer tries to reach the server until it answers. The program gets what is
// new then.
func (j *job) awaitServer() {
	// Logging in has no more patience of its own: this is it.
	j.deadline = time.Time{}
	told := ""
	for attempt := 0; ; attempt++ {
		if j.pause(j.ctx, backOff(attempt, awayPause)) != nil {
			return
		}
		err := j.connect(j.ctx)
		if err == nil {
			j.Warn("The server is back. Values are followed from now on.")
			return
		}
		if text := err.Error(); text != told && j.ctx.Err() == nil && !isPassing(err) {
			told = text
			j.Warn("The program runs with values of the cache, as the server is back and refuses: " + text)
		}
	}
}

// lastOfEach keeps the last of variables that have one name, in the place of the
// first.
func lastOfEach(variables []string) []string {
	at := map[string]int{}
	var list []string
	for _, v := range variables {
		name, _, _ := strings.Cut(v, "=")
		if i, ok := at[name]; ok {
			list[i] = v
			continue
		}
		at[name] = len(list)
		list = append(list, v)
	}
	return list
}
