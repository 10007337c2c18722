package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// lab is where a run takes place: its folder, and the servers that several
// scenarios share. It is used by one goroutine.
type lab struct {
	options
	terminal io.Writer
	self     string // path of this program
	dir      string // of this run alone; removed at its end

	servers map[string]*server // by name; shared, running or stopped
}

// newLab makes the folder of a run. Close it.
func newLab(o options, terminal io.Writer) (*lab, error) {
	for _, program := range []string{"wrk", o.coffer} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%w (make bench builds and installs what is needed)", err)
		}
	}
	coffer, err := filepath.Abs(o.coffer)
	if err != nil {
		return nil, err
	}
	o.coffer = coffer
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.dir, "coffer-bench-")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "load.lua"), loadScript, 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &lab{options: o, terminal: terminal, self: self, dir: dir, servers: map[string]*server{}}, nil
}

// close stops all servers and removes the folder.
func (l *lab) close() error {
	var all []error
	for _, s := range l.servers {
		all = append(all, s.stop())
	}
	return errors.Join(append(all, os.RemoveAll(l.dir))...)
}

// note tells what is going on.
func (l *lab) note(format string, args ...any) {
	fmt.Fprintf(l.terminal, "     "+format+"\n", args...)
}

// compare puts two endpoints under the same load in turn, after a short round of
// each that does not count.
func (l *lab) compare(ctx context.Context, what string, subject, base endpoint, s script, connections int) (rounds[load], error) {
	return l.compareLoads(ctx, what,
		func(d time.Duration) (load, error) { return l.put(ctx, subject, s, connections, d) },
		func(d time.Duration) (load, error) { return l.put(ctx, base, s, connections, d) })
}

// compareLoads is compare for loads of any kind.
func (l *lab) compareLoads(ctx context.Context, what string, subject, base func(time.Duration) (load, error)) (rounds[load], error) {
	for _, warm := range []func(time.Duration) (load, error){subject, base} {
		// What is slow when cold may need longer than this round for its first answer.
		if _, err := warm(time.Second); err != nil && !errors.Is(err, errNoAnswer) {
			return rounds[load]{}, fmt.Errorf("%s: %w", what, err)
		}
	}
	done := 0
	r, err := alternate(ctx, l.rounds,
		func() (load, error) {
			m, err := subject(l.round)
			done++
			if err == nil {
				l.note("%s %d/%d: %s, p50 %s, p99 %s", what, done, l.rounds, perSecond.write(m.rate), seconds.write(m.p50), seconds.write(m.p99))
			}
			return m, err
		},
		func() (load, error) { return base(l.round) })
	if err != nil {
		return r, fmt.Errorf("%s: %w", what, err)
	}
	return r, nil
}

// pause waits, or returns the error of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
