package policy

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
)

// naive is Vault's documented matching written as it reads: collect every
// pattern that matches, rank them, take the best.
type naive []naiveRule

type naiveRule struct {
	path string
	caps []string
}

func (n naive) text() string {
	var b strings.Builder
	for _, r := range n {
		b.WriteString(`path "` + r.path + `" { capabilities = ["` + strings.Join(r.caps, `", "`) + "\"] }\n")
	}
	return b.String()
}

// caps unites the capabilities of all rules for one pattern.
func (n naive) caps(path string) []string {
	var all []string
	for _, r := range n {
		if r.path == path {
			all = append(all, r.caps...)
		}
	}
	slices.Sort(all)
	if slices.Contains(all, "deny") {
		return []string{"deny"}
	}
	return slices.Compact(all)
}

func (n naive) has(path string) bool {
	return slices.ContainsFunc(n, func(r naiveRule) bool { return r.path == path })
}

func (n naive) find(path string, list bool) []string {
	isPattern := strings.HasSuffix(path, "*") || slices.Contains(strings.Split(path, "/"), "+")
	if n.has(path) && !isPattern {
		return n.caps(path)
	}
	if trimmed := strings.TrimSuffix(path, "/"); list && n.has(trimmed) && !isPattern {
		return n.caps(trimmed)
	}
	best := ""
	found := false
	for _, r := range n {
		if naiveMatch(r.path, path) && (!found || naiveLess(best, r.path)) {
			best, found = r.path, true
		}
	}
	if !found {
		return []string{"deny"}
	}
	return n.caps(best)
}

// naiveMatch is for patterns with a wildcard only.
func naiveMatch(pattern, path string) bool {
	text, glob := strings.CutSuffix(pattern, "*")
	segments := strings.Split(text, "/")
	if !glob && !slices.Contains(segments, "+") {
		return false
	}
	for i, s := range segments {
		if segments[i] = regexp.QuoteMeta(s); s == "+" {
			segments[i] = "[^/]*"
		}
	}
	expr := "(?s)^" + strings.Join(segments, "/")
	if !glob {
		expr += "$"
	}
	return regexp.MustCompile(expr).MatchString(path)
}

// naiveLess says whether a has lower priority than b, by the five rules.
func naiveLess(a, b string) bool {
	firstA, firstB := strings.IndexAny(a, "+*"), strings.IndexAny(b, "+*")
	globA, globB := strings.HasSuffix(a, "*"), strings.HasSuffix(b, "*")
	plusA, plusB := strings.Count(a, "+"), strings.Count(b, "+")
	switch {
	case firstA != firstB:
		return firstA < firstB
	case globA != globB:
		return globA
	case plusA != plusB:
		return plusA > plusB
	case len(a) != len(b):
		return len(a) < len(b)
	}
	return a < b
}

// randomPath joins random segments of a very small world.
func randomPath(rng *rand.Rand, words []string) string {
	segments := make([]string, 1+rng.IntN(4))
	for i := range segments {
		segments[i] = words[rng.IntN(len(words))]
	}
	return strings.Join(segments, "/")
}

func randomNaive(rng *rand.Rand) naive {
	capabilities := []string{"read", "list", "update", "deny", "sudo"}
	n := make(naive, 1+rng.IntN(8))
	for i := range n {
		path := randomPath(rng, []string{"a", "b", "ab", "+", "+", ""})
		if rng.IntN(3) == 0 && !strings.HasSuffix(path, "+") {
			path += "*"
		}
		path = strings.TrimLeft(path, "/")
		n[i] = naiveRule{path, []string{capabilities[rng.IntN(len(capabilities))]}}
	}
	return n
}

// FuzzMatchesNaive compares the two evaluators on policies and paths that are
// generated from a seed, each policy text also cut in two.
func FuzzMatchesNaive(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 0))
		rules := randomNaive(rng)
		cut := rng.IntN(len(rules) + 1)
		acl := mustCompile(t, rules[cut:].text(), rules[:cut].text())
		for range 25 {
			path := strings.TrimLeft(randomPath(rng, []string{"a", "b", "ab", "abc", "c", ""}), "/")
			for _, op := range []logical.Op{logical.Read, logical.List, logical.Update} {
				want := rules.find(path, op == logical.List)
				got := acl.Check(Query{Op: op, Path: path}).Allowed
				if got != slices.Contains(want, op.String()) {
					t.Fatalf("%v %q: got %v, but it may %v\n%s", op, path, got, want, rules.text())
				}
			}
			if got, want := acl.Capabilities(path), rules.find(path, true); !slices.Equal(got, want) {
				t.Fatalf("%q: got %v, want %v\n%s", path, got, want, rules.text())
			}
		}
	})
}

// FuzzAnyBelowHasAWitness compares AnyBelow with trying every path of a small
// world. The world has one word that no rule names, so it misses nothing that
// AnyBelow may find.
func FuzzAnyBelowHasAWitness(f *testing.F) {
	var world []string
	words := []string{"", "a", "b", "ab", "az", "bz", "abz", "z"}
	for i := range 8 * 8 * 8 * 8 {
		p := []string{words[i%8], words[i/8%8], words[i/64%8], words[i/512]}
		for n := 1; n <= 4; n++ {
			world = append(world, strings.Join(p[:n], "/"))
		}
		world = append(world, strings.Join(p, "/")+"/z") // deeper than any rule
	}
	slices.Sort(world)
	world = slices.Compact(world)
	below := func(prefix string) []string {
		from, _ := slices.BinarySearch(world, prefix)
		to := from
		for to < len(world) && strings.HasPrefix(world[to], prefix) {
			to++
		}
		return world[from:to]
	}
	for seed := range uint64(100) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 1))
		rules := randomNaive(rng)
		acl := mustCompile(t, rules.text())
		for range 4 {
			// Shorter than the world is deep, so that there is room for what follows.
			given := strings.Split(randomPath(rng, []string{"a", "b", "ab"}), "/")
			prefix := strings.Join(given[:min(len(given), 2)], "/")
			if rng.IntN(4) > 0 {
				prefix += "/"
			}
			want := slices.ContainsFunc(below(prefix), func(path string) bool { return acl.capabilities(path).grants() })
			if got := acl.AnyBelow(prefix); got != want {
				t.Fatalf("%q: got %v, want %v\n%s", prefix, got, want, rules.text())
			}
		}
	})
}
