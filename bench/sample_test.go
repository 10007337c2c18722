package main

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   sample
		want float64
	}{
		{"one value is its own median", sample{3}, 3},
		{"the middle of an odd number, in any order", sample{9, 1, 5}, 5},
		{"the mean of the two in the middle of an even number", sample{4, 1, 2, 100}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := slices.Clone(tt.in)
			if got := in.median(); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if !slices.Equal(in, tt.in) {
				t.Errorf("the sample was changed to %v", in)
			}
		})
	}
	if got := (sample{}).median(); !math.IsNaN(got) {
		t.Errorf("of nothing: got %v, want NaN", got)
	}
}

func TestQuantileIsANearestRank(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for _, tt := range []struct {
		name   string
		sorted []int
		q      float64
		want   int
	}{
		{"the median of a hundred", hundred, 0.5, 50},
		{"the 99th of a hundred", hundred, 0.99, 99},
		{"the whole is the last", hundred, 1, 100},
		{"nothing is the first", hundred, 0, 1},
		{"of one value there is only that", []int{7}, 0.99, 7},
		{"of three values the 99th percentile is the last", []int{1, 2, 3}, 0.99, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := quantile(tt.sorted, tt.q); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRatiosAreToTheNeighboursOnBothSides(t *testing.T) {
	got := sample{10, 30}.over(sample{4, 6, 14})
	if want := (sample{2, 3}); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAlternateSurroundsEachRoundByItsBaseline(t *testing.T) {
	at := 0.0
	next := func() (float64, error) { at++; return at, nil }
	r, err := alternate(t.Context(), 3, next, next)
	if err != nil {
		t.Fatal(err)
	}
	if want := []float64{2, 4, 6}; !slices.Equal(r.subject, want) {
		t.Errorf("subject: got %v, want %v", r.subject, want)
	}
	if want := []float64{1, 3, 5, 7}; !slices.Equal(r.base, want) {
		t.Errorf("base: got %v, want %v", r.base, want)
	}
}

func TestAlternateEnds(t *testing.T) {
	broken := errors.New("broken")
	fine := func() (int, error) { return 1, nil }
	t.Run("at the first error", func(t *testing.T) {
		_, err := alternate(t.Context(), 3, func() (int, error) { return 0, broken }, fine)
		if !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
	})
	t.Run("with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := alternate(ctx, 3, fine, fine)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	})
}
