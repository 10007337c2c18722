package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The measured part of a page lies between these lines; the rest is written by
// people, and kept.
const (
	beginMark = "<!-- measured: make bench writes this part -->"
	endMark   = "<!-- end of what is measured -->"
)

// introduction is a page that is not there yet.
const introduction = `# Performance

What coffer costs, beside baselines of the same run: a bare net/http handler that returns the same bytes, and a raw
loop of append and fdatasync in the same folder. Absolute figures belong to one machine and one hour; the ratios last.

` + beginMark + "\n" + endMark + "\n"

// table is one area of the page.
type table struct {
	area string
	rows []row
}

// report is what a run found.
type report struct {
	machine machine
	tables  []table
	failed  []error // of scenarios
}

// add appends rows to the table of an area.
func (r *report) add(area string, rows []row) {
	for i := range r.tables {
		if r.tables[i].area == area {
			r.tables[i].rows = append(r.tables[i].rows, rows...)
			return
		}
	}
	r.tables = append(r.tables, table{area, rows})
}

// failures returns the errors of the scenarios that did not run to their end.
func (r *report) failures() error {
	return errors.Join(r.failed...)
}

// markdown returns the measured part of the page.
func (r *report) markdown() string {
	var b strings.Builder
	b.WriteString(r.machine.markdown())
	for _, t := range r.tables {
		fmt.Fprintf(&b, "\n## %s\n\n", t.area)
		writeLine(&b, columns)
		writeLine(&b, strings.Split(strings.Repeat("---,", len(columns)-1)+"---", ","))
		for _, row := range t.rows {
			writeLine(&b, row.cells())
		}
	}
	r.writeShort(&b)
	b.WriteString(howToRepeat)
	return b.String()
}

func writeLine(b *strings.Builder, cells []string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

// writeShort lists what misses its target or could not be measured.
func (r *report) writeShort(b *strings.Builder) {
	b.WriteString("\n## What falls short\n\n")
	some := false
	for _, t := range r.tables {
		for _, row := range t.rows {
			if v := row.verdict(); v == "short" || v == "not measured" {
				some = true
				cells := row.cells()
				fmt.Fprintf(b, "- %s: %s; target %s; measured %s, ratio %s\n", cells[0], v, cells[1], cells[2], cells[4])
			}
		}
	}
	for _, err := range r.failed {
		some = true
		fmt.Fprintf(b, "- %v: not measured\n", err)
	}
	if !some {
		b.WriteString("Nothing of what was measured.\n")
	}
}

const howToRepeat = `
## How to repeat

    make bench                             # all but the next two; some six minutes
    make bench BENCH=-large                # also 100,000 secrets and 100,000 tokens
    make bench BENCH='-large -huge'        # also 1,000,000 token leases
    cd bench && go run . -only read,audit -rounds 9

Each figure is the median of the rounds (lowest–highest). Before the first round, between two, and after the last comes
a round of the baseline; a ratio is that of a round to the mean of the two baselines around it. Load comes from wrk on
the same machine, over keep-alive connections and plain HTTP, by paths drawn at random. CPU per request is utime + stime
of the server's /proc/PID/stat over a round, divided by the requests that wrk counted. The reads are made with a service
token that one policy allows them, not with the root token.
`

// writePage puts the measured part into the page at path, or begins one. The page
// is replaced whole or not at all.
func writePage(path, measured string) error {
	page, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		page, err = []byte(introduction), nil
	}
	if err != nil {
		return err
	}
	text, err := replaceMeasured(string(page), measured)
	if err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".performance-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it has its new name
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// replaceMeasured returns page with another measured part.
func replaceMeasured(page, measured string) (string, error) {
	before, rest, begun := strings.Cut(page, beginMark)
	_, after, ended := strings.Cut(rest, endMark)
	if !begun || !ended {
		return "", fmt.Errorf("the page lacks the lines %q and %q", beginMark, endMark)
	}
	return before + beginMark + "\n\n" + strings.TrimSpace(measured) + "\n\n" + endMark + after, nil
}
