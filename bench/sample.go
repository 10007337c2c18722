package main

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// sample is what the rounds of one measurement gave, in order. An empty sample
// means that nothing was measured.
type sample []float64

// median returns the middle value, or the mean of the two middle ones. It is NaN
// for an empty sample.
func (s sample) median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// quantile returns the value below which the part q of sorted lies, by nearest
// rank. sorted is in ascending order and not empty.
func quantile[T cmp.Ordered](sorted []T, q float64) T {
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// over returns the ratio of each value of s to the mean of its two neighbours in
// base, which was measured before the first value of s, between them, and after
// the last: base is one longer than s.
func (s sample) over(base sample) sample {
	if len(base) != len(s)+1 {
		panic("bench: internal error: a baseline must surround what it is for")
	}
	ratios := make(sample, len(s))
	for i, v := range s {
		ratios[i] = v / ((base[i] + base[i+1]) / 2)
	}
	return ratios
}

// rounds are alternating measurements: base, subject, base, subject, …, base.
type rounds[T any] struct{ subject, base []T }

// alternate measures base before and after each of n measurements of subject.
func alternate[T any](ctx context.Context, n int, subject, base func() (T, error)) (rounds[T], error) {
	var r rounds[T]
	for i := range 2*n + 1 {
		into, measure := &r.base, base
		if i%2 == 1 {
			into, measure = &r.subject, subject
		}
		v, err := measure()
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return r, err
		}
		*into = append(*into, v)
	}
	return r, nil
}

// column returns one figure of each measurement.
func column[T any](all []T, figure func(T) float64) sample {
	s := make(sample, len(all))
	for i, v := range all {
		s[i] = figure(v)
	}
	return s
}

// row returns the row of one figure of r.
func (r rounds[T]) row(what string, u unit, g goal, figure func(T) float64) row {
	measured, base := column(r.subject, figure), column(r.base, figure)
	return row{what: what, unit: u, goal: g, measured: measured, base: base, ratio: measured.over(base)}
}
