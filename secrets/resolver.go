package secrets

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/cofferhq/coffer/client"
)

// ErrAbsent says that there is no such secret, no such version, or no such field
// in it: what a default and ?optional are for.
var ErrAbsent = errors.New("absent")

// absence is an ErrAbsent that says of what.
type absence string

func (a absence) Error() string        { return string(a) }
func (a absence) Is(target error) bool { return target == ErrAbsent }

// maxParallel bounds the requests under way at a time.
const maxParallel = 8

// Resolver puts secrets in place of references. It is safe for concurrent use
// and keeps nothing between calls.
type Resolver struct {
	client func() *client.Client
	slots  chan struct{} // one taken for each request under way
	check  check         // nil: any values will do
}

// check says what is wrong with values, of which some may be missing.
type check func(*Resolved) error

// NewResolver returns a Resolver that asks through c, with c's token of the
// moment.
func NewResolver(c *client.Client) *Resolver {
	return newResolver(func() *client.Client { return c })
}

func newResolver(c func() *client.Client) *Resolver {
	return &Resolver{client: c, slots: make(chan struct{}, maxParallel)}
}

// Resolve returns what the templates stand for, by name. Each version of each
// secret is read once, however many references name it, so that a user name and
// its password are of one read. It goes on after a failure; the error, a
// [*ResolveError], tells of all, and there is no result then.
func (r *Resolver) Resolve(ctx context.Context, templates map[string]Template) (*Resolved, error) {
	return r.begin(ctx, templates).assemble(templates)
}

// begin reads what the templates need.
func (r *Resolver) begin(ctx context.Context, templates map[string]Template) *run {
	run := &run{resolver: r, places: map[place]*location{}, reads: map[request]*answer{}}
	run.locate(ctx, templates)
	run.read(ctx, templates)
	return run
}

// run is one call of Resolve.
type run struct {
	resolver *Resolver
	places   map[place]*location
	reads    map[request]*answer
}

// place is where a reference points.
type place struct{ namespace, path string }

// request is what is asked once.
type request struct {
	place   // as it is asked
	version int
}

// answer is what a request gave.
type answer struct {
	Read
	kind kind
	etag string // before it is asked: of what there is already; empty: none
	data map[string]any
	err  error
}

func (u *run) requestOf(ref Reference) (request, error) {
	l := u.places[placeOf(ref)]
	if l.err != nil {
		return request{}, l.err
	}
	return request{place{ref.Namespace, l.path}, ref.Version}, nil
}

func placeOf(ref Reference) place { return place{ref.Namespace, ref.Path} }

// read makes every request that the templates need.
func (u *run) read(ctx context.Context, templates map[string]Template) {
	var all []*answer
	for name, ref := range references(templates) {
		asked, err := u.requestOf(ref)
		if err != nil {
			continue // assemble tells
		}
		a := u.reads[asked]
		if a == nil {
			a = newAnswer(asked, u.places[placeOf(ref)].kind)
			u.reads[asked] = a
			all = append(all, a)
		}
		if !slices.Contains(a.Names, name) {
			a.Names = append(a.Names, name)
		}
	}
	u.resolver.readAll(ctx, all)
}

func newAnswer(asked request, k kind) *answer {
	return &answer{Read: Read{Namespace: asked.namespace, Path: asked.path, Asked: asked.version}, kind: k}
}

// in returns the client for a namespace.
func (r *Resolver) in(namespace string) *client.Client {
	c := r.client().WithWrapTTL("")
	if namespace != "" {
		c = c.WithNamespace(namespace)
	}
	return c
}

// references yields all references with their templates' names, in order.
func references(templates map[string]Template) func(yield func(string, Reference) bool) {
	return func(yield func(string, Reference) bool) {
		for _, name := range slices.Sorted(maps.Keys(templates)) {
			for _, ref := range templates[name].References() {
				if !yield(name, ref) {
					return
				}
			}
		}
	}
}

// assemble fills the templates, with values that will do.
func (u *run) assemble(templates map[string]Template) (*Resolved, error) {
	result, failures := u.fill(templates)
	var problems []error
	if len(failures) > 0 {
		problems = append(problems, &ResolveError{Failures: failures})
	}
	if check := u.resolver.check; check != nil {
		if err := check(result); err != nil {
			problems = append(problems, err)
		}
	}
	switch len(problems) {
	case 0:
		return result, nil
	case 1:
		return nil, problems[0]
	}
	return nil, errors.Join(problems...)
}

// fill fills the templates as far as it can.
func (u *run) fill(templates map[string]Template) (*Resolved, []Failure) {
	result := &Resolved{values: map[string]hidden{}}
	var failures []Failure
	for _, name := range slices.Sorted(maps.Keys(templates)) {
		t := templates[name]
		absent, failed := 0, len(failures)
		text := t.expand(func(ref Reference) string {
			value, err := u.value(ref)
			switch fallback, ok := ref.Default(); {
			case err == nil:
				return value
			case !errors.Is(err, ErrAbsent) || !ok && !ref.Optional:
				failures = append(failures, Failure{Name: name, Reference: ref, Err: err})
			case ok:
				return fallback
			}
			absent++
			return ""
		})
		if len(failures) == failed && (absent == 0 || len(t.parts) > 1) {
			result.values[name] = hide(text)
		}
	}
	for _, a := range u.reads {
		if a.err == nil {
			result.reads = append(result.reads, a.Read)
		}
	}
	slices.SortFunc(result.reads, func(a, b Read) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Asked, b.Asked))
	})
	return result, failures
}

func (u *run) value(ref Reference) (string, error) {
	asked, err := u.requestOf(ref)
	if err != nil {
		return "", err
	}
	a := u.reads[asked]
	if a.err != nil {
		return "", a.err
	}
	text, ok, err := Field(a.data, ref.Key)
	if err == nil && !ok {
		err = absence("the secret has no such field")
	}
	return text, err
}
