package torture

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// census is which tokens there are, by accessor, compared with which there must
// be.
type census struct {
	fixed map[string]bool    // tokens of these tests themselves
	found map[string]bearing // unknown ones that have not been explained
	there map[string]bool    // all
}

// bearing is what an accessor tells of a token.
type bearing struct{ accessor, mark, path string }

// markField is the token's metadata by which an unknown one is recognised: what
// created it.
const markField = "mark"

// settleTime is within which the server must finish what a kill has cut short.
const settleTime = 60 * time.Second

func (c *census) add(accessor any) {
	if c.fixed == nil {
		c.fixed = map[string]bool{}
	}
	c.fixed[fmt.Sprint(accessor)] = true
}

// takeCensus finds the tokens that nobody has been told of.
func (w *world) takeCensus() {
	w.t.Helper()
	c := &w.census
	all, err := w.list("auth/token/accessors")
	if err != nil {
		w.t.Fatal(err)
	}
	c.there, c.found = map[string]bool{}, map[string]bearing{}
	known := w.known()
	for _, accessor := range all {
		c.there[accessor] = true
		if known[accessor] {
			continue
		}
		s, err := w.root.Write(w.t.Context(), "auth/token/lookup-accessor", map[string]any{"accessor": accessor})
		if err != nil {
			if strings.Contains(err.Error(), "invalid accessor") {
				continue // its revocation has just been taken up
			}
			w.t.Errorf("accessor in the list: %v", err)
			continue
		}
		meta, _ := s.Data["meta"].(map[string]any)
		b := bearing{accessor: accessor, path: fmt.Sprint(s.Data["path"])}
		if meta[markField] != nil {
			b.mark = fmt.Sprint(meta[markField])
		}
		c.found[accessor] = b
	}
}

// known returns the accessors that somebody has been told of.
func (w *world) known() map[string]bool {
	all := maps.Clone(w.census.fixed)
	if all == nil {
		all = map[string]bool{}
	}
	for _, a := range w.actors {
		if h, ok := a.actor.(interface{ accessors() []string }); ok {
			for _, accessor := range h.accessors() {
				all[accessor] = true
			}
		}
	}
	return all
}

// claim takes the unknown tokens for which fits says yes.
func (c *census) claim(fits func(b bearing) bool) []bearing {
	var mine []bearing
	for _, accessor := range slices.Sorted(maps.Keys(c.found)) {
		if b := c.found[accessor]; fits(b) {
			mine = append(mine, b)
			delete(c.found, accessor)
		}
	}
	return mine
}

func marked(mark string) func(bearing) bool { return func(b bearing) bool { return b.mark == mark } }

// closeCensus fails if there is a token that nobody can have made. The root
// token's is the first one found.
func (w *world) closeCensus() {
	w.t.Helper()
	c := &w.census
	for _, b := range c.claim(func(b bearing) bool { return b.path == "auth/token/root" }) {
		c.add(b.accessor)
	}
	for _, b := range c.found {
		w.t.Errorf("round %d: a token that nobody made, by %s, marked %q", w.round, b.path, b.mark)
	}
}

// forget revokes tokens of which nobody knows the text.
func (w *worker) forget(found []bearing) error {
	for _, b := range found {
		if _, err := w.write("auth/token/revoke-accessor", map[string]any{"accessor": b.accessor}); err != nil {
			return err
		}
	}
	return nil
}
