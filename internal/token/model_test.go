package token_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage/storetest"
	"github.com/cofferhq/coffer/internal/token"
)

// forest is what the tokens are, kept naively.
type forest map[string]*tree

type tree struct {
	parent  string
	expires time.Time
}

func (f forest) children(id string) (ids []string) {
	for kid, k := range f {
		if k.parent == id {
			ids = append(ids, kid)
		}
	}
	return ids
}

func (f forest) revoke(id string) {
	if f[id] == nil {
		return
	}
	delete(f, id)
	for _, kid := range f.children(id) {
		f.revoke(kid)
	}
}

func (f forest) expire(now time.Time) {
	for id, k := range f {
		if !now.Before(k.expires) {
			f.revoke(id)
		}
	}
}

// Random operations, with commits that fail now and then, agree with the naive
// forest whenever the queue has come to rest.
func TestRandomOperationsAgreeWithANaiveForest(t *testing.T) {
	for range 6 {
		seed := rand.Uint64()
		synctest.Test(t, func(t *testing.T) { grow(t, seed) })
	}
}

func grow(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	run(t, w.under, token.NewStore(w.under, w.keys))
	model, ids := forest{}, []string{}
	pick := func() string {
		if len(ids) == 0 || rnd.IntN(5) == 0 {
			return ""
		}
		return ids[rnd.IntN(len(ids))]
	}
	for step := range 60 {
		w.now = time.Now()
		model.expire(w.now)
		// The work is done by a process that may end at any commit.
		dying := token.NewStore(&storetest.Faulty{Store: w.under, N: 1 + rnd.IntN(12), After: rnd.IntN(2) == 0, Dead: true}, w.keys)
		id := pick()
		switch rnd.IntN(6) {
		case 0, 1, 2:
			tok := &token.Token{Parent: id, TTL: time.Duration(1+rnd.IntN(20)) * time.Minute, Type: logical.TokenService}
			_, err := w.tryCreate(tok, "")
			if alive := id == "" || model[id] != nil; alive != (err == nil) {
				t.Fatalf("seed %d, step %d: create below %q: %v", seed, step, id, err)
			}
			if err == nil {
				model[tok.ID], ids = &tree{id, tok.Expires}, append(ids, tok.ID)
			}
		case 3:
			if begun(t, w, id, dying.Revoke(t.Context(), ns, id, w.now)) {
				model.revoke(id)
			}
		case 4:
			if begun(t, w, id, dying.RevokeOrphan(t.Context(), ns, id, w.now)) && model[id] != nil {
				delete(model, id)
				for _, kid := range model.children(id) {
					model[kid].parent = ""
				}
			}
		case 5:
			time.Sleep(time.Duration(rnd.IntN(8)) * time.Minute)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		w.now = time.Now()
		model.expire(w.now)
		compare(t, w, model, ids, fmt.Sprintf("seed %d, step %d", seed, step))
	}
}

// begun says whether a revocation that ended with err has had an effect: if its
// very first commit failed it has none.
func begun(t *testing.T, w *world, id string, err error) bool {
	if err != nil && !errors.Is(err, storetest.ErrFault) {
		t.Error(err)
	}
	return !w.lives(id)
}

func compare(t *testing.T, w *world, model forest, ids []string, when string) {
	t.Helper()
	below := 0
	for _, id := range ids {
		k := model[id]
		if w.lives(id) != (k != nil) {
			t.Fatalf("%s: alive: %t, want %t", when, w.lives(id), k != nil)
		}
		if k != nil && k.parent != "" {
			below++
		}
	}
	left := rows(t, w.under)
	delete(left, "due")
	want := map[string]int{"token": len(model), "accessor": len(model), "child": below}
	for table, n := range want {
		if n == 0 {
			delete(want, table)
		}
	}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Fatalf("%s: rows: %s", when, diff)
	}
}
