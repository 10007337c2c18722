package logical

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Route is one operation on one path of an engine: a row of the table that an
// engine declares. Routing, conversion of fields, help and the OpenAPI document
// come from it.
type Route[E any] struct {
	Op Op // Read, List, Write, Patch or Delete

	// Path is a pattern: literal segments, "{name}" for one segment that is not
	// empty, and "{name...}" at the end for all that is left, slashes and an empty
	// rest included. What is matched is a text field of the request. Without a
	// "{name...}" a trailing slash in the request makes no difference. The pattern
	// with the earliest, longest literal part wins.
	Path string

	Do func(e E, ctx context.Context, r *Request) (*Response, error)

	// Exists says whether the path has an entry: a Write then is an Update, else
	// a Create. Nil: a Write is always an Update. It must not write.
	Exists func(e E, ctx context.Context, r *Request) (bool, error)

	Fields Fields // of body or query, beside those of the path
	Open   bool   // needs no token: logins
	Sudo   bool   // needs the sudo capability as well
	Max    int    // bytes of body; zero: the server's limit
	Help   string // one sentence

	// Outside says that Do touches other systems. It is called once, outside any
	// transaction: see Request.Step and Response.Finish.
	Outside bool
}

// Routes is the table of an engine.
type Routes[E any] []Route[E]

// Action is a route bound to an instance of its engine.
type Action struct {
	Do     func(ctx context.Context, r *Request) (*Response, error)
	Exists func(ctx context.Context, r *Request) (bool, error) // may be nil
	Fields Fields
	Open   bool
	Sudo   bool
	Max    int
	Help   string

	Outside bool
}

// Endpoint is one path pattern and what can be done with it.
type Endpoint struct {
	Pattern string
	actions [numOps]*Action
}

// Action returns what op does, or nil if the path does not take it.
func (e *Endpoint) Action(op Op) *Action {
	switch op {
	case Create, Update:
		op = Write
	}
	return e.actions[op]
}

// Endpoints finds the endpoint of a path. It is immutable.
type Endpoints struct {
	root node
	all  []*Endpoint
}

// node is a place in the tree of patterns, one segment deep for each level.
type node struct {
	literal  map[string]*node // segment → node
	one      *node            // "{name}"
	oneName  string
	rest     *Endpoint // "{name...}"
	restName string
	here     *Endpoint
	// slash is here for a path that ends in a slash, if there is rest as well:
	// what here does not take is for rest.
	slash *Endpoint
}

// Bind makes the endpoints of e from its table. It panics if the table is
// wrong, which any test that mounts the engine finds.
func Bind[E any](e E, routes Routes[E]) *Endpoints {
	t := &Endpoints{}
	for _, r := range routes {
		ep := t.add(r.Path)
		if r.Do == nil || r.Op >= numOps || ep.actions[r.Op] != nil {
			panic(fmt.Sprintf("logical: internal error: route %s %s", r.Op, r.Path))
		}
		a := &Action{Fields: r.Fields, Open: r.Open, Sudo: r.Sudo, Max: r.Max, Help: r.Help, Outside: r.Outside}
		a.Do = func(ctx context.Context, req *Request) (*Response, error) { return r.Do(e, ctx, req) }
		if r.Exists != nil {
			a.Exists = func(ctx context.Context, req *Request) (bool, error) { return r.Exists(e, ctx, req) }
		}
		ep.actions[r.Op] = a
	}
	t.root.join()
	return t
}

// All returns every endpoint, sorted by pattern.
func (t *Endpoints) All() []*Endpoint { return t.all }

func (t *Endpoints) add(pattern string) *Endpoint {
	ep := t.root.place(pattern, pattern)
	if *ep == nil {
		*ep = &Endpoint{Pattern: pattern}
		t.all = append(t.all, *ep)
		slices.SortFunc(t.all, func(a, b *Endpoint) int { return strings.Compare(a.Pattern, b.Pattern) })
	}
	return *ep
}

// place returns where the endpoint belongs whose pattern ends in rest, below n.
// It panics if the pattern is malformed, or names a segment otherwise than
// another pattern does.
func (n *node) place(rest, pattern string) **Endpoint {
	seg, rest, more := strings.Cut(rest, "/")
	name, isField := strings.CutPrefix(seg, "{")
	name, isWhole := strings.CutSuffix(name, "}")
	name, isRest := strings.CutSuffix(name, "...")
	isRest = isRest && isField
	next, named := n, &n.restName
	switch {
	case !isField:
		if n.literal[seg] == nil {
			if n.literal == nil {
				n.literal = make(map[string]*node)
			}
			n.literal[seg] = &node{}
		}
		next, named = n.literal[seg], nil
	case !isRest:
		if n.one == nil {
			n.one = &node{}
		}
		next, named = n.one, &n.oneName
	}
	if isField {
		if !isWhole || name == "" || isRest && more || *named != "" && *named != name {
			panic("logical: internal error: pattern " + pattern)
		}
		*named = name
	}
	switch {
	case more:
		return next.place(rest, pattern)
	case isRest:
		return &n.rest
	}
	return &next.here
}

// join makes what is called slash, in n and below.
func (n *node) join() {
	if n.here != nil && n.rest != nil {
		both := *n.here
		for op, a := range n.rest.actions {
			if both.actions[op] == nil {
				both.actions[op] = a
			}
		}
		n.slash = &both
	}
	for _, next := range n.literal {
		next.join()
	}
	if n.one != nil {
		n.one.join()
	}
}

// Param is a field that was read off the path.
type Param struct{ Name, Value string }

// Find returns the endpoint of path and the fields in it, or nil. Where one
// pattern is the beginning of another, as "leases/lookup" is of
// "leases/lookup/{prefix...}", a path that ends with the slash between is of both.
func (t *Endpoints) Find(path string) (*Endpoint, []Param) {
	return t.root.find(path, true, nil)
}

// find looks for path below n. open says that a slash, or nothing at all, stands
// before path: without, "data" would match "data/{path...}".
func (n *node) find(path string, open bool, params []Param) (*Endpoint, []Param) {
	switch {
	case path == "" && open && n.slash != nil:
		return n.slash, append(params, Param{n.restName, ""})
	case path == "" && n.here != nil:
		return n.here, params
	}
	seg, rest, more := strings.Cut(path, "/")
	if next := n.literal[seg]; next != nil {
		if ep, ps := next.find(rest, more, params); ep != nil {
			return ep, ps
		}
	}
	if n.one != nil && seg != "" {
		if ep, ps := n.one.find(rest, more, append(params, Param{n.oneName, seg})); ep != nil {
			return ep, ps
		}
	}
	if n.rest != nil && open {
		return n.rest, append(params, Param{n.restName, path})
	}
	return nil, nil
}
