package custody

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cofferhq/coffer/internal/storage/inmem"
)

func TestManyOperatorsUnsealAtOnce(t *testing.T) {
	k := start(inmem.New(), nil)
	keys := mustInit(t, k, Params{Shares: 8, Threshold: 5}).Keys
	var wg sync.WaitGroup
	for range 4 {
		for _, key := range keys {
			wg.Go(func() {
				if _, err := k.Unseal(t.Context(), key.Reveal()); err != nil {
					t.Error(err)
				}
				if _, err := k.Status(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if s := mustStatus(t, k); s.Sealed || s.Progress != 0 {
		t.Errorf("in the end: %+v", s)
	}
}

func TestOfManyInitializationsOneWins(t *testing.T) {
	inner := inmem.New()
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			k := start(inner, nil) // a node of its own
			r, err := k.Init(t.Context(), Params{Shares: 1, Threshold: 1}, nil)
			if errors.Is(err, ErrInitialized) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			won.Add(1)
			if s, err := k.Unseal(t.Context(), r.Keys[0].Reveal()); err != nil || s.Sealed {
				t.Errorf("the winner's key: %+v, %v", s, err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won", won.Load())
	}
}
