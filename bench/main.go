// Command bench measures coffer against baselines, in the same run on the same
// machine, and writes what it found as a page of the documentation. Every figure
// is the median of several short rounds; before and after each round comes one
// of the baseline, because a machine's speed drifts and only ratios last.
//
// It needs Linux, for /proc and fdatasync, and wrk. It is a module of its own and
// knows coffer only from outside: a binary that is started and an HTTP API.
//
// Start reading at scenarios, the table of what is measured, then alternate.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	coffer string        // path of the program to measure
	out    string        // page to write; empty: the terminal only
	only   string        // names of scenarios, separated by commas; empty: all that apply
	dir    string        // folder on the disk to measure
	rounds int           // of each measurement
	round  time.Duration // length of one under load, whole seconds
	large  bool          // run the scenarios that fill 100,000 entries
	huge   bool          // and those that fill 1,000,000
	scale  float64       // part of the entries that those fill
}

func main() {
	if len(os.Args) > 1 {
		if help := helpers[os.Args[1]]; help != nil {
			exit(help(os.Args[2:]))
		}
	}
	// The first signal ends the run in order, a second one at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	exit(run(ctx, os.Args[1:], os.Stdout))
}

// exit ends the program, with an error on the terminal if there is one.
func exit(err error) {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "bench: interrupted; no page is written")
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	os.Exit(1)
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.coffer, "coffer", "../bin/coffer", "`path` of the program to measure")
	f.StringVar(&o.out, "out", "", "`page` to write the figures to, between its markers; default: the terminal only")
	f.StringVar(&o.only, "only", "", "run these scenarios only, `names` separated by commas")
	f.StringVar(&o.dir, "dir", "/var/tmp", "`folder` on the disk to measure")
	f.IntVar(&o.rounds, "rounds", 5, "rounds of each measurement")
	f.DurationVar(&o.round, "round", 2*time.Second, "length of a round under load, in whole seconds")
	f.BoolVar(&o.large, "large", false, "also measure with 100,000 secrets and 100,000 tokens")
	f.BoolVar(&o.huge, "huge", false, "also measure with 1,000,000 token leases; takes a quarter of an hour")
	f.Float64Var(&o.scale, "scale", 1, "`part` of the entries that -large and -huge fill, to try them out")
	f.Usage = func() { usage(f) }
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.only != "" && o.out != "":
		return o, errors.New("-only and -out do not go together: the page would lose the other figures")
	case o.rounds < 1:
		return o, errors.New("-rounds must be at least 1")
	case o.round < time.Second || o.round%time.Second != 0:
		return o, errors.New("-round must be whole seconds")
	case o.scale <= 0 || o.scale > 1:
		return o, errors.New("-scale must be above 0 and at most 1")
	}
	return o, nil
}

func usage(f *flag.FlagSet) {
	fmt.Fprintln(f.Output(), "usage: bench [flags]\n\nflags:")
	f.PrintDefaults()
	fmt.Fprintln(f.Output(), "\nscenarios:")
	for _, s := range scenarios {
		fmt.Fprintf(f.Output(), "  %-8s %s%s\n", s.name, s.help, s.needs.remark())
	}
}

// run measures what args ask for, and writes the page.
func run(ctx context.Context, args []string, terminal io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	chosen, err := choose(o)
	if err != nil {
		return err
	}
	l, err := newLab(o, terminal)
	if err != nil {
		return err
	}
	r := report{machine: describeMachine(ctx, o)}
	err = l.runAll(ctx, chosen, &r)
	if err := errors.Join(err, l.close()); err != nil {
		return err
	}
	r.machine.loadAfter = loadAverage()
	fmt.Fprintf(terminal, "\n%s", r.markdown())
	if o.out != "" {
		err = writePage(o.out, r.markdown())
	}
	return errors.Join(err, r.failures())
}

// runAll runs the scenarios one after another. One that fails does not keep the
// others from running; only the end of ctx does.
func (l *lab) runAll(ctx context.Context, chosen []scenario, r *report) error {
	for i, s := range chosen {
		fmt.Fprintf(l.terminal, "[%d/%d] %s: %s\n", i+1, len(chosen), s.name, s.help)
		began := time.Now()
		rows, err := s.run(l, ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", s.name, err)
			fmt.Fprintln(l.terminal, "     failed:", err)
			r.failed = append(r.failed, err)
		}
		for _, row := range rows {
			fmt.Fprintf(l.terminal, "     %s\n", strings.Join(row.cells(), " | "))
		}
		fmt.Fprintf(l.terminal, "     (%.0f s)\n", time.Since(began).Seconds())
		r.add(s.area, rows)
	}
	return nil
}
