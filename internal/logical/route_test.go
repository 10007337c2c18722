package logical_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
)

// bind makes the endpoints of a table of "OP pattern" rows.
func bind(rows ...string) *logical.Endpoints {
	ops := map[string]logical.Op{
		"read": logical.Read, "list": logical.List, "write": logical.Write, "patch": logical.Patch, "delete": logical.Delete,
	}
	var routes logical.Routes[string]
	for _, row := range rows {
		op, pattern, _ := strings.Cut(row, " ")
		routes = append(routes, logical.Route[string]{
			Op: ops[op], Path: pattern, Help: row,
			Do: func(_ string, _ context.Context, r *logical.Request) (*logical.Response, error) {
				return &logical.Response{Data: row}, nil
			},
		})
	}
	return logical.Bind("engine", routes)
}

// found says what a path leads to: "OP pattern name=value…", or nothing.
func found(t *testing.T, e *logical.Endpoints, op logical.Op, path string) string {
	t.Helper()
	ep, params := e.Find(path)
	if ep == nil {
		return "none"
	}
	action := ep.Action(op)
	if action == nil {
		return "refused"
	}
	resp, err := action.Do(t.Context(), &logical.Request{})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(resp.Data)
	for _, p := range params {
		text += fmt.Sprintf(" %s=%s", p.Name, p.Value)
	}
	return text
}

func TestPathsFindTheirRoute(t *testing.T) {
	kv := bind("read config", "read data/{path...}", "list metadata/{path...}", "write data/{path...}")
	roles := bind("list role", "read role/{role}", "read role/{role}/policies", "read role/{role}/{field}", "write login")
	leases := bind("write lookup", "list lookup/{prefix...}", "write renew", "write renew/{id...}", "list audit", "write audit/{path...}")
	any := bind("read {path...}", "read fixed")
	two := bind("read {kind}/{rest...}", "read {kind}/x/y", "read a/{rest...}")
	tests := []struct {
		name string
		in   *logical.Endpoints
		op   logical.Op
		path string
		want string
	}{
		{"a literal path is itself", kv, logical.Read, "config", "read config"},
		{"a trailing slash makes no difference to a literal", kv, logical.Read, "config/", "read config"},
		{"two trailing slashes do", kv, logical.Read, "config//", "none"},
		{"more behind a literal is unknown", kv, logical.Read, "config/a", "none"},
		{"the rest keeps its slashes", kv, logical.Read, "data/a/b/", "read data/{path...} path=a/b/"},
		{"the rest may be empty behind its slash", kv, logical.Read, "data/", "read data/{path...} path="},
		{"but the slash must be there", kv, logical.Read, "data", "none"},
		{"a longer first segment is another", kv, logical.Read, "database/a", "none"},
		{"a verb that no route has is refused", kv, logical.Delete, "data/a", "refused"},
		{"a create takes the route of writes", kv, logical.Create, "data/a", "write data/{path...} path=a"},
		{"an update takes the route of writes", kv, logical.Update, "data/a", "write data/{path...} path=a"},

		{"a field is one segment", roles, logical.Read, "role/a", "read role/{role} role=a"},
		{"a field with a trailing slash", roles, logical.Read, "role/a/", "read role/{role} role=a"},
		{"a field is not empty", roles, logical.Read, "role//policies", "none"},
		{"a literal goes before a field", roles, logical.Read, "role/a/policies", "read role/{role}/policies role=a"},
		{"a field after a field", roles, logical.Read, "role/a/ttl", "read role/{role}/{field} role=a field=ttl"},
		{"the folder of a field", roles, logical.List, "role/", "list role"},

		{"a prefix of a rest without the slash", leases, logical.Write, "lookup", "write lookup"},
		{"a prefix of a rest with the slash", leases, logical.Write, "lookup/", "write lookup prefix="},
		{"what only the rest takes, with the slash", leases, logical.List, "lookup/", "list lookup/{prefix...} prefix="},
		{"what only the prefix takes, with the slash", leases, logical.List, "audit/", "list audit path="},
		{"what only the rest takes, without the slash", leases, logical.List, "lookup", "refused"},
		{"both take it and the prefix goes first", leases, logical.Write, "renew/", "write renew id="},

		{"everything", any, logical.Read, "a/b", "read {path...} path=a/b"},
		{"everything is also nothing", any, logical.Read, "", "read {path...} path="},
		{"a literal beside everything", any, logical.Read, "fixed", "read fixed"},
		{"below a literal beside everything", any, logical.Read, "fixed/a", "read {path...} path=fixed/a"},

		{"a rest below a field needs the slash too", two, logical.Read, "b", "none"},
		{"a rest below a field", two, logical.Read, "b/", "read {kind}/{rest...} kind=b rest="},
		{"a literal first segment wins though the other pattern is longer", two, logical.Read, "a/x/y", "read a/{rest...} rest=x/y"},
		{"a dead end leads back to the rest", two, logical.Read, "b/x/z", "read {kind}/{rest...} kind=b rest=x/z"},
		{"and not into it if there is a way", two, logical.Read, "b/x/y", "read {kind}/x/y kind=b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := found(t, test.in, test.op, test.path); got != test.want {
				t.Errorf("%s %q: %s, want %s", test.op, test.path, got, test.want)
			}
		})
	}
}

func TestMalformedTablesPanic(t *testing.T) {
	tests := []struct {
		name string
		rows []string
	}{
		{"the same operation twice", []string{"read a", "read a"}},
		{"a rest that is not at the end", []string{"read {a...}/b"}},
		{"a field without a name", []string{"read {}"}},
		{"a rest without a name", []string{"read a/{...}"}},
		{"a field that is not closed", []string{"read a/{b"}},
		{"one segment with two names", []string{"read a/{b}", "read a/{c}/d"}},
		{"one rest with two names", []string{"read a/{b...}", "write a/{c...}"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			bind(test.rows...)
		})
	}
	t.Run("a route that does nothing", func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		logical.Bind("", logical.Routes[string]{{Path: "a"}})
	})
}

func TestEndpointsAreListedOnce(t *testing.T) {
	var got []string
	for _, ep := range bind("read b", "list b/{x...}", "write b", "read a").All() {
		got = append(got, ep.Pattern)
	}
	if want := []string{"a", "b", "b/{x...}"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// fits says, slowly and by the words of [logical.Route], whether pattern takes
// path, and how literal it is: one letter a segment, the better the smaller.
func fits(pattern, path string) (rank string, ok bool) {
	segs := strings.Split(pattern, "/")
	for i, seg := range segs {
		if strings.HasSuffix(seg, "...}") {
			return rank + "c", true
		}
		this, rest, more := strings.Cut(path, "/")
		switch {
		case strings.HasPrefix(seg, "{"):
			if rank += "b"; this == "" {
				return "", false
			}
		case seg != this:
			return "", false
		default:
			rank += "a"
		}
		last := i == len(segs)-1
		if last {
			return rank, !more || rest == ""
		}
		if !more {
			return "", false
		}
		path = rest
	}
	return rank, true
}

// The tree must agree with a reading of the patterns one by one.
func TestRandomTablesAgreeWithTheirPatterns(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	for range 3000 {
		var patterns []string
		for range 1 + rnd.IntN(5) {
			var segs []string
			for range 1 + rnd.IntN(3) {
				segs = append(segs, pick("a", "b", "{f}"))
			}
			if rnd.IntN(3) == 0 {
				segs[len(segs)-1] = "{r...}"
			}
			if p := strings.Join(segs, "/"); !slices.Contains(patterns, p) {
				patterns = append(patterns, p)
			}
		}
		var rows []string
		for _, p := range patterns {
			rows = append(rows, "read "+p)
		}
		e := bind(rows...)
		path := strings.TrimSuffix(strings.Repeat(pick("a", "b", "c", "")+"/", rnd.IntN(2))+pick("a", "b", "c")+"/"+pick("a", "b", ""), pick("/", "-"))
		best, want := "", "none"
		for _, p := range patterns {
			if rank, ok := fits(p, path); ok && (want == "none" || rank < best) {
				best, want = rank, p
			}
		}
		got := "none"
		if ep, _ := e.Find(path); ep != nil {
			got = ep.Pattern
		}
		if got != want {
			t.Fatalf("seed %d: %q in %q: %s, want %s", seed, path, patterns, got, want)
		}
	}
}

// The pattern that a path finds, filled with the fields that were read off it, is
// the path.
func FuzzFind(f *testing.F) {
	f.Add("data/a/b")
	f.Add("role/a/")
	f.Add("//")
	e := bind("read data/{path...}", "list data", "read role/{role}", "read role/{role}/{field}", "write {one}/x/{rest...}")
	f.Fuzz(func(t *testing.T, path string) {
		ep, params := e.Find(path)
		if ep == nil {
			return
		}
		filled := ep.Pattern
		for _, p := range params {
			if hole := "{" + p.Name + "}"; strings.Contains(filled, hole) {
				filled = strings.Replace(filled, hole, p.Value, 1)
				continue
			}
			filled = strings.Replace(filled, "{"+p.Name+"...}", p.Value, 1)
		}
		if filled != path && filled+"/" != path {
			t.Errorf("%q is %q with %q", path, ep.Pattern, params)
		}
	})
}
