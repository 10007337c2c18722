package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cofferhq/coffer/internal/report"
	"github.com/cofferhq/coffer/scan/ignore"
)

func scanBaselineCreateCommand() Command {
	return Command{
		Name: "scan baseline create", Args: "[PATH...]", MaxArgs: -1,
		Short: "Take the secrets that are there for known",
		Long: `
Searches as "coffer scan" does, and writes what it finds to .coffer-baseline, or the
file of -baseline, so that scans tell of new secrets only. The file has a keyed hash
of each secret: it does not matter where one stands, and history may be rewritten.
The key is in the file, so weak passwords can be guessed by whoever has it.

  Begin with a repository that has secrets:
      $ coffer scan baseline create
  With all that its history holds:
      $ coffer scan baseline create -history`,
		New: newScanBaseline(createBaseline),
	}
}

func scanBaselineUpdateCommand() Command {
	return Command{
		Name: "scan baseline update", Args: "[PATH...]", MaxArgs: -1,
		Short: "Take new secrets for known, too",
		Long: `
Searches as "coffer scan" does, and adds what it finds to the baseline. With -prune,
what it did not find is forgotten: search all that the baseline is for, then.

  Add what was found since:
      $ coffer scan baseline update
  Forget what was cleaned up:
      $ coffer scan baseline update -prune`,
		New: newScanBaseline(updateBaseline),
	}
}

// baselineChange makes a baseline of a file and of what was found.
type baselineChange func(file string, found *scanOutcome, prune bool) (*ignore.Baseline, error)

func newScanBaseline(change baselineChange) func(*Flags) Run {
	return func(f *Flags) Run {
		o := declareScan(f)
		o.noBaseline = true
		prune := f.Bool("prune", false, "Forget what is not found any more.")
		return func(ctx context.Context, c *Call) error {
			found, err := o.find(ctx, c)
			if err != nil {
				return scanFailed(err)
			}
			file := cmp.Or(*o.baseline, scanBaselineFile)
			b, err := change(file, found, *prune)
			if err != nil {
				return scanFailed(err)
			}
			err = report.Replace(file, func(to *os.File) error { _, err := b.WriteTo(to); return err })
			if err != nil {
				return scanFailed(err)
			}
			c.Success("%s knows %d secrets.", file, b.Len())
			if len(found.Skipped) > 0 {
				return &failure{code: exitIncomplete, text: fmt.Sprintf("The scan is not complete: %d could not be read.", len(found.Skipped))}
			}
			return nil
		}
	}
}

func createBaseline(file string, found *scanOutcome, prune bool) (*ignore.Baseline, error) {
	if prune {
		return nil, errors.New("-prune goes with update")
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is there already: update it, or remove it first", file)
	}
	b := ignore.NewBaseline()
	for _, f := range found.Findings {
		b.Add(f)
	}
	return b, nil
}

func updateBaseline(file string, found *scanOutcome, prune bool) (*ignore.Baseline, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	b, err := ignore.ParseBaseline(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if prune && len(found.Skipped) > 0 {
		return nil, errors.New("not everything could be read, so nothing is forgotten")
	}
	if prune {
		b.Keep(found.Findings)
	}
	for _, f := range found.Findings {
		b.Add(f)
	}
	return b, nil
}
