package token_test

import (
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/token"
)

func TestDueTellsWhatAnItemWouldEnd(t *testing.T) {
	w := newWorld(t)
	tok := &token.Token{TTL: time.Minute}
	w.create(tok, "")
	item := due.Item{At: tok.Expires, Kind: token.Kind, Namespace: ns, Ref: tok.ID}
	unknown := item
	unknown.Ref = "nobody"
	for _, c := range []struct {
		name string
		item due.Item
		now  time.Time
		want bool
	}{
		{"a token that goes on", item, tok.Expires.Add(-time.Second), false},
		{"a token at its end", item, tok.Expires, true},
		{"a token that is gone", unknown, tok.Expires, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := w.Due(t.Context(), c.item, c.now)
			if err != nil {
				t.Fatal(err)
			}
			if (got != nil) != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
