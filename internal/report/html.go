package report

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cofferhq/coffer/scan/rules"
)

//go:embed report.html
var pageText string

// page is parsed when the first one is written: most runs of the program write none.
var page = sync.OnceValue(func() *template.Template {
	rows := template.FuncMap{"row": func(i int) int { return 26 * i }}
	return template.Must(template.New("report.html").Funcs(rows).Parse(pageText))
})

// pageData is what the page shows. All of it is escaped by package template.
type pageData struct {
	Target, Time, Version, Summary string
	Charts                         []chart
	Findings                       []pageFinding
	Skipped                        []pageSkipped
}

type pageFinding struct {
	Place, RuleID, Description, Secret, Match, Severity, Confidence, Why, Commit, Fingerprint string
}

type pageSkipped struct{ Path, Why string }

// chart is bars that lie on each other.
type chart struct {
	Title  string
	Height int
	Bars   []bar
}

type bar struct {
	Label, Class string
	Count, Width int
}

// maxBars is how many bars a chart has; barWidth is the longest.
const (
	maxBars  = 10
	barWidth = 240
)

// html writes one page that needs nothing else, and runs no scripts.
func (r *Report) html(w io.Writer) error {
	d := pageData{Target: valid(r.Target), Version: r.Version, Summary: r.Summary()}
	if !r.Time.IsZero() {
		d.Time = r.Time.UTC().Format(time.DateTime) + " UTC"
	}
	severities, byRule, byFolder := map[string]int{}, map[string]int{}, map[string]int{}
	for i := range r.Findings {
		f := r.record(&r.Findings[i])
		severities[f.Severity]++
		byRule[f.RuleID]++
		folder, _, inFolder := strings.Cut(f.File, "/")
		if inFolder {
			folder += "/"
		}
		byFolder[folder]++
		d.Findings = append(d.Findings, pageFinding{
			Place: place(&r.Findings[i]), RuleID: f.RuleID, Description: f.Description, Secret: f.Secret, Match: f.Match,
			Severity: f.Severity, Confidence: percent(f.Confidence), Why: strings.Join(f.Reasons, "; "),
			Commit: commitLine(f), Fingerprint: f.Fingerprint,
		})
	}
	for _, s := range r.Skipped {
		d.Skipped = append(d.Skipped, pageSkipped{valid(s.Path), valid(s.Err.Error())})
	}
	if len(r.Findings) > 0 {
		d.Charts = []chart{severityChart(severities), countChart("By rule", byRule), countChart("By folder", byFolder)}
	}
	return page().Execute(w, d)
}

func percent(part float64) string { return fmt.Sprintf("%.0f %%", 100*part) }

func commitLine(f Record) string {
	if f.Commit == "" {
		return ""
	}
	subject, _, _ := strings.Cut(f.Message, "\n")
	return f.Commit[:min(12, len(f.Commit))] + ", " + f.Date + ", " + f.Author + ": " + subject
}

func severityChart(counts map[string]int) chart {
	c := chart{Title: "By severity"}
	for _, s := range []rules.Severity{rules.Critical, rules.High, rules.Medium, rules.Low} {
		c.Bars = append(c.Bars, bar{Label: s.String(), Class: s.String(), Count: counts[s.String()]})
	}
	return c.scaled()
}

func countChart(title string, counts map[string]int) chart {
	c := chart{Title: title}
	for _, name := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	}) {
		if len(c.Bars) == maxBars {
			c.Title += ", the first ten"
			break
		}
		c.Bars = append(c.Bars, bar{Label: short(name), Class: "plain", Count: counts[name]})
	}
	return c.scaled()
}

// short cuts a label to the place that it has.
func short(label string) string {
	if runes := []rune(label); len(runes) > 23 {
		return string(runes[:22]) + "…"
	}
	return label
}

func (c chart) scaled() chart {
	most := 1
	for _, b := range c.Bars {
		most = max(most, b.Count)
	}
	for i := range c.Bars {
		if n := c.Bars[i].Count; n > 0 {
			c.Bars[i].Width = max(2, barWidth*n/most)
		}
	}
	c.Height = 26 * len(c.Bars)
	return c
}
