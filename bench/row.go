package main

import (
	"fmt"
	"math"
	"slices"
)

// unit is what a figure counts, and how it is written.
type unit int

const (
	perSecond unit = iota
	seconds
	bytesOf
	plain
)

// write returns v for people, in three significant digits or so.
func (u unit) write(v float64) string {
	switch u {
	case perSecond:
		return scaled(v, []step{{1e3, "k/s"}, {1, "/s"}})
	case seconds:
		return scaled(v, []step{{1, " s"}, {1e-3, " ms"}, {1e-6, " µs"}})
	case bytesOf:
		return scaled(v, []step{{1e6, " MB"}, {1e3, " kB"}, {1, " B"}})
	}
	return digits(v)
}

type step struct {
	size float64
	name string
}

// scaled writes v in the first unit of which it is one or more, or in the last.
func scaled(v float64, steps []step) string {
	for _, s := range steps {
		if math.Abs(v) >= s.size {
			return digits(v/s.size) + s.name
		}
	}
	last := steps[len(steps)-1]
	return digits(v/last.size) + last.name
}

func digits(v float64) string {
	switch {
	case v == math.Trunc(v) && math.Abs(v) < 1e6:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 100:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	case math.Abs(v) < 0.1:
		return fmt.Sprintf("%.2g", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// spread writes the median of s and what it lies between.
func (u unit) spread(s sample) string {
	switch len(s) {
	case 0:
		return "–"
	case 1:
		return u.write(s[0])
	}
	return fmt.Sprintf("%s (%s–%s)", u.write(s.median()), u.write(slices.Min(s)), u.write(slices.Max(s)))
}

// goal is what a row should reach. The zero value is none.
type goal struct {
	text  string
	holds func(measured, ratio float64) bool
}

// Goals on the ratio to the baseline, and on the figure itself.
func ratioAtMost(limit float64, text string) goal {
	return goal{text, func(_, ratio float64) bool { return ratio <= limit }}
}

func ratioAtLeast(limit float64, text string) goal {
	return goal{text, func(_, ratio float64) bool { return ratio >= limit }}
}

func atMost(limit float64, text string) goal {
	return goal{text, func(measured, _ float64) bool { return measured <= limit }}
}

func atLeast(limit float64, text string) goal {
	return goal{text, func(measured, _ float64) bool { return measured >= limit }}
}

// row is one figure of the page.
type row struct {
	what     string
	unit     unit
	goal     goal
	measured sample
	base     sample // empty: there is no baseline
	ratio    sample // empty: without a baseline
	note     string // what else there is to say; may be empty
}

// verdict says whether the medians reach the goal.
func (r row) verdict() string {
	switch {
	case r.goal.holds == nil:
		return "–"
	case len(r.measured) == 0:
		return "not measured"
	case r.goal.holds(r.measured.median(), r.ratio.median()):
		return "pass"
	}
	return "short"
}

// columns are the titles of what cells returns.
var columns = []string{"what", "target", "measured", "baseline", "ratio", "verdict"}

// cells returns the row as texts, one for each of columns.
func (r row) cells() []string {
	target := r.goal.text
	if target == "" {
		target = "–"
	}
	what := r.what
	if r.note != "" {
		what += " (" + r.note + ")"
	}
	return []string{
		what, target, r.unit.spread(r.measured), r.unit.spread(r.base), plain.spread(r.ratio), r.verdict(),
	}
}
