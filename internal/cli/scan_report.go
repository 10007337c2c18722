package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/report"
	"github.com/cofferhq/coffer/internal/version"
	"github.com/cofferhq/coffer/scan"
)

// scanOutcome collects what a scan finds, and reports it.
type scanOutcome struct {
	report.Report
	call     *Call
	settings *scanSettings
	seen     map[string]bool // not nil: what was told once is not told again
}

func newScanOutcome(c *Call, settings *scanSettings) *scanOutcome {
	o := &scanOutcome{call: c, settings: settings}
	o.Version, o.Target = version.Coffer, strings.Join(c.Args, " ")
	if settings.config != nil {
		o.Tags = settings.config.Tags
		o.Rules = settings.config.Rules
	}
	return o
}

func (o *scanOutcome) sink() scan.Sink { return scan.Sink{Found: o.found, Skipped: o.skip} }

func (o *scanOutcome) found(f scan.Finding) {
	if o.seen != nil {
		key := fmt.Sprint(f.Path, "\x00", f.RuleID, "\x00", f.Start.Offset, "\x00") + f.Secret.Reveal()
		if o.seen[key] {
			return
		}
		o.seen[key] = true
	}
	if o.settings.drops(f) {
		o.Known++
		return
	}
	f.Line = scan.Secret{} // not shown, and there may be many
	o.Findings = append(o.Findings, f)
}

func (o *scanOutcome) skip(path string, err error) {
	o.Skipped = append(o.Skipped, report.Skipped{Path: path, Err: err})
	o.call.Warn(fmt.Sprintf("Could not read %s: %v", path, err))
}

// finish writes the reports, and returns the exit code as an error.
func (o *scanOutcome) finish(flags *scanFlags) error {
	o.Sort()
	o.Show = *flags.show
	if err := o.write(flags); err != nil {
		return scanFailed(err)
	}
	switch {
	case len(o.Skipped) > 0:
		return silently(exitIncomplete)
	case len(o.Findings) > 0 && *flags.exitCode != 0:
		return silently(*flags.exitCode)
	}
	return nil
}

func (o *scanOutcome) write(flags *scanFlags) error {
	file, format := *flags.report, report.Format(*flags.reportFormat)
	if file != "" && format == "" {
		format = report.FormatOf(file)
	}
	if file == "-" {
		return o.Write(o.call.Stdout, format)
	}
	if file != "" {
		if format == report.HTML {
			o.Time = time.Now()
		}
		if err := o.WriteFile(file, format); err != nil {
			return fmt.Errorf("-report: %w", err)
		}
	}
	if !o.call.table() {
		return o.call.PrintValue(o.Records())
	}
	if err := o.WriteText(o.call.Stdout, o.call.coloursOut()); err != nil {
		return err
	}
	o.call.Warn(o.Summary())
	return nil
}

// coloursOut says whether the standard output takes colours.
func (c *Call) coloursOut() bool {
	return c.StdoutTTY && c.Getenv("NO_COLOR") == "" && c.Getenv("VAULT_CLI_NO_COLOR") == "" && c.Getenv("TERM") != "dumb"
}
