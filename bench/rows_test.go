package main

import (
	"math"
	"testing"
)

func TestTheRatioOfADurableRequestLeavesItsOverheadOut(t *testing.T) {
	r := rounds[load]{
		subject: []load{{p50: 1.6e-3}},
		base:    []load{{p50: 0.9e-3}, {p50: 1.1e-3}},
	}
	got := p50AboveSync("p50", r)
	if math.Abs(got.ratio.median()-1.3) > 1e-9 {
		t.Errorf("got ratio %v, want 1.3", got.ratio.median())
	}
	if got.measured.median() != 1.6e-3 {
		t.Errorf("the latency itself is shown as %v", got.measured.median())
	}
}

func TestAStormIsComparedToTheQuietAroundIt(t *testing.T) {
	quiet := []load{{p99: 1e-3}, {p99: 3e-3}}
	rows := stormRows(100, 99, quiet, []load{{p99: 2e-3}, {p99: 4e-3}, {p99: 9e-3}})
	for _, tt := range []struct {
		name    string
		row     row
		verdict string
	}{
		{"the median of the storm over the median of the quiet", rows[0], "short"},
		{"a lease that is still there", rows[len(rows)-1], "short"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.row.verdict(); got != tt.verdict {
				t.Errorf("got %q, want %q", got, tt.verdict)
			}
		})
	}
	if got := rows[0].ratio.median(); got != 2 {
		t.Errorf("got ratio %v, want 2", got)
	}
}
