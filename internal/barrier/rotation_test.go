package barrier_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/storetest"
)

func TestRotationsHaveVaultsLimits(t *testing.T) {
	tests := []struct {
		name   string
		change func(r *barrier.Rotation)
		want   string // the text; empty: good
	}{
		{"the default", func(*barrier.Rotation) {}, ""},
		{"a day", func(r *barrier.Rotation) { r.Interval = 24 * time.Hour }, ""},
		{"less than a day", func(r *barrier.Rotation) { r.Interval = 24*time.Hour - 1 }, "interval must be greater or equal to 24h0m0s"},
		{"a time below zero", func(r *barrier.Rotation) { r.Interval = -1 }, "interval must be greater or equal to 24h0m0s"},
		{"a million", func(r *barrier.Rotation) { r.MaxOperations = 1_000_000 }, ""},
		{"too few", func(r *barrier.Rotation) { r.MaxOperations = 999_999 }, "max_operations must be in the range [1000000,3865470566]"},
		{"too many", func(r *barrier.Rotation) { r.MaxOperations++ }, "max_operations must be in the range [1000000,3865470566]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := barrier.DefaultRotation()
			test.change(&r)
			err := r.Check()
			if test.want == "" && err == nil {
				return
			}
			var told *logical.Error
			if !errors.As(err, &told) || told.Text != test.want || !errors.Is(err, logical.ErrInvalid) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestATermEndsByAgeOrByUse(t *testing.T) {
	begun := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	daily := barrier.Rotation{MaxOperations: 1_000_000, Interval: 24 * time.Hour, Enabled: true}
	off, ageless := daily, daily
	off.Enabled, ageless.Interval = false, 0
	tests := []struct {
		name   string
		policy barrier.Rotation
		age    time.Duration
		n      uint64
		want   string // the reason; empty: it goes on
	}{
		{"young and fresh", daily, 24*time.Hour - 1, 999_999, ""},
		{"old", daily, 24 * time.Hour, 0, "age"},
		{"long overdue", daily, 1000 * time.Hour, 0, "age"},
		{"much used", daily, 0, 1_000_000, "encryptions"},
		{"old, but it does not matter", ageless, 1000 * time.Hour, 999_999, ""},
		{"much used, however young it is", ageless, 0, 1_000_001, "encryptions"},
		{"both, but nobody wants it", off, 1000 * time.Hour, 1_000_001, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			reason, due := test.policy.Due(barrier.Term{Number: 1, Created: begun}, test.n, begun.Add(test.age))
			if reason != test.want || due != (test.want != "") {
				t.Errorf("%q, %t, want %q", reason, due, test.want)
			}
		})
	}
}

// stored returns the rotation that is stored.
func stored(t *testing.T, b *barrier.Barrier) (r barrier.Rotation, err error) {
	t.Helper()
	err = storage.View(t.Context(), b, func(tx *storage.Tx) (err error) {
		r, err = barrier.ReadRotation(t.Context(), tx)
		return err
	})
	return r, err
}

func TestARotationReadsAsItWasPut(t *testing.T) {
	b, _ := unsealed(t)
	if _, err := stored(t, b); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	want := barrier.DefaultRotation()
	want.Interval, want.Enabled = 48*time.Hour, false
	_, err := storage.Update(t.Context(), b, func(tx *storage.Tx) error { return want.Put(tx) })
	if err != nil {
		t.Fatal(err)
	}
	if got, err := stored(t, b); got != want || err != nil {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	put(t, b, storage.Plain("barrier")+storage.Plain("rotation"), `{"v":2}`)
	if _, err := stored(t, b); err == nil {
		t.Error("a newer version was read")
	}
}

func TestARotationFromATermHappensOnce(t *testing.T) {
	b, inner := unsealed(t)
	other := barrier.New(inner)
	if err := other.Unseal(t.Context(), rootKey(1)); err != nil {
		t.Fatal(err)
	}
	for _, node := range []*barrier.Barrier{b, other, b} {
		if err := node.RotateFrom(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if n := len(node.Terms()); n != 2 {
			t.Fatalf("%d terms, want 2", n)
		}
	}
}

// A store that does not say whether it has committed leads to no second term.
func TestARotationOfUnknownOutcomeHappensOnce(t *testing.T) {
	for _, after := range []bool{false, true} {
		_, inner := unsealed(t)
		b := barrier.New(&storetest.Faulty{Store: inner, N: 1, After: after})
		if err := b.Unseal(t.Context(), rootKey(1)); err != nil {
			t.Fatal(err)
		}
		if err := b.RotateFrom(t.Context(), 1); err == nil {
			t.Fatal("no error")
		}
		if err := b.RotateFrom(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if n := len(b.Terms()); n != 2 {
			t.Errorf("committed %t: %d terms, want 2", after, n)
		}
	}
}
