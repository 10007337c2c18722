package token_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/token"
)

func TestTextsAreWellFormed(t *testing.T) {
	w := newWorld(t)
	service := w.create(&token.Token{}, "")
	batch := w.create(&token.Token{Type: logical.TokenBatch}, "")
	swapped := []byte(service)
	for i := 5; ; i++ {
		if swapped[i] != swapped[i+1] {
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			break
		}
	}
	tests := []struct {
		name, text string
		want       bool
	}{
		{"a service token", service, true},
		{"a batch token", batch, true},
		{"two characters swapped", string(swapped), false},
		{"a character too few", service[:len(service)-1], false},
		{"a character too many", service + "0", false},
		{"white space", service + " ", false},
		{"another kind's prefix", "cfb." + service[4:], false},
		{"a batch token that is cut off", batch[:len(batch)-1], false},
		{"a prefix", "cfs.", false},
		{"the other prefix", "cfb.", false},
		{"a word", "root", false},
		{"nothing", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := token.WellFormed(test.text); got != test.want {
				t.Errorf("%t", got)
			}
		})
	}
	if len(service) != 34 {
		t.Errorf("a service token has %d characters", len(service))
	}
}

// The form is published: scanners of others know it. The checksums are from
// another implementation.
func TestTheFormOfTextsStays(t *testing.T) {
	for _, text := range []string{"cfs.0000000000000000000000000ndYm2", "cfs.0123456789ABCDEFGHIJKLMN3MsZcf"} {
		if !token.WellFormed(text) {
			t.Errorf("%s is not well-formed", text)
		}
	}
}

func TestNoTwoTokensAreAlike(t *testing.T) {
	w := newWorld(t)
	seen := map[string]bool{}
	for range 200 {
		tok := &token.Token{}
		text := w.create(tok, "")
		for _, s := range []string{text, tok.ID, tok.Accessor} {
			if seen[s] {
				t.Fatalf("%s twice", s)
			}
			seen[s] = true
		}
	}
}

func TestABatchTokenCarriesAllThatItIs(t *testing.T) {
	w := newWorld(t)
	before := rows(t, w.under)
	made := &token.Token{Type: logical.TokenBatch, Policies: []string{"p"}, Meta: map[string]string{"k": "v"}, EntityID: "e", Display: "d", MountID: "m", TTL: time.Minute}
	text := w.create(made, "")
	found, err := w.Lookup(t.Context(), ns, text, w.now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, found); diff != "" {
		t.Error(diff)
	}
	if found.Accessor != "" || found.ID != "" || found.LeaseID() != "" {
		t.Errorf("accessor %q, id %q, lease %q", found.Accessor, found.ID, found.LeaseID())
	}
	if diff := cmp.Diff(before, rows(t, w.under)); diff != "" {
		t.Errorf("it was written: %s", diff)
	}
}

func TestBatchTokensEnd(t *testing.T) {
	w := newWorld(t)
	parent := w.child("")
	text := w.create(&token.Token{Type: logical.TokenBatch, Parent: parent, TTL: time.Minute}, "")
	other, changed := newWorld(t), []byte(text)
	changed[20] ^= 1
	lookup := func(w *world, namespace, text string, now time.Time) error {
		_, err := w.Lookup(t.Context(), namespace, text, now)
		return err
	}
	tests := []struct {
		name string
		err  error
		want error
	}{
		{"a living one", lookup(w, ns, text, w.now), nil},
		{"when its time is over", lookup(w, ns, text, w.now.Add(time.Minute)), token.ErrUnknown},
		{"when its parent's time is over", lookup(w, ns, text, w.now.Add(2*time.Hour)), token.ErrUnknown},
		{"in another namespace", lookup(w, "other", text, w.now), token.ErrUnknown},
		{"in another cluster", lookup(other, ns, text, w.now), token.ErrUnknown},
		{"with a character changed", lookup(w, ns, string(changed), w.now), token.ErrUnknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if !errors.Is(test.err, test.want) {
				t.Errorf("%v, want %v", test.err, test.want)
			}
		})
	}
	t.Run("in a later generation", func(t *testing.T) {
		later := token.NewStore(w.under, laterKeys{w.keys})
		if _, err := later.Lookup(t.Context(), ns, text, w.now); !errors.Is(err, token.ErrUnknown) {
			t.Errorf("%v", err)
		}
	})
	t.Run("when its parent is revoked", func(t *testing.T) {
		if err := w.Revoke(t.Context(), ns, parent, w.now); err != nil {
			t.Fatal(err)
		}
		if err := lookup(w, ns, text, w.now); !errors.Is(err, token.ErrUnknown) {
			t.Errorf("%v", err)
		}
	})
	t.Run("while the barrier is sealed", func(t *testing.T) {
		w.keys.Seal()
		if err := lookup(w, ns, text, w.now); !errors.Is(err, logical.ErrSealed) {
			t.Errorf("%v", err)
		}
	})
}

// laterKeys are those of a cluster that was restored.
type laterKeys struct{ *barrier.Barrier }

func (k laterKeys) Generation() uint64 { return k.Barrier.Generation() + 1 }

func FuzzLookup(f *testing.F) {
	w := newWorld(f)
	service := w.create(&token.Token{}, "")
	batch := w.create(&token.Token{Type: logical.TokenBatch}, "")
	chosen := w.create(&token.Token{}, "root")
	for _, s := range []string{service, batch, chosen, "cfs.", "cfb.AAAA", "cfb.\xff", strings.ToLower(service), ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		known := text == service || text == batch || text == chosen
		if _, err := w.Lookup(t.Context(), ns, text, w.now); known && err != nil || !known && !errors.Is(err, token.ErrUnknown) {
			t.Errorf("%q: %v", text, err)
		}
		if strings.HasPrefix(text, "cf") && token.WellFormed(text) && len(text) < 34 && strings.HasPrefix(text, "cfs.") {
			t.Errorf("%q is well-formed", text)
		}
	})
}
