package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// csv writes the columns of gitleaks' reports, and then ours.
func (r *Report) csv(to io.Writer) error {
	w := csv.NewWriter(to)
	w.Write([]string{
		"RuleID", "Commit", "File", "SymlinkFile", "Secret", "Match", "StartLine", "EndLine", "StartColumn", "EndColumn",
		"Author", "Message", "Date", "Email", "Fingerprint", "Tags", "Description", "Confidence", "Severity", "Reasons",
	})
	for i := range r.Findings {
		f := r.record(&r.Findings[i])
		row := []string{
			f.RuleID, f.Commit, f.File, f.SymlinkFile, f.Secret, f.Match,
			strconv.Itoa(f.StartLine), strconv.Itoa(f.EndLine), strconv.Itoa(f.StartColumn), strconv.Itoa(f.EndColumn),
			f.Author, f.Message, f.Date, f.Email, f.Fingerprint, strings.Join(f.Tags, " "), f.Description,
			fmt.Sprintf("%.2f", f.Confidence), f.Severity, strings.Join(f.Reasons, "; "),
		}
		for i := range row {
			row[i] = inert(row[i])
		}
		w.Write(row)
	}
	w.Flush()
	return w.Error()
}

// inert is a cell that no spreadsheet takes for a formula, wherever it looks for
// one: at the beginning of the cell or, if it splits by another separator, of a part.
func inert(cell string) string {
	cell = strings.ReplaceAll(cell, "\x00", "\uFFFD")
	for _, start := range []string{"=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"} {
		if strings.HasPrefix(strings.TrimLeft(cell, " \"'"), start) {
			return "'" + cell
		}
	}
	return cell
}
