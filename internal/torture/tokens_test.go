package torture

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// tokens is a client that creates tokens below each other and revokes them.
type tokens struct {
	alive []*bearer
	dead  []*bearer // the last of them

	creating string  // mark of the one in flight
	revoking *bearer // in flight
	sparing  bool    // it is to leave its children alive
}

// bearer is a token that somebody has been told of.
type bearer struct {
	token, accessor string
	policies        []string
	parent          *bearer // nil: an orphan, or the root token's
	orphan          bool
}

func bearerOf(a *api.Auth, parent *bearer) *bearer {
	return &bearer{token: a.ClientToken, accessor: a.Accessor, policies: a.Policies, parent: parent, orphan: a.Orphan}
}

const (
	mostTokens   = 40  // alive, of one client
	rememberDead = 100 // of one client
)

func (k *tokens) accessors() (all []string) {
	for _, b := range k.alive {
		all = append(all, b.accessor)
	}
	return all
}

func (k *tokens) act(w *worker) error {
	dice := w.dice.IntN(10)
	if len(k.alive) == 0 || len(k.alive) < mostTokens && dice < 7 {
		return k.create(w)
	}
	b := k.alive[w.dice.IntN(len(k.alive))]
	k.revoking, k.sparing = b, dice == 9
	err := k.revoke(w, b)
	if errors.Is(err, errUnknown) {
		return err
	}
	k.revoking = nil
	if err != nil {
		return err
	}
	k.bury(b, k.sparing)
	return nil
}

func (k *tokens) create(w *worker) error {
	var parent *bearer
	as := w.root
	if n := len(k.alive); n > 0 && w.dice.IntN(5) > 0 {
		parent = k.alive[w.dice.IntN(n)]
		as = w.root.WithToken(parent.token)
	}
	k.creating = w.unique()
	s, err := w.writeAs(as, "auth/token/create", map[string]any{
		"policies": []string{ownPolicy}, "ttl": "700h", "meta": map[string]any{markField: k.creating},
	})
	if errors.Is(err, errUnknown) {
		return err
	}
	k.creating = ""
	if err == nil {
		k.alive = append(k.alive, bearerOf(s.Auth, parent))
	}
	return err
}

func (k *tokens) revoke(w *worker, b *bearer) (err error) {
	switch {
	case k.sparing:
		_, err = w.write("auth/token/revoke-orphan", map[string]any{"token": b.token})
	case w.dice.IntN(3) == 0:
		_, err = w.write("auth/token/revoke-accessor", map[string]any{"accessor": b.accessor})
	case w.dice.IntN(2) == 0:
		_, err = w.writeAs(w.root.WithToken(b.token), "auth/token/revoke-self", nil)
	default:
		_, err = w.write("auth/token/revoke", map[string]any{"token": b.token})
	}
	return err
}

// below returns b and its descendants.
func (k *tokens) below(b *bearer) []*bearer {
	tree := []*bearer{b}
	for i := 0; i < len(tree); i++ {
		for _, other := range k.alive {
			if other.parent == tree[i] {
				tree = append(tree, other)
			}
		}
	}
	return tree
}

// bury moves what a revocation of b ends to the dead.
func (k *tokens) bury(b *bearer, sparing bool) {
	ended := k.below(b)
	if sparing {
		for _, child := range ended {
			if child.parent == b {
				child.parent, child.orphan = nil, true
			}
		}
		ended = ended[:1]
	}
	k.alive = slices.DeleteFunc(k.alive, func(b *bearer) bool { return slices.Contains(ended, b) })
	k.dead = append(k.dead, ended...)
	k.dead = k.dead[max(0, len(k.dead)-rememberDead):]
}

func (k *tokens) check(w *worker) error {
	if k.creating != "" {
		found := w.census.claim(marked(k.creating))
		k.creating = ""
		w.landed(len(found) > 0)
		if len(found) > 1 {
			return fmt.Errorf("one request has made %d tokens", len(found))
		}
		if err := w.forget(found); err != nil {
			return err
		}
	}
	if err := k.settleRevocation(w); err != nil {
		return err
	}
	for _, b := range k.alive {
		if err := b.checkAlive(w); err != nil {
			return err
		}
	}
	for _, b := range k.dead {
		if err := b.checkDead(w); err != nil {
			return err
		}
	}
	return nil
}

// settleRevocation finds out whether a revocation in flight has begun. If so it
// must end.
func (k *tokens) settleRevocation(w *worker) error {
	b := k.revoking
	if b == nil {
		return nil
	}
	k.revoking = nil
	_, err := w.ask(w.root.WithToken(b.token), "auth/token/lookup-self")
	if err != nil && client.StatusOf(err) != 403 {
		return err
	}
	w.landed(err != nil)
	if err == nil {
		return nil // it has not begun: all must be alive
	}
	ended := k.below(b)
	if k.sparing {
		// Its children become orphans one after another.
		return k.settleSpared(w, b, ended[1:])
	}
	k.bury(b, false)
	return eventually(func() error {
		for _, one := range ended {
			if err := one.checkDead(w); err != nil {
				return err
			}
		}
		return nil
	})
}

func (k *tokens) settleSpared(w *worker, b *bearer, below []*bearer) error {
	k.bury(b, true)
	return eventually(func() error {
		for _, one := range below {
			if err := one.checkAlive(w); err != nil {
				return err
			}
		}
		return nil
	})
}

// eventually waits until done returns nil.
func eventually(done func() error) error {
	const lookEvery = 100 * time.Millisecond
	for end := time.Now().Add(settleTime); ; time.Sleep(lookEvery) { // a real process in real time
		err := done()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("it is not finished after %s: %w", settleTime, err)
		}
	}
}

// checkAlive fails unless the token works, with the right policies, and is told
// of in the same way by its accessor.
func (b *bearer) checkAlive(w *worker) error {
	as := w.root.WithToken(b.token)
	self, err := w.ask(as, "auth/token/lookup-self")
	if err != nil {
		return fmt.Errorf("an acknowledged token does not work: %w", err)
	}
	byAccessor, err := w.root.Write(w.t.Context(), "auth/token/lookup-accessor", map[string]any{"accessor": b.accessor})
	if err != nil {
		return fmt.Errorf("the accessor of a token that works: %w", err)
	}
	self.Data["id"], byAccessor.Data["id"] = "", ""
	self.Data["ttl"], byAccessor.Data["ttl"] = "", "" // it may have become a second less
	if one, other := encoded(self.Data), encoded(byAccessor.Data); one != other {
		return fmt.Errorf("the token tells\n  %s\nits accessor\n  %s", one, other)
	}
	if got, want := fmt.Sprint(self.Data["policies"]), fmt.Sprint(b.policies); got != want {
		return fmt.Errorf("a token has the policies %s, acknowledged were %s", got, want)
	}
	if self.Data["orphan"] != b.orphan {
		return fmt.Errorf("a token is an orphan: %v, want %v", self.Data["orphan"], b.orphan)
	}
	if !w.census.there[b.accessor] {
		return errors.New("a token that works is not in the list of accessors")
	}
	if s, err := w.ask(as, plainMount+"shared"); err != nil || s == nil {
		return fmt.Errorf("a token may not do what its policy allows: %w", err)
	}
	if _, err := w.ask(as, plainMount+"other"); client.StatusOf(err) != 403 {
		return fmt.Errorf("a token may do what its policy does not allow: %v", err)
	}
	return nil
}

// checkDead fails if the token or its accessor is of any use.
func (b *bearer) checkDead(w *worker) error {
	if _, err := w.ask(w.root.WithToken(b.token), "auth/token/lookup-self"); client.StatusOf(err) != 403 {
		return fmt.Errorf("a revoked token works: %v", err)
	}
	_, err := w.root.Write(w.t.Context(), "auth/token/lookup-accessor", map[string]any{"accessor": b.accessor})
	if err == nil || !strings.Contains(err.Error(), "invalid accessor") {
		return fmt.Errorf("the accessor of a revoked token: %v", err)
	}
	return nil
}
