package rotationsoak

import (
	"context"
	"maps"
	"slices"
	"time"
)

// watch looks at a rotation, and at a static role of the database engine, from the
// outside, and remembers what it sees. One goroutine uses it at a time.
type watch struct {
	house    *house
	rotation rotation
	static   string // path of the role

	newest   int                          // version that was last seen to be published
	attempts map[int]attempt              // by number
	moved    map[int]map[string]time.Time // version → role → when it was first seen to use it
	replaced []time.Time                  // when the static role's password was
}

func newWatch(h *house, r rotation, static string) *watch {
	return &watch{house: h, rotation: r, static: static, attempts: map[int]attempt{}, moved: map[int]map[string]time.Time{}}
}

// run looks until ctx ends.
func (w *watch) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		err := w.look(ctx)
		if err == nil && n%100 == 0 { // the server forgets attempts that are long past
			err = w.collect(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.house.t.Errorf("looking at the rotation: %v", err)
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *watch) look(ctx context.Context) error {
	var p progress
	if err := w.house.read(ctx, w.rotation.plan(), &p); err != nil {
		return err
	}
	if p.Attempt != nil && p.Attempt.Version > w.newest {
		w.newest = p.Attempt.Version
		w.moved[w.newest] = map[string]time.Time{}
	}
	if w.newest > 0 {
		if err := w.lookAtConsumers(ctx); err != nil {
			return err
		}
	}
	var role struct {
		At time.Time `json:"last_vault_rotation"`
	}
	if err := w.house.read(ctx, w.static, &role); err != nil {
		return err
	}
	if n := len(w.replaced); n == 0 || role.At.After(w.replaced[n-1]) {
		w.replaced = append(w.replaced, role.At)
	}
	return nil
}

func (w *watch) lookAtConsumers(ctx context.Context) error {
	var seen struct {
		Consumers []struct {
			Role  string
			Using int `json:"version_in_use"`
		}
	}
	if err := w.house.read(ctx, "sys/coffer/consumers/"+w.rotation.target(), &seen); err != nil {
		return err
	}
	for _, c := range seen.Consumers {
		if _, known := w.moved[w.newest][c.Role]; !known && c.Using >= w.newest {
			w.moved[w.newest][c.Role] = time.Now()
		}
	}
	return nil
}

// collect remembers the evidence of attempts.
func (w *watch) collect(ctx context.Context) error {
	all, err := w.house.evidence(ctx, w.rotation)
	for _, a := range all {
		w.attempts[a.Number] = a
	}
	return err
}

// ended returns the attempts in their order.
func (w *watch) ended() (all []attempt) {
	for _, n := range slices.Sorted(maps.Keys(w.attempts)) {
		all = append(all, w.attempts[n])
	}
	return all
}

// moving returns how long after publishing the consumers of a role were seen to use
// what was new, sorted.
func (w *watch) moving(role string) (took []time.Duration) {
	for _, a := range w.attempts {
		if at, ok := w.moved[a.Version][role]; ok {
			took = append(took, at.Sub(a.Published))
		}
	}
	slices.Sort(took)
	return took
}

// living returns how long old credentials lived after new ones were published,
// sorted.
func (w *watch) living() (took []time.Duration) {
	for _, a := range w.attempts {
		took = append(took, a.Retired.Sub(a.Published))
	}
	slices.Sort(took)
	return took
}
