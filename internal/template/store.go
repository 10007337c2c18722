package template

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/secret"
)

// maxParallel bounds the requests under way at a time.
const maxParallel = 8

// Store asks the server what templates want to know, once for all templates, and
// remembers it. It is safe for concurrent use.
type Store struct {
	client func() *client.Client
	slots  chan struct{} // one taken for each request under way
	wake   chan struct{} // of capacity 1: Follow has something to look at

	mu      sync.Mutex       // guards the fields below
	entries map[key]*entry   // what is known, by questions as they are asked
	located map[key]Query    // question of a template → as it is asked
	mounts  map[place]string // mount, with its slash → the same if it is of KV version 2, else nothing
	changed chan struct{}    // closed, and replaced, when an answer has changed
}

// entry is a question and what is known of it. All but the query is replaced,
// never changed, under the store's lock.
type entry struct {
	query  Query
	answer *Answer
	upkeep
}

// NewStore returns a store that asks through the client of the moment, whose
// token may have changed. Its answers must not be wrapped.
func NewStore(c func() *client.Client) *Store {
	return &Store{
		client: c, slots: make(chan struct{}, maxParallel), wake: make(chan struct{}, 1),
		entries: map[key]*entry{}, located: map[key]Query{}, mounts: map[place]string{}, changed: make(chan struct{}),
	}
}

// Result is what a template gave.
type Result struct {
	Content secret.Bytes
	Queries []Query // what the template asked, in no order

	versions map[place]int // of KV version 2
}

// place is a secret of KV version 2.
type place struct{ namespace, path string }

// Render executes t, asks the server what it needs and is not known yet, and
// executes it again, until everything is known. All secrets of a result are of one
// moment of the store: a name and its password, if they are in one secret, match.
//
// The error is an [*ExecError]; what the server refused is in it.
func (s *Store) Render(ctx context.Context, t *Template) (*Result, error) {
	for range maxPasses {
		known := s.snapshot()
		p := &pass{lookup: func(q Query) (*Answer, bool) {
			a, ok := known[q.key()]
			return a, ok
		}}
		out, err := t.execute(p)
		if len(p.missing) == 0 {
			if err != nil {
				return nil, err
			}
			return s.result(out, p), nil
		}
		if err := s.fetch(ctx, p.missing); err != nil {
			return nil, err
		}
	}
	return nil, &ExecError{Name: t.name, Text: fmt.Sprintf("its questions do not end: after %d passes there are new ones. "+
		"A path or field that is different each time, such as one with the time in it, is a new secret each time", maxPasses)}
}

func (s *Store) result(out []byte, p *pass) *Result {
	r := &Result{Content: secret.New(out), versions: map[place]int{}}
	for _, q := range p.used {
		r.Queries = append(r.Queries, q)
		if a, ok := p.lookup(q); ok && a.version != 0 && q.Params == "" {
			r.versions[place{q.Namespace, a.query.Path}] = a.version
		}
	}
	return r
}

// snapshot returns what is known, as it is now, by templates' questions.
func (s *Store) snapshot() map[key]*Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[key]*Answer, len(s.located))
	for k, asked := range s.located {
		if e := s.entries[asked.key()]; e != nil {
			all[k] = e.answer
		}
	}
	return all
}

// fetch asks what is missing, in parallel: several questions may be one, as data/
// can be left out. What the server refuses is an answer, for the templates to stumble
// over. It returns an error only if ctx ends.
func (s *Store) fetch(ctx context.Context, missing []Query) error {
	failed := s.locate(ctx, missing)
	asked := map[key]Query{}
	s.mu.Lock()
	for _, q := range missing {
		at := s.located[q.key()]
		if k := at.key(); s.entries[k] == nil {
			asked[k] = at
		}
	}
	s.mu.Unlock()
	var wg sync.WaitGroup
	for k, q := range asked {
		if err := failed[k]; err != nil {
			s.learn(q, &Answer{query: q, err: fmt.Errorf("%s: %w", q.Path, err)})
			continue
		}
		wg.Go(func() {
			s.slots <- struct{}{}
			defer func() { <-s.slots }()
			s.learn(q, s.ask(ctx, q))
		})
	}
	wg.Wait()
	return ctx.Err()
}

// learn remembers the first answer to a question.
func (s *Store) learn(q Query, a *Answer) {
	e := &entry{query: q, answer: a}
	e.upkeep = newUpkeep(q, a, time.Now())
	s.mu.Lock()
	s.entries[q.key()] = e
	s.mu.Unlock()
	s.nudge()
}

// nudge has Follow look at what is due.
func (s *Store) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Forget forgets what failed, or was not there, so that the next Render asks again.
func (s *Store) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.entries, func(_ key, e *entry) bool { return e.answer.err != nil || e.answer.secret == nil })
	// A mount may be another by now.
	clear(s.located)
	clear(s.mounts)
}

// RenderFresh is Render for one more try: what failed before is asked again.
func (s *Store) RenderFresh(ctx context.Context, t *Template) (*Result, error) {
	s.Forget()
	return s.Render(ctx, t)
}

// Retain forgets what no result in use asks. Leases of what is forgotten end by
// themselves.
func (s *Store) Retain(used []*Result) {
	asked, keep := map[key]bool{}, map[key]bool{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range used {
		if r == nil {
			continue
		}
		for _, q := range r.Queries {
			asked[q.key()] = true
			at := s.located[q.key()]
			keep[at.key()] = true
		}
	}
	maps.DeleteFunc(s.located, func(k key, _ Query) bool { return !asked[k] })
	maps.DeleteFunc(s.entries, func(k key, _ *entry) bool { return !keep[k] })
}

// Changed returns a channel that is closed when an answer is another than it was
// at this moment.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Refresh reads what can be read without making a new credential, now: somebody
// knows of a change.
func (s *Store) Refresh() {
	s.mu.Lock()
	for _, e := range s.entries {
		if e.polled() {
			e.due = time.Now()
		}
	}
	s.mu.Unlock()
	s.nudge()
}

// Reissue asks again for everything that has a lease: leases end with the token
// that they were made with, and there is another one now.
func (s *Store) Reissue() {
	s.mu.Lock()
	for k, e := range s.entries {
		if e.leaseID != "" {
			again := *e
			again.due, again.renewable = time.Now(), false
			s.entries[k] = &again
		}
	}
	s.mu.Unlock()
	s.nudge()
}

// Leases returns the ids of all leases that are held, sorted.
func (s *Store) Leases() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, e := range s.entries {
		if e.leaseID != "" {
			ids = append(ids, e.leaseID)
		}
	}
	slices.Sort(ids)
	return ids
}

// Revoke gives back all leases, at the end. What has ended is no error.
func (s *Store) Revoke(ctx context.Context) error {
	var problems []error
	s.mu.Lock()
	entries := slices.Collect(maps.Values(s.entries))
	s.mu.Unlock()
	for _, e := range entries {
		if e.leaseID == "" {
			continue
		}
		_, err := s.in(e.query.Namespace).Write(ctx, "sys/leases/revoke", map[string]any{"lease_id": e.leaseID})
		if err != nil && client.StatusOf(err) < 400 {
			problems = append(problems, fmt.Errorf("revoke the lease of %s, which ends by itself: %w", e.query.Path, err))
		}
	}
	return errors.Join(problems...)
}

// in returns the client for a namespace.
func (s *Store) in(namespace string) *client.Client {
	c := s.client().WithWrapTTL("")
	if namespace = strings.Trim(namespace, "/"); namespace != "" {
		c = c.WithNamespace(namespace)
	}
	return c
}
