package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/cofferhq/coffer/internal/report"
	"github.com/cofferhq/coffer/scan"
	"github.com/cofferhq/coffer/scan/source"
)

// Exit codes of a scan, which differ from those of other commands: hooks and CI
// jobs branch on findings.
const (
	exitFindings   = 1
	exitIncomplete = 2 // an error, or something could not be read
)

func scanCommand() Command {
	return Command{
		Name: "scan", Args: "[PATH...]", MaxArgs: -1, Flags: FormatFlag, WrongCall: exitIncomplete,
		Short: "Find secrets in files and in git's history",
		Long: `
Without flags, searches the files and folders at PATH, or the working folder; "-" is
the standard input. Archives are opened, and base 64, hexadecimal, percent-encoded
and UTF-16 text is decoded. Files that git ignores are searched, too: they are on
the disk, and in the next backup.

With -staged, -since or -history, PATH is the repository: what the next commit would
add, what the commits since a revision (or of a range A..B) brought, or everything
that any ref ever had, merges included. A finding of a history is told once, for
the commit that brought it.

A line with the words coffer:allow (or gitleaks:allow) may hold a secret. At the root
of what is searched, .gitleaks.toml may hold rules and exceptions, .cofferignore and
.gitleaksignore the places of findings that are known, .coffer-baseline their hashes
("coffer scan baseline create"). Where a change must not silence its own check, take
them from the base branch with -config-from, and let no comment allow: -no-allow.

Secrets are masked, unless -show is given. The exit code is 0 if there is none, 1 if
there are some, 2 if something went wrong or could not be read: what was not
searched is not clean.

  Search the working folder:
      $ coffer scan
  Before a commit, and for a merge request:
      $ coffer scan -staged
      $ coffer scan -since=origin/main
  Search all of a repository's history:
      $ coffer scan -history ~/src/app
  Search what another program prints:
      $ kubectl logs deploy/app | coffer scan -
  For programs, with the fields of gitleaks' reports:
      $ coffer scan -format=json >findings.json
  For a code host, and for people:
      $ coffer scan -report=findings.sarif
      $ coffer scan -report=findings.html
  Check a merge request with the settings of the branch it is for:
      $ coffer scan -since=origin/main -config-from=origin/main -no-allow
  Search each commit:
      $ coffer scan install-hook`,
		New: newScan,
	}
}

// scanFlags are the flags of the commands that search.
type scanFlags struct {
	history, reflog, dangling, fresh *bool
	since, confidence                *string
	config, configFrom, baseline     *string
	noAllow                          *bool

	noBaseline bool // the command is about one

	// Those of "scan" alone.
	staged, prePush, show *bool
	report, reportFormat  *string
	exitCode              *int
}

// declareScan declares the flags that say what is searched, and for what.
func declareScan(f *Flags) *scanFlags {
	return &scanFlags{
		since:      f.String("since", "", "Search what the commits since this revision brought, or those of a range A..B."),
		history:    f.Bool("history", false, "Search all that any ref ever had."),
		reflog:     f.Bool("reflog", false, "With -history: what refs have pointed to, too, and older stashes."),
		dangling:   f.Bool("dangling", false, "With -history: what nothing points to, too."),
		fresh:      f.Bool("no-cache", false, "With -history: do not trust what an earlier scan found to be clean."),
		confidence: f.String("confidence", fmt.Sprint(scan.DefaultThreshold), "Report findings from this confidence on, 0 to 1."),
		config:     f.String("config", "", "File with rules and exceptions, as gitleaks has it. Default: .gitleaks.toml, if there is one."),
		configFrom: f.String("config-from", "", "Take config, ignore files and baseline from this revision, not from the disk."),
		baseline:   f.String("baseline", "", "File of secrets that are known. Default: .coffer-baseline, if there is one."),
		noAllow:    f.Bool("no-allow", false, "Report what a comment allows, too."),
		staged:     new(bool), prePush: new(bool),
	}
}

func newScan(f *Flags) Run {
	o := declareScan(f)
	o.staged = f.Bool("staged", false, "Search what the next commit would add.")
	o.prePush = f.Bool("pre-push", false, "Search what is about to be pushed, of which git tells a hook on its standard input.")
	o.show = f.Bool("show", false, "Print secrets whole.")
	o.report = f.String("report", "", `Write a report to this file; "-" is the standard output.`)
	o.reportFormat = f.Choice("report-format", "", append([]string{""}, report.Formats()...), "Format of the report. Default: what the file's name says, or JSON.")
	o.exitCode = f.Int("exit-code", exitFindings, "Exit code if there are secrets, 0 to 125.")
	return o.run
}

func (o *scanFlags) run(ctx context.Context, c *Call) error {
	switch {
	case *o.exitCode < 0 || *o.exitCode > 125:
		return scanFailed(errors.New("-exit-code: want a number from 0 to 125"))
	case *o.reportFormat != "" && *o.report == "":
		return scanFailed(errors.New("-report-format goes with -report"))
	}
	found, err := o.find(ctx, c)
	if err != nil {
		return scanFailed(err)
	}
	return found.finish(o)
}

// find searches, and returns what came out.
func (o *scanFlags) find(ctx context.Context, c *Call) (*scanOutcome, error) {
	if err := o.check(c); err != nil {
		return nil, err
	}
	threshold, err := parseConfidence(*o.confidence)
	if err != nil {
		return nil, err
	}
	settings, err := o.settings(ctx, c)
	if err != nil {
		return nil, err
	}
	s, err := scan.New(scan.Options{Rules: settings.rules(), Threshold: threshold, IgnoreAllow: *o.noAllow})
	if err != nil {
		return nil, err
	}
	found := newScanOutcome(c, settings)
	return found, o.search(ctx, c, s, found)
}

func scanFailed(err error) error {
	return &failure{code: exitIncomplete, text: err.Error()}
}

// parseConfidence reads a number from 0 to 1; for the scanner, 0 is less than
// nothing.
func parseConfidence(text string) (float64, error) {
	var v float64
	if n, err := fmt.Sscanf(text, "%g", &v); n != 1 || err != nil || v < 0 || v > 1 {
		return 0, fmt.Errorf("-confidence: want a number from 0 to 1")
	}
	return cmp.Or(v, -1), nil
}

// check says whether the flags go together.
func (o *scanFlags) check(c *Call) error {
	modes := 0
	for _, set := range []bool{*o.staged, *o.prePush, *o.history, *o.since != ""} {
		if set {
			modes++
		}
	}
	switch {
	case modes > 1:
		return errors.New("-staged, -pre-push, -since and -history exclude each other")
	case modes > 0 && len(c.Args) > 1:
		return fmt.Errorf("want one repository, got %d arguments", len(c.Args))
	case (*o.reflog || *o.dangling) && !*o.history:
		return errors.New("-reflog and -dangling go with -history")
	}
	return nil
}

func (o *scanFlags) search(ctx context.Context, c *Call, s *scan.Scanner, found *scanOutcome) error {
	dir, sink := o.dir(c), found.sink()
	switch {
	case *o.staged:
		return source.Staged(ctx, s, dir, sink)
	case *o.prePush:
		found.seen = map[string]bool{}
		return o.pushed(ctx, c, s, dir, sink)
	case *o.since != "":
		return source.Since(ctx, s, dir, *o.since, source.Depth{}, sink)
	case *o.history:
		d := source.Depth{Reflog: *o.reflog, Dangling: *o.dangling, Cache: o.cache(c, s, dir)}
		return source.History(ctx, s, dir, d, sink)
	case slices.Equal(c.Args, []string{"-"}):
		return s.Scan(ctx, scan.Input{Path: "stdin", R: c.Stdin}, sink)
	case len(c.Args) == 0:
		return source.Files(ctx, s, []string{"."}, sink)
	}
	return source.Files(ctx, s, c.Args, sink)
}

// cache is what earlier scans know to be clean. Without it a scan takes longer,
// and finds the same.
func (o *scanFlags) cache(c *Call, s *scan.Scanner, dir string) *source.Cache {
	folder := c.Getenv("XDG_CACHE_HOME")
	if home := c.Getenv("HOME"); folder == "" && home != "" {
		folder = filepath.Join(home, ".cache")
	}
	if *o.fresh || folder == "" {
		return nil
	}
	cache, err := source.OpenCache(filepath.Join(folder, "coffer", "scan"), dir, s.Fingerprint())
	if err != nil {
		c.Warn("No cache: " + err.Error())
		return nil
	}
	return cache
}
