package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	largeEntries = 100_000
	dayTTL       = 24 * 60 * 60 // seconds
	afterReady   = 5 * time.Second
)

// scaled returns the part of n that -scale asks for, at least one.
func (l *lab) scaled(n int) int { return max(1, int(float64(n)*l.scale)) }

// large measures a server with 100,000 secrets and as many tokens: the disk that
// one takes, and a restart beside one of an empty server.
func (l *lab) large(ctx context.Context) (rows []row, err error) {
	empty, err := l.newServer(ctx, "empty")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, empty.retire()) }()
	s, err := l.newServer(ctx, "large")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.retire()) }()
	n := l.scaled(largeEntries)
	secrets, err := s.diskOfEach(ctx, n, func() error { return s.fillSecrets(ctx, n) })
	if err != nil {
		return nil, err
	}
	tokens, err := s.diskOfEach(ctx, n, func() error { return s.fillTokens(ctx, n, func(int) int { return dayTTL }) })
	if err != nil {
		return nil, err
	}
	limit := atMost(400, "under 400 B")
	rows = []row{
		{what: fmt.Sprintf("Disk for each of %d secrets", n), unit: bytesOf, goal: limit, measured: secrets},
		{what: fmt.Sprintf("Disk for each of %d tokens", n), unit: bytesOf, goal: limit, measured: tokens},
	}
	restarts, err := l.restartRows(ctx, fmt.Sprintf("%d secrets and %d tokens", n, n), s, empty,
		atMost(0.5, "under 0.5 s"), goal{})
	return append(rows, restarts...), err
}

// diskOfEach returns by how much the folder grows with each of n entries that add
// makes. It restarts the server before it looks, so that nothing waits in a log
// of fixed size.
func (s *server) diskOfEach(ctx context.Context, n int, add func() error) (sample, error) {
	before, err := s.diskAfterRestart(ctx)
	if err != nil {
		return nil, err
	}
	if err := add(); err != nil {
		return nil, err
	}
	after, err := s.diskAfterRestart(ctx)
	return sample{float64(after-before) / float64(n)}, err
}

func (s *server) diskAfterRestart(ctx context.Context) (int64, error) {
	if _, err := s.restart(ctx); err != nil {
		return 0, err
	}
	return usageAtRest(ctx, s.data)
}

// comeback is what a restart costs.
type comeback struct {
	ready  float64 // seconds from exec until healthy
	cpu    float64 // seconds of processors in the time after
	memory float64 // resident bytes at the end of that
}

// comeBack restarts s and looks at it for a while.
func (s *server) comeBack(ctx context.Context) (comeback, error) {
	ready, err := s.restart(ctx)
	if err != nil {
		return comeback{}, err
	}
	before, err := cpuTime(s.process.pid())
	if err != nil {
		return comeback{}, err
	}
	if err := pause(ctx, afterReady); err != nil {
		return comeback{}, err
	}
	after, err := cpuTime(s.process.pid())
	if err != nil {
		return comeback{}, err
	}
	memory, err := resident(s.process.pid())
	return comeback{ready.Seconds(), (after - before).Seconds(), float64(memory)}, err
}

// restartRows measures restarts of full beside those of empty.
func (l *lab) restartRows(ctx context.Context, with string, full, empty *server, ready, memory goal) ([]row, error) {
	l.note("restarting with %s", with)
	r, err := alternate(ctx, l.rounds,
		func() (comeback, error) { return full.comeBack(ctx) },
		func() (comeback, error) { return empty.comeBack(ctx) })
	if err != nil {
		return nil, err
	}
	return []row{
		r.row("Restart with "+with+", exec to ready (baseline: empty)", seconds, ready, func(c comeback) float64 { return c.ready }),
		cpuAfterRestart(r),
		r.row("Resident memory 5 s after that (baseline: empty)", bytesOf, memory, func(c comeback) float64 { return c.memory }),
	}, nil
}

// cpuAfterRestart shows whether something goes on behind a server that is ready.
// It has no ratio: an empty server's time is below what the clock can tell.
func cpuAfterRestart(r rounds[comeback]) row {
	cpu := func(c comeback) float64 { return c.cpu }
	return row{
		what: "CPU in the 5 s after that (baseline: empty)", unit: seconds,
		goal:     atMost(0.25, "no restore pass: under 0.25 s"),
		measured: column(r.subject, cpu), base: column(r.base, cpu),
	}
}
