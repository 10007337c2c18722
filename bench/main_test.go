package main

import (
	"strings"
	"testing"
)

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		args string
		want string // part of the error
	}{
		{"no rounds", "-rounds 0", "-rounds"},
		{"wrk knows whole seconds only", "-round 1500ms", "-round"},
		{"no entries", "-scale 0", "-scale"},
		{"a page of one scenario would drop the others", "-only read -out p.md", "-only"},
		{"a word too many", "read", "unexpected argument"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parse(strings.Fields(tt.args)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    options
		want string // names; empty: an error
	}{
		{"named ones, in the order of their names", options{only: "audit,read"}, "audit read"},
		{"a large one that is named needs no flag", options{only: "large"}, "large"},
		{"a name that is none", options{only: "read,nope"}, ""},
		{"all but the large ones", options{}, "size start idle read audit list health get memory write login batch"},
		{"all", options{large: true, huge: true}, "size start idle read audit list health get memory write login batch large huge"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			chosen, err := choose(tt.o)
			if (err != nil) != (tt.want == "") {
				t.Fatalf("error: %v", err)
			}
			var names []string
			for _, s := range chosen {
				names = append(names, s.name)
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
