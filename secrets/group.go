package secrets

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Group is several secrets that are followed together. All references to one
// path share one read and one lease. Reading a value takes no lock and asks
// nobody.
//
// Two goroutines, which Open starts and Close joins, follow the server and tell
// the application.
type Group struct {
	settings  *settings
	resolver  *Resolver
	templates map[string]Template
	places    map[place]*location
	feeds     []*feed       // their fields belong to the following goroutine
	news      chan struct{} // of capacity 1: the telling goroutine has something to look at
	asked     chan struct{} // of capacity 1: somebody waits for a refresh
	pushes    chan struct{} // of capacity 1: a tap has something to take
	taps      []*tap
	pushing   atomic.Bool // events tell of all changes
	stop      context.CancelFunc
	stopped   context.Context // ends when Close is called
	running   sync.WaitGroup
	teller    *teller // the telling goroutine's, and Close's when that has ended
	current   atomic.Pointer[Snapshot]

	mu       sync.Mutex // guards the fields below
	uses     map[uint64]int
	handlers []*handler
	retired  []*retired
	waiting  []chan error // for a refresh that begins after they came
	err      error
}

// ErrClosed says that nothing follows the server any more.
var ErrClosed = errors.New("secrets: closed")

// OpenGroup resolves texts with references, by names of the caller's choice, and
// follows them. A text may have several, as [Parse] tells. It returns when all
// values are there, or an error, usually a [*ResolveError], and nothing then.
//
// Ctx bounds the opening only: Close ends the following. Without [WithSession]
// and [WithClient], server and login come from the environment: the variables of
// [client.ConfigFromEnv], and COFFER_ROLE_ID with COFFER_SECRET_ID (AppRole at
// COFFER_APPROLE_MOUNT, else approle), each with VAULT_ in place of COFFER_ too,
// and TOKEN, ROLE_ID and SECRET_ID also as …_FILE with the path of a file.
func OpenGroup(ctx context.Context, references map[string]string, opts ...Option) (*Group, error) {
	templates := map[string]Template{}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(references)) {
		t, err := Parse(references[name])
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
		templates[name] = t
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return OpenTemplates(ctx, templates, opts...)
}

// OpenTemplates is [OpenGroup] for texts that have been parsed.
func OpenTemplates(ctx context.Context, templates map[string]Template, opts ...Option) (*Group, error) {
	o, err := newSettings(opts)
	if err != nil {
		return nil, err
	}
	g := &Group{
		settings: o, templates: maps.Clone(templates), uses: map[uint64]int{},
		news: make(chan struct{}, 1), asked: make(chan struct{}, 1), pushes: make(chan struct{}, 1),
	}
	g.stopped, g.stop = context.WithCancel(context.Background())
	g.resolver = newResolver(o.reader())
	g.resolver.check = o.check
	if err := g.open(ctx); err != nil {
		g.stop()
		if o.ours {
			err = errors.Join(err, o.session.Close())
		}
		return nil, err
	}
	o.session.Keep() // after the first reads, as it may look the token up
	g.subscribe()
	g.running.Go(func() { g.follow(g.stopped) })
	for _, fn := range o.first {
		g.handlers = append(g.handlers, &handler{fn: fn})
	}
	g.teller = newTeller(g)
	g.running.Go(func() { g.teller.work(g.stopped) })
	return g, nil
}

func (g *Group) open(ctx context.Context) error {
	if g.settings.ours {
		if err := g.settings.session.Login(ctx); err != nil {
			return fmt.Errorf("log in: %w", err)
		}
	}
	token, _ := g.settings.session.state()
	run := g.resolver.begin(ctx, g.templates)
	resolved, err := run.assemble(g.templates)
	if err != nil && refused(err) && g.settings.session.replace(ctx, token.number) {
		token, _ = g.settings.session.state()
		run = g.resolver.begin(ctx, g.templates)
		resolved, err = run.assemble(g.templates)
	}
	if err != nil {
		return err
	}
	g.places = run.places
	for _, ref := range references(g.templates) {
		asked, _ := run.requestOf(ref) // assemble would have told
		if slices.ContainsFunc(g.feeds, func(f *feed) bool { return f.request == asked }) {
			continue
		}
		f := newFeed(asked, run.places[placeOf(ref)].kind, run.reads[asked], token.number)
		f.schedule(g.settings)
		g.feeds = append(g.feeds, f)
	}
	g.publish(resolved)
	return nil
}

// Format prints where values come from under every verb, and none of them.
func (g *Group) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "secrets.Group(%d values from %s)", len(g.templates), g.settings.session.client)
}

// Snapshot returns the newest values.
func (g *Group) Snapshot() Snapshot { return *g.current.Load() }

// Use returns the newest values, and what to call when they are not needed any
// more, once or more often. Until then the server is not told that newer ones
// are in use, and their leases are not revoked: for whoever keeps using a
// credential after having looked at it, such as an open connection.
func (g *Group) Use() (s Snapshot, done func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s = *g.current.Load()
	g.uses[s.generation]++
	return s, sync.OnceFunc(func() { g.release(s.generation) })
}

func (g *Group) release(generation uint64) {
	g.mu.Lock()
	g.uses[generation]--
	if g.uses[generation] == 0 {
		delete(g.uses, generation)
	}
	g.mu.Unlock()
	signal(g.news)
}

// signal wakes who listens on c, once for all signals meanwhile.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// OnChange calls fn with each change of the values from now on: once each, in
// order, and never while it is still busy with the one before. A change that is
// followed by another before its turn has come is passed over. If fn returns an
// error it is called again, later, with what is newest then; until all such
// functions have returned without one, the server is not told that the version
// is in use, and the credential before it is not revoked.
//
// The context ends with Close, which waits for fn: fn must not call it. A panic
// of fn is not caught. Cancel ends the calls; one may still be under way.
func (g *Group) OnChange(fn func(ctx context.Context, s Snapshot) error) (cancel func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := &handler{fn: fn, told: g.current.Load().generation}
	g.handlers = append(g.handlers, h)
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		// A new slice: the old one may be read just now.
		g.handlers = slices.DeleteFunc(slices.Clone(g.handlers), func(other *handler) bool { return other == h })
		signal(g.news)
	}
}

// Err returns why the values may be stale: what the server could not be asked, or
// would not tell. Nil: they are the newest if [Group.Pushed], else as new as the
// interval says.
func (g *Group) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// Refresh reads everything now and returns when that is done, with what [Group.Err]
// then says. Calls at the same time share a read. A credential that has a lease is
// replaced, unless it is but a few seconds old.
func (g *Group) Refresh(ctx context.Context) error {
	done := make(chan error, 1)
	g.mu.Lock()
	g.waiting = append(g.waiting, done)
	g.mu.Unlock()
	signal(g.asked)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-g.stopped.Done():
		return ErrClosed
	}
}

// goodbyeTimeout bounds how long Close waits for the server.
const goodbyeTimeout = 5 * time.Second

// Close stops following, waits for what is under way, tells the server that
// nothing is in use any more, and revokes the leases. It must not be called twice.
// Close what uses the credentials before. The values stay readable.
func (g *Group) Close() error {
	g.stop()
	g.running.Wait()
	for _, t := range g.taps {
		g.settings.session.pusher.leave(t)
	}
	ctx, cancel := context.WithTimeout(context.Background(), goodbyeTimeout)
	defer cancel()
	g.teller.close(ctx)
	var err error
	if g.settings.ours {
		err = g.settings.session.Close()
	}
	return err
}
