package secrets

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cofferhq/coffer/client"
)

// instanceHeader is by which clients that share a token tell themselves apart.
const instanceHeader = "X-Coffer-Instance"

// reader returns what gives the client to read through, with the token of the
// moment.
func (o *settings) reader() func() *client.Client {
	return func() *client.Client { return o.session.client.WithHeader(instanceHeader, o.instance) }
}

// follow looks at the server whenever something is due, until ctx ends.
func (g *Group) follow(ctx context.Context) {
	for {
		refresh := g.await(ctx)
		if ctx.Err() != nil {
			return
		}
		g.hear()
		var waiting []chan error
		if refresh {
			g.mu.Lock()
			waiting, g.waiting = g.waiting, nil
			g.mu.Unlock()
		}
		g.step(ctx, refresh)
		for _, done := range waiting {
			done <- g.Err()
		}
	}
}

// await returns when something is due. It says whether somebody asks for it.
func (g *Group) await(ctx context.Context) (refresh bool) {
	token, other := g.settings.session.state()
	var next time.Time
	leased := false
	for _, f := range g.feeds {
		if f.lease != nil {
			leased = true
			if f.lease.token != token.number && f.err == nil {
				f.due = time.Now() // it ends with a token that is renewed no more
			}
		}
		if !f.due.IsZero() && (next.IsZero() || f.due.Before(next)) {
			next = f.due
		}
	}
	if !leased {
		other = nil
	}
	var due <-chan time.Time
	if !next.IsZero() {
		timer := time.NewTimer(time.Until(next))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-g.asked:
		return true
	case <-due:
	case <-g.pushes:
	case <-other:
	case <-ctx.Done():
	}
	return false
}

// step looks after the feeds that are due or touched, or all, and publishes what is
// new.
func (g *Group) step(ctx context.Context, refresh bool) {
	now := time.Now()
	var feeds []*feed
	scheduled := map[*feed]bool{} // nobody told of anything
	for _, f := range g.feeds {
		due := !f.due.IsZero() && !f.due.After(now)
		if refresh || due || f.touched {
			feeds = append(feeds, f)
			scheduled[f] = !refresh && !f.touched
			f.touched = false // what is told from now on is for the next time
		}
	}
	if len(feeds) == 0 {
		return
	}
	outcomes := g.lookAll(ctx, feeds, refresh)
	if ctx.Err() != nil {
		g.returnLeases(feeds, outcomes)
		return
	}
	changed := false
	for i, f := range feeds {
		if g.take(f, outcomes[i]) {
			changed = true
			f.doubted = f.doubted || scheduled[f] && f.pushed
		}
		f.schedule(g.settings)
	}
	g.weigh()
	g.summarize()
	if changed {
		g.renewed()
	}
}

// take gives the feed what a look has found, and says whether values change. What
// the templates cannot do with is an error, and the feed stays as it is.
func (g *Group) take(f *feed, o outcome) (changed bool) {
	err := o.err
	if err == nil && o.answer != nil {
		changed, err = g.try(f, o)
	}
	if err != nil && f.failures == 0 {
		g.settings.report(fmt.Errorf("follow %s: %w", f.path, err))
	}
	f.err = err
	if err != nil {
		f.failures++
	} else {
		f.failures = 0
	}
	return changed
}

func (g *Group) try(f *feed, o outcome) (changed bool, err error) {
	before, after := g.run(), g.run()
	after.reads[f.request] = o.answer
	resolved, err := after.assemble(g.templates)
	fresh := leaseOf(f.request, o.answer, o.token)
	if err != nil {
		if fresh != nil {
			g.retire(fresh, 0) // nobody will ever use it
		}
		return false, err
	}
	switch {
	case fresh != nil || f.lease != nil:
		changed = true
	case o.answer.Version != 0 || f.answer.Version != 0:
		changed = o.answer.Version != f.answer.Version || errors.Is(o.answer.err, ErrAbsent) != errors.Is(f.answer.err, ErrAbsent)
	default:
		old, err := before.assemble(g.templates)
		changed = err != nil || !resolved.equal(old)
	}
	f.answer = o.answer
	if !changed {
		return false, nil
	}
	f.count++
	if f.lease != nil {
		g.retire(f.lease, g.current.Load().generation+1)
	}
	f.lease = fresh
	return true, nil
}

// run is a run whose answers are the feeds', to fill the templates with.
func (g *Group) run() *run {
	u := &run{resolver: g.resolver, places: g.places, reads: map[request]*answer{}}
	for _, f := range g.feeds {
		u.reads[f.request] = f.answer
	}
	return u
}

// renewed publishes the feeds' answers.
func (g *Group) renewed() {
	resolved, failures := g.run().fill(g.templates)
	if len(failures) > 0 {
		panic("secrets: internal error: answers that were tried one by one do not fill the templates")
	}
	g.publish(resolved)
}

// publish makes the values those that the application sees.
func (g *Group) publish(resolved *Resolved) {
	s := &Snapshot{generation: 1, values: map[string]Value{}, versions: map[place]int{}}
	u, versions := g.run(), map[request]int{}
	for _, f := range g.feeds {
		versions[f.request] = f.version()
		if v, at := f.answer.Version, (place{f.namespace, f.path}); v != 0 && (s.versions[at] == 0 || v < s.versions[at]) {
			s.versions[at] = v
		}
	}
	for name, text := range resolved.values {
		v := Value{text: text}
		if refs := g.templates[name].References(); len(refs) > 0 {
			asked, _ := u.requestOf(refs[0]) // it was found when the group was opened
			v.version = versions[asked]
		}
		s.values[name] = v
	}
	g.mu.Lock()
	if old := g.current.Load(); old != nil {
		s.generation = old.generation + 1
	}
	g.current.Store(s)
	g.mu.Unlock()
	signal(g.news)
}

// summarize sets what Err returns.
func (g *Group) summarize() {
	var problems []error
	for _, f := range g.feeds {
		if f.err != nil {
			problems = append(problems, fmt.Errorf("follow %s: %w", f.path, f.err))
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = errors.Join(problems...)
}

// retire remembers a lease that no snapshot from a generation on uses.
func (g *Group) retire(l *lease, before uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.retired = append(g.retired, &retired{lease: l, before: before})
}

// returnLeases remembers the leases of answers that come too late.
func (g *Group) returnLeases(feeds []*feed, outcomes []outcome) {
	for i, o := range outcomes {
		if o.answer == nil {
			continue
		}
		if l := leaseOf(feeds[i].request, o.answer, o.token); l != nil {
			g.retire(l, 0)
		}
	}
}
