package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFiguresAreWrittenForPeople(t *testing.T) {
	for _, tt := range []struct {
		name string
		unit unit
		v    float64
		want string
	}{
		{"thousands a second", perSecond, 41234, "41.2k/s"},
		{"a whole number of thousands", perSecond, 2000, "2k/s"},
		{"few a second", perSecond, 123.4, "123/s"},
		{"less than one a second", perSecond, 0.25, "0.25/s"},
		{"seconds", seconds, 1.234, "1.23 s"},
		{"milliseconds", seconds, 0.0289, "28.9 ms"},
		{"microseconds", seconds, 0.0000173, "17.3 µs"},
		{"no time at all", seconds, 0, "0 µs"},
		{"megabytes are a million", bytesOf, 20877474, "20.9 MB"},
		{"bytes", bytesOf, 840, "840 B"},
		{"a ratio", plain, 0.7154, "0.72"},
		{"a ratio that two digits would make nothing", plain, 0.00447, "0.0045"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.unit.write(tt.v); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestASpreadIsTheMedianAndWhatItLiesBetween(t *testing.T) {
	if got, want := perSecond.spread(sample{3000, 1000, 2500}), "2.50k/s (1k/s–3k/s)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestVerdict(t *testing.T) {
	for _, tt := range []struct {
		name string
		row  row
		want string
	}{
		{"no target, no verdict", row{measured: sample{1}}, "–"},
		{"the median ratio reaches the target", row{goal: ratioAtMost(2, ""), measured: sample{9}, ratio: sample{1, 2, 9}}, "pass"},
		{"the median ratio misses the target", row{goal: ratioAtLeast(0.7, ""), measured: sample{9}, ratio: sample{0.6, 0.69, 0.9}}, "short"},
		{"a target on the figure itself", row{goal: atLeast(1000, ""), measured: sample{1000}}, "pass"},
		{"a limit on the figure itself", row{goal: atMost(30, ""), measured: sample{31}}, "short"},
		{"nothing measured is not a pass", row{goal: atMost(30, "")}, "not measured"},
		{"a ratio that is missing is not a pass", row{goal: ratioAtMost(2, ""), measured: sample{1}}, "short"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.row.verdict(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestThePageNamesWhatFallsShort(t *testing.T) {
	var r report
	r.add("Reads", []row{
		{what: "rate", unit: perSecond, goal: ratioAtLeast(0.7, "at least 70 %"), measured: sample{5}, base: sample{9, 11}, ratio: sample{0.5}},
		{what: "fine", goal: atMost(2, "at most 2"), measured: sample{1}},
	})
	text := r.markdown()
	for _, want := range []string{
		"| rate | at least 70 % | 5/s | 10/s (9/s–11/s) | 0.50 | short |\n",
		"- rate: short; target at least 70 %; measured 5/s, ratio 0.50\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "- fine") {
		t.Errorf("what passes is named too:\n%s", text)
	}
}

func TestOnlyTheMeasuredPartOfAPageIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := writePage(path, "first\n"); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(page, "\nWhy it is so.\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writePage(path, "second\n"); err != nil {
		t.Fatal(err)
	}
	if page, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	text := string(page)
	if strings.Contains(text, "first") || !strings.Contains(text, "second") {
		t.Errorf("the figures were not replaced:\n%s", text)
	}
	if !strings.HasPrefix(text, "# Performance") || !strings.HasSuffix(text, "\nWhy it is so.\n") {
		t.Errorf("the rest was not kept:\n%s", text)
	}
}

func TestAPageWithoutMarkersIsLeftAlone(t *testing.T) {
	for _, page := range []string{"# Mine\n", beginMark, endMark + beginMark} {
		if _, err := replaceMeasured(page, "x"); err == nil {
			t.Errorf("%q was written to", page)
		}
	}
}
