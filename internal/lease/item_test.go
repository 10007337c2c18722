package lease_test

import (
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/lease"
)

func TestDueTellsWhatAnItemWouldEnd(t *testing.T) {
	w := newWorld(t)
	l := w.grant("a/b", "", noon)
	item := due.Item{At: l.Expires, Kind: lease.Kind, Namespace: ns, Ref: l.Ref}
	unknown := item
	unknown.Ref = "nobody"
	for _, c := range []struct {
		name string
		item due.Item
		now  time.Time
		want string // empty: none
	}{
		{"a lease that goes on", item, l.Expires.Add(-time.Second), ""},
		{"a lease at its end", item, l.Expires, l.ID},
		{"a lease that is gone", unknown, l.Expires, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := w.Due(t.Context(), c.item, c.now)
			if err != nil {
				t.Fatal(err)
			}
			if got == nil && c.want != "" || got != nil && got.ID != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
