package storetest_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
	"github.com/cofferhq/coffer/internal/storage/storetest"
)

func TestFaultyFailsAtTheCallItWasTold(t *testing.T) {
	tests := []struct {
		name        string
		after, dead bool
		want        string // calls that succeed, entries that exist, of five
	}{
		{"before the effect, once", false, false, "1345 1345"},
		{"after the effect, once", true, false, "1345 12345"},
		{"before the effect, for ever", false, true, "1 1"},
		{"after the effect, for ever", true, true, "1 12"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inner := inmem.New()
			defer inner.Close()
			s := &storetest.Faulty{Store: inner, N: 2, After: test.after, Dead: test.dead}
			got := ""
			for i := 1; i <= 5; i++ {
				_, err := s.Apply(t.Context(), nil, []storage.Op{storage.Put(fmt.Sprint(i), nil)})
				if err == nil {
					got += fmt.Sprint(i)
				} else if !errors.Is(err, storetest.ErrFault) {
					t.Error(err)
				}
				if i == 2 && !errors.Is(err, storage.ErrUnknownOutcome) {
					t.Errorf("call 2: %v", err)
				}
				if s.Tripped() != (i >= 2) {
					t.Errorf("after call %d: tripped is %v", i, s.Tripped())
				}
			}
			if got += " " + keys(t, inner); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			if _, err := s.Snapshot(t.Context()); errors.Is(err, storetest.ErrFault) != test.dead {
				t.Errorf("snapshot: %v", err)
			}
			for _, err := range s.Watch(t.Context(), "", 0) {
				if errors.Is(err, storetest.ErrFault) != test.dead {
					t.Errorf("watch: %v", err)
				}
				break
			}
		})
	}
}

// keys returns all keys of s, joined.
func keys(t *testing.T, s storage.Store) (joined string) {
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	for e, err := range snap.Range(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		joined += e.Key
	}
	return joined
}
