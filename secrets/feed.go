package secrets

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/cofferhq/coffer/client"
)

// feed is what one read keeps up to date: one version of one path, or its newest.
type feed struct {
	request
	kind   kind
	answer *answer // the last that was good
	count  int     // version of what has none of its own
	lease  *lease  // nil: there is none

	due      time.Time // zero: never
	failures int       // in a row
	err      error     // of the last try

	channel channel // that tells of changes
	topic   string  // path of what it tells; empty: nothing
	pushed  bool    // events about the topic come
	doubted bool    // a change was found that no event had told of
	touched bool    // an event came, or may have been missed
}

// lease is that of the answer.
type lease struct {
	namespace string
	id        string
	from      time.Time
	span      time.Duration // from then on; zero: it does not end
	first     time.Duration // span when it was new
	renewable bool
	token     uint64    // number of the token that it ends with
	taken     time.Time // when it was new
}

// retired is a lease whose credential is used by snapshots before a generation at
// most.
type retired struct {
	*lease
	before uint64
	free   time.Time // since when it is not used; zero: it may be
}

func newFeed(asked request, k kind, a *answer, token uint64) *feed {
	f := &feed{request: asked, kind: k, count: 1, answer: a}
	f.lease = leaseOf(asked, a, token)
	return f
}

func leaseOf(asked request, a *answer, token uint64) *lease {
	if a.LeaseID == "" {
		return nil
	}
	now := time.Now()
	return &lease{
		namespace: asked.namespace, id: a.LeaseID, from: now, taken: now,
		span: a.Lease, first: a.Lease, renewable: a.Renewable, token: token,
	}
}

// version is what values of the feed are told apart by.
func (f *feed) version() int {
	if f.answer.Version != 0 {
		return f.answer.Version
	}
	return f.count
}

const (
	// longestBackOff bounds the time between tries, but for a longer interval.
	longestBackOff = 5 * time.Minute
	// afterRotation is how long after the time that the server told of a rotation
	// its outcome is read.
	afterRotation = 500 * time.Millisecond
)

// schedule says when to look again, after a try that has set err and failures.
func (f *feed) schedule(o *settings) {
	now := time.Now()
	switch {
	case f.err != nil:
		f.due = now.Add(f.backOff(o, now))
	case f.lease != nil && f.lease.span == 0:
		f.due = time.Time{}
	case f.lease != nil:
		// Jitter alone must not take it past its end.
		f.due = f.lease.from.Add(min(o.jitter(f.lease.span*2/3), f.lease.span*9/10))
	case f.request.version != 0:
		f.due = time.Time{} // what was asked for does not change
	default:
		f.due = now.Add(o.jitter(f.pollInterval(o)))
		if left, ok := rotationOf(f.answer.data); ok && f.answer.Version == 0 {
			f.due = earlier(f.due, now.Add(max(left, shortestPause)+o.jitter(afterRotation)))
		}
	}
}

func (f *feed) backOff(o *settings, now time.Time) time.Duration {
	pause := o.interval
	for range f.failures - 1 {
		if pause = 2 * pause; pause > longestBackOff {
			break
		}
	}
	pause = o.jitter(min(pause, max(longestBackOff, o.interval)))
	if f.lease != nil && f.lease.span > 0 {
		if left := f.lease.from.Add(f.lease.span).Sub(now); left > 0 {
			pause = min(pause, max(left/3, shortestPause))
		}
	}
	return pause
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// rotationOf tells a static role of the database engine by its shape, and when its
// password is changed next.
func rotationOf(data map[string]any) (left time.Duration, ok bool) {
	if _, rotates := data["last_vault_rotation"]; !rotates {
		return 0, false
	}
	if _, ok := data["ttl"]; !ok {
		return 0, false
	}
	return seconds(data["ttl"]), true
}

// replaceable says whether a refresh may replace the credential: not if it is so
// new that a refusal of it has other reasons than its age.
func (l *lease) replaceable(now time.Time) bool { return now.Sub(l.taken) >= leaseCooldown }

const leaseCooldown = 10 * time.Second

// outcome is what a look at the server gave.
type outcome struct {
	answer *answer // nil: the feed stays as it is
	token  uint64  // that the answer was given to
	err    error
}

// lookAll looks after several feeds at once.
func (g *Group) lookAll(ctx context.Context, feeds []*feed, refresh bool) []outcome {
	outcomes := make([]outcome, len(feeds))
	var read []*feed
	var places []int
	var wg sync.WaitGroup
	for i, f := range feeds {
		if f.lease == nil {
			read, places = append(read, f), append(places, i)
			continue
		}
		wg.Go(func() { outcomes[i] = g.look(ctx, f, refresh) })
	}
	for i, o := range g.readFeeds(ctx, read) {
		outcomes[places[i]] = o
	}
	wg.Wait()
	return outcomes
}

// look renews the lease if that is enough, or reads.
func (g *Group) look(ctx context.Context, f *feed, refresh bool) outcome {
	token, _ := g.settings.session.state()
	l, now := f.lease, time.Now()
	if refresh && !l.replaceable(now) {
		return outcome{err: f.err}
	}
	if !refresh && l.renewable && l.token == token.number && (l.span == 0 || now.Before(l.from.Add(l.span))) {
		var kept bool
		var err error
		g.resolver.bounded(func() { kept, err = g.renew(ctx, l) })
		if kept || err != nil {
			return outcome{err: err}
		}
	}
	return g.readFeeds(ctx, []*feed{f})[0]
}

// readFeeds reads, once more with another token where this one has ended.
func (g *Group) readFeeds(ctx context.Context, feeds []*feed) []outcome {
	token, _ := g.settings.session.state()
	outcomes := g.readOnce(ctx, feeds, token.number)
	var again []*feed
	var places []int
	for i, o := range outcomes {
		if refused(o.err) {
			again, places = append(again, feeds[i]), append(places, i)
		}
	}
	if len(again) == 0 || !g.settings.session.replace(ctx, token.number) {
		return outcomes
	}
	token, _ = g.settings.session.state()
	for i, o := range g.readOnce(ctx, again, token.number) {
		outcomes[places[i]] = o
	}
	return outcomes
}

func (g *Group) readOnce(ctx context.Context, feeds []*feed, token uint64) []outcome {
	answers := make([]*answer, len(feeds))
	for i, f := range feeds {
		answers[i] = newAnswer(f.request, f.kind)
		answers[i].Names, answers[i].etag = f.answer.Names, f.answer.etag
	}
	g.resolver.readAll(ctx, answers)
	outcomes := make([]outcome, len(feeds))
	for i, a := range answers {
		o := &outcomes[i]
		o.token = token
		switch {
		case a.err == nil, errors.Is(a.err, ErrAbsent): // the references say what that means
			o.answer = a
		case !errors.Is(a.err, client.ErrNotModified):
			o.err = a.err
		}
	}
	return outcomes
}

// renew returns false without an error if a new credential is needed: the server
// refuses, or gives little more.
func (g *Group) renew(ctx context.Context, l *lease) (kept bool, err error) {
	body := map[string]any{"lease_id": l.id, "increment": int(l.first / time.Second)}
	s, err := g.resolver.in(l.namespace).Write(ctx, "sys/leases/renew", body)
	status := client.StatusOf(err)
	switch {
	case err != nil && (status == 0 || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError):
		return false, err
	case err != nil || s == nil:
		return false, nil
	}
	span := time.Duration(s.LeaseDuration) * time.Second
	if span <= l.first/3 {
		return false, nil
	}
	l.from, l.span, l.renewable = time.Now(), span, s.Renewable
	return true, nil
}

func refused(err error) bool {
	if errs := new(ResolveError); errors.As(err, &errs) {
		for _, f := range errs.Failures {
			if client.StatusOf(f.Err) == http.StatusForbidden {
				return true
			}
		}
		return false
	}
	return client.StatusOf(err) == http.StatusForbidden
}
