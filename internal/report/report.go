// Package report writes what a scan found: as text for people, and as JSON, SARIF,
// JUnit, CSV and HTML for programs and for those who get a file by mail. Secrets
// are masked, in all of them, unless [Report.Show] says otherwise.
//
// Start reading at [Report]; a format is a file with one function.
package report

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/scan"
	"github.com/cofferhq/coffer/scan/ignore"
	"github.com/cofferhq/coffer/scan/rules"
)

// Report is the outcome of a scan.
type Report struct {
	Findings []scan.Finding
	Skipped  []Skipped
	Known    int // findings that were left out, as somebody said that they are known

	Rules []rules.Rule        // that were looked for; SARIF tells of those with findings
	Tags  map[string][]string // rule → what its config calls it

	Show    bool      // write secrets whole
	Version string    // of coffer
	Target  string    // what was searched, for people
	Time    time.Time // of the scan; the zero value is left out
}

// Skipped is something that was not searched.
type Skipped struct {
	Path string
	Err  error
}

// Format names a form of report.
type Format string

// The formats.
const (
	Text  Format = "text"
	JSON  Format = "json"
	SARIF Format = "sarif"
	JUnit Format = "junit"
	CSV   Format = "csv"
	HTML  Format = "html"
)

// Formats are all formats.
func Formats() []string {
	return []string{string(Text), string(JSON), string(SARIF), string(JUnit), string(CSV), string(HTML)}
}

// FormatOf is the format that the name of a file asks for, or JSON.
func FormatOf(file string) Format {
	low := strings.ToLower(file)
	for _, f := range []struct {
		suffix string
		format Format
	}{{".txt", Text}, {".sarif", SARIF}, {".sarif.json", SARIF}, {".xml", JUnit}, {".csv", CSV}, {".html", HTML}, {".htm", HTML}} {
		if strings.HasSuffix(low, f.suffix) {
			return f.format
		}
	}
	return JSON
}

// ErrFormat is returned for a format that is none.
var ErrFormat = errors.New("report: no such format")

// Sort puts the findings in the order of their places.
func (r *Report) Sort() {
	slices.SortStableFunc(r.Findings, func(a, b scan.Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Start.Offset, b.Start.Offset), cmp.Compare(a.RuleID, b.RuleID))
	})
}

// Write writes the report. Its errors are w's, and ErrFormat.
func (r *Report) Write(w io.Writer, f Format) error {
	switch f {
	case Text:
		return r.WriteText(w, false)
	case JSON:
		return encode(w, r.Records())
	case SARIF:
		return encode(w, r.sarif())
	case JUnit:
		return r.junit(w)
	case CSV:
		return r.csv(w)
	case HTML:
		return r.html(w)
	}
	return fmt.Errorf("%w: %q", ErrFormat, f)
}

// Summary says in a sentence or two what came out.
func (r *Report) Summary() string {
	text := "No secrets found."
	switch n, skipped := len(r.Findings), len(r.Skipped); {
	case n == 1:
		text = "1 secret found."
	case n > 1:
		text = fmt.Sprintf("%d secrets found.", n)
	case skipped > 0:
		text = "No secrets found in what could be read."
	}
	if r.Known > 0 {
		text += fmt.Sprintf(" Known, and left out: %d.", r.Known)
	}
	if n := len(r.Skipped); n > 0 {
		text += fmt.Sprintf(" The scan is not complete: %d could not be read.", n)
	}
	return text
}

// secret is the secret as it may be written.
func (r *Report) secret(f *scan.Finding) string {
	text := f.Secret.Mask()
	if r.Show {
		text = f.Secret.Reveal()
	}
	return valid(text)
}

// match is what gave the secret away, with the secret as it may be written.
func (r *Report) match(f *scan.Finding) string {
	match, secret := f.Match.Reveal(), f.Secret.Reveal()
	switch {
	case r.Show:
	case secret != "" && strings.Contains(match, secret):
		match = strings.ReplaceAll(match, secret, f.Secret.Mask())
	default: // encoded, or cut
		match = f.Secret.Mask()
	}
	return valid(match)
}

// valid replaces what no encoder of text takes.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// place is where a finding is, in one word.
func place(f *scan.Finding) string {
	return valid(fmt.Sprintf("%s:%d:%d", f.Path, f.Start.Line, f.Start.Column))
}

// endColumn is the column of the secret's last byte.
func endColumn(f *scan.Finding) int {
	if f.End.Line == f.Start.Line {
		return max(f.Start.Column, f.End.Column-1)
	}
	return max(1, f.End.Column-1)
}

func fingerprint(f *scan.Finding) string { return valid(ignore.Fingerprint(*f)) }
