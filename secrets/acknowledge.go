package secrets

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/cofferhq/coffer/client"
)

// acknowledger tells a server which versions are in use, so that a rotation can
// wait for those who use the old one. Servers that are not coffer are left in
// peace.
type acknowledger struct {
	group    *Group
	told     map[place]int // version that the server knows of, or has refused to
	support  support
	failures int // in a row
	again    time.Time
}

// support is whether the server takes acknowledgements.
type support uint8

const (
	undecided support = iota
	supported
	unsupported
)

// acknowledge tells of what s uses that is new, and says when to try again if the
// server is away; zero: it is done.
func (a *acknowledger) acknowledge(ctx context.Context, s Snapshot) (next time.Time) {
	if maps.Equal(a.told, s.versions) || a.group.settings.silent || a.support == unsupported {
		return time.Time{}
	}
	if time.Now().Before(a.again) {
		return a.again
	}
	err := a.all(ctx, s)
	if err == nil {
		a.failures = 0
		return time.Time{}
	}
	if a.failures == 0 && ctx.Err() == nil {
		a.group.settings.report(fmt.Errorf("acknowledge: %w", err))
	}
	a.failures++
	a.again = time.Now().Add(a.group.settings.jitter(doubled(a.failures)))
	return a.again
}

func (a *acknowledger) all(ctx context.Context, s Snapshot) error {
	if err := a.decide(ctx); err != nil || a.support == unsupported {
		return err
	}
	for _, at := range slices.SortedFunc(maps.Keys(s.versions), place.compare) {
		version := s.versions[at]
		if a.told[at] == version {
			continue
		}
		if err := a.send(ctx, at, version); err != nil {
			return err
		}
		a.told[at] = version
	}
	return nil
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.namespace, q.namespace), cmp.Compare(p.path, q.path))
}

// decide asks what the server is, unless that is known.
func (a *acknowledger) decide(ctx context.Context) error {
	if a.support != undecided {
		return nil
	}
	coffer, err := a.group.settings.session.client.Coffer(ctx)
	switch {
	case err != nil:
		return err
	case coffer:
		a.support = supported
	default:
		a.support = unsupported
	}
	return nil
}

// send tells of one version. An error is worth another try; a refusal is none.
func (a *acknowledger) send(ctx context.Context, at place, version int) error {
	session := a.group.settings.session
	r := client.Request{Method: http.MethodPost, Path: "sys/coffer/acknowledge", Body: map[string]any{
		"path": at.path, "version": version, "instance": a.group.settings.instance,
	}}
	token, _ := session.state()
	answer, err := a.group.resolver.in(at.namespace).Raw(ctx, r)
	if err == nil && answer.Status == http.StatusForbidden && session.replace(ctx, token.number) {
		answer, err = a.group.resolver.in(at.namespace).Raw(ctx, r)
	}
	if err != nil {
		return err
	}
	switch status := answer.Status; {
	case status < http.StatusMultipleChoices:
		return nil
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		a.support = unsupported
		return nil
	case status >= http.StatusInternalServerError, status == http.StatusTooManyRequests:
		return client.Refusal(answer, r.Method, r.Path)
	}
	a.group.settings.report(fmt.Errorf("version %d of %s is in use, which the server does not take note of: %w",
		version, at.path, client.Refusal(answer, r.Method, r.Path)))
	return nil
}

// goodbye says that nothing is in use any more, of what s has shown to a server
// that listens.
func (a *acknowledger) goodbye(ctx context.Context, s Snapshot) {
	if a.group.settings.silent || len(s.versions) == 0 || a.decide(ctx) != nil || a.support != supported {
		return // the server has seen the reads, but knows nothing of goodbyes, or is away
	}
	for _, at := range slices.SortedFunc(maps.Keys(s.versions), place.compare) {
		if err := a.send(ctx, at, 0); err != nil {
			a.group.settings.report(fmt.Errorf("say goodbye: %w", err))
			return
		}
	}
}
