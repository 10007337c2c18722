package policy

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// wildcards finds the most specific of the rules whose paths have a wildcard.
//
// The first criterion of Vault's order is how far to the right the first
// wildcard stands, that is how long the literal text before it is. So rules are
// kept by that text: the longest beginning of a path that has rules is asked
// first, and a look-up costs one map access for each length that occurs.
type wildcards struct {
	byHead  map[string][]wildcard // text before the first wildcard → rules, most specific first
	lengths []int                 // of the heads, longest first
	depth   int                   // segments of the longest rule
}

// wildcard is a rule and its path.
type wildcard struct {
	pattern
	rule *rule
}

// add takes a rule in. sort comes after the last.
func (w *wildcards) add(p pattern, r *rule) {
	if w.byHead == nil {
		w.byHead = make(map[string][]wildcard)
	}
	head := p.head()
	w.byHead[head] = append(w.byHead[head], wildcard{p, r})
	w.depth = max(w.depth, 1+strings.Count(p.text, "/"))
	if !slices.Contains(w.lengths, len(head)) {
		w.lengths = append(w.lengths, len(head))
	}
}

func (w *wildcards) sort() {
	slices.SortFunc(w.lengths, func(a, b int) int { return b - a })
	for _, rules := range w.byHead {
		slices.SortFunc(rules, moreSpecific)
	}
}

// moreSpecific orders rules with the same head, the most specific first: of two
// the one is less specific that ends in "*", that has more "+" segments, that is
// shorter, that is smaller, in this order.
func moreSpecific(a, b wildcard) int {
	if a.glob != b.glob {
		if a.glob {
			return 1
		}
		return -1
	}
	return cmp.Or(
		cmp.Compare(a.plus, b.plus),
		cmp.Compare(len(b.text), len(a.text)),
		cmp.Compare(b.text, a.text),
	)
}

// find returns the most specific rule that matches path, or nil.
func (w *wildcards) find(path string) *rule {
	for _, n := range w.lengths {
		if n > len(path) {
			continue
		}
		rules := w.byHead[path[:n]]
		for i := range rules {
			if rules[i].matches(path) {
				return rules[i].rule
			}
		}
	}
	return nil
}

// all yields every rule, in no order.
func (w *wildcards) all() iter.Seq[*wildcard] {
	return func(yield func(*wildcard) bool) {
		for _, rules := range w.byHead {
			for i := range rules {
				if !yield(&rules[i]) {
					return
				}
			}
		}
	}
}
