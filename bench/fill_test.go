package main

import (
	"context"
	"errors"
	"sync"
	"testing"
)

func TestFillCallsForEachNumberOnce(t *testing.T) {
	const n = 1000
	var mu sync.Mutex
	seen := map[int]int{} // number → calls
	err := fill(t.Context(), n, func(_ context.Context, i int) error {
		mu.Lock()
		defer mu.Unlock()
		seen[i]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if seen[i] != 1 {
			t.Errorf("%d: %d calls", i, seen[i])
		}
	}
	if len(seen) != n {
		t.Errorf("%d numbers, want %d", len(seen), n)
	}
}

func TestFillEndsAtTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	err := fill(t.Context(), 1<<30, func(context.Context, int) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}
