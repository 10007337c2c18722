package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cofferhq/coffer/scan"
	"github.com/cofferhq/coffer/scan/rules"
)

// style is a colour of terminals.
type style string

const (
	plain  style = ""
	bold   style = "\x1b[1m"
	dim    style = "\x1b[2m"
	red    style = "\x1b[31m"
	yellow style = "\x1b[33m"
	cyan   style = "\x1b[36m"
)

// WriteText writes two or three lines a finding, in colours if asked. What is
// foreign in them cannot do anything to a terminal.
func (r *Report) WriteText(to io.Writer, colours bool) error {
	w := bufio.NewWriter(to)
	paint := func(s style, text string) string {
		if !colours || s == plain {
			return text
		}
		return string(s) + text + "\x1b[0m"
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		fmt.Fprintf(w, "%s: %s: %s", paint(bold, oneLine(place(f))), f.Description, paint(severityStyle(f.Severity), oneLine(r.secret(f))))
		if f.Name != "" {
			fmt.Fprintf(w, " (%s)", oneLine(f.Name))
		}
		fmt.Fprintf(w, "\n    %s\n", paint(dim, about(f)))
		if c := f.Commit; c != nil {
			subject, _, _ := strings.Cut(c.Message, "\n")
			fmt.Fprintf(w, "    commit %s, %s, %s <%s>: %s\n", c.ID[:min(12, len(c.ID))], c.Time.Format(time.DateOnly), oneLine(c.Author), oneLine(c.Email), oneLine(subject))
		}
	}
	return w.Flush()
}

// about says which rule told, how sure it is and why.
func about(f *scan.Finding) string {
	text := fmt.Sprintf("%s, confidence %.2f: %s", f.RuleID, f.Confidence, oneLine(strings.Join(f.Reasons, "; ")))
	if len(f.Decoded) > 0 {
		text += "; decoded: " + strings.Join(f.Decoded, ", ")
	}
	return text
}

func severityStyle(s rules.Severity) style {
	switch s {
	case rules.High, rules.Critical:
		return red
	case rules.Low:
		return cyan
	}
	return yellow
}

// oneLine takes from foreign text what terminals obey, and what makes it read other
// than it is written.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < 0x20, r >= 0x7f && r < 0xa0:
			return ' '
		case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x2028, r == 0x2029: // directions, line ends
			return ' '
		}
		return r
	}, text)
}
