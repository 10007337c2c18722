package report

import (
	"encoding/json"
	"io"
	"time"

	"github.com/cofferhq/coffer/scan"
)

// Record is a finding in a JSON report. The first names are those of gitleaks'
// reports, for the programs that read these; the others are ours.
type Record struct {
	RuleID, Description                        string
	StartLine, EndLine, StartColumn, EndColumn int
	Match, Secret, File, SymlinkFile, Commit   string
	Entropy                                    float64
	Author, Email, Date, Message               string
	Tags                                       []string
	Fingerprint                                string

	Confidence float64
	Severity   string
	Reasons    []string
	Decoded    []string `json:",omitempty"`
	Checked    bool     `json:",omitempty"`
}

// Records are the findings of a JSON report.
func (r *Report) Records() []Record {
	out := make([]Record, 0, len(r.Findings))
	for i := range r.Findings {
		out = append(out, r.record(&r.Findings[i]))
	}
	return out
}

func (r *Report) record(f *scan.Finding) Record {
	out := Record{
		RuleID: f.RuleID, Description: f.Description,
		StartLine: f.Start.Line, EndLine: f.End.Line, StartColumn: f.Start.Column, EndColumn: endColumn(f),
		Match: r.match(f), Secret: r.secret(f), File: valid(f.Path),
		Entropy: f.Entropy, Tags: append([]string{}, r.Tags[f.RuleID]...), Fingerprint: fingerprint(f),
		Confidence: f.Confidence, Severity: f.Severity.String(), Reasons: f.Reasons, Decoded: f.Decoded, Checked: f.Checked,
	}
	if c := f.Commit; c != nil {
		out.Commit, out.Author, out.Email, out.Message = c.ID, valid(c.Author), valid(c.Email), valid(c.Message)
		out.Date = c.Time.Format(time.RFC3339)
	}
	return out
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
