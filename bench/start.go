package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
)

const (
	starts    = 20              // of a process, for its median
	devRest   = 5 * time.Second // before the memory of a -dev server is read
	serveRest = 10 * time.Second
)

// secondsOf makes a figure of a time.
func secondsOf(d time.Duration) float64 { return d.Seconds() }

// binarySize measures the program's file.
func (l *lab) binarySize(context.Context) ([]row, error) {
	info, err := os.Stat(l.coffer)
	if err != nil {
		return nil, err
	}
	return []row{{what: "Binary", unit: bytesOf, goal: atMost(40e6, "under 40 MB"), measured: sample{float64(info.Size())}}}, nil
}

// startDev starts a -dev server and returns how long it took to be healthy.
func (l *lab) startDev(ctx context.Context) (*process, time.Duration, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, 0, err
	}
	p, err := l.start("dev.log", nil, l.coffer, "server", "-dev", "-dev-no-store-token", "-dev-listen-address="+address)
	if err != nil {
		return nil, 0, err
	}
	_, took, err := p.await(ctx, "http://"+address+"/v1/sys/health", http.StatusOK)
	if err != nil {
		return nil, 0, errors.Join(err, p.stop())
	}
	return p, took, nil
}

// startHealth starts a bare handler that says what sys/health of the shared
// server does, and returns how long it took.
func (l *lab) startHealth(ctx context.Context, s *server) (*process, time.Duration, error) {
	like, err := s.request("", http.MethodGet, "sys/health", nil)
	if err != nil {
		return nil, 0, err
	}
	b, err := l.startBare(ctx, "health", like)
	if err != nil {
		return nil, 0, err
	}
	return b.process, b.took, nil
}

// devStart measures the time from exec to the first healthy answer.
func (l *lab) devStart(ctx context.Context) ([]row, error) {
	s, err := l.server(ctx, shared)
	if err != nil {
		return nil, err
	}
	r, err := alternate(ctx, starts, ended(func() (*process, time.Duration, error) { return l.startDev(ctx) }),
		ended(func() (*process, time.Duration, error) { return l.startHealth(ctx, s) }))
	if err != nil {
		return nil, err
	}
	return []row{r.row("-dev, exec to healthy (baseline: bare handler)", seconds, atMost(0.030, "under 30 ms"), secondsOf)}, nil
}

// ended stops the process that start started, and keeps the time.
func ended(start func() (*process, time.Duration, error)) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		p, took, err := start()
		if err != nil {
			return 0, err
		}
		return took, p.stop()
	}
}

// devMemory measures the memory of -dev servers at rest. All rounds rest at the
// same time, which does not disturb them.
func (l *lab) devMemory(ctx context.Context) ([]row, error) {
	s, err := l.server(ctx, shared)
	if err != nil {
		return nil, err
	}
	var dev, bare []*process
	defer func() {
		for _, p := range append(dev, bare...) {
			p.stop()
		}
	}()
	for range l.rounds {
		p, _, err := l.startDev(ctx)
		if err != nil {
			return nil, err
		}
		dev = append(dev, p)
		if p, _, err = l.startHealth(ctx, s); err != nil {
			return nil, err
		}
		bare = append(bare, p)
	}
	if err := pause(ctx, devRest); err != nil {
		return nil, err
	}
	r := row{what: "-dev, resident memory after 5 s (baseline: bare handler)", unit: bytesOf, goal: atMost(30e6, "under 30 MB")}
	for i := range dev {
		n, err1 := resident(dev[i].pid())
		b, err2 := resident(bare[i].pid())
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		r.measured, r.base = append(r.measured, float64(n)), append(r.base, float64(b))
		r.ratio = append(r.ratio, float64(n)/float64(b))
	}
	return []row{r}, nil
}

// serverMemory measures the memory of a server with 10,000 secrets at rest: after
// a restart, and after each secret was read.
func (l *lab) serverMemory(ctx context.Context) ([]row, error) {
	s, err := l.server(ctx, shared)
	if err != nil {
		return nil, err
	}
	if _, err := s.restart(ctx); err != nil {
		return nil, err
	}
	limit := atMost(60e6, "under 60 MB")
	fresh := row{what: "10,000 secrets, resident memory 10 s after a restart", unit: bytesOf, goal: limit}
	used := row{what: "10,000 secrets, resident memory 10 s after all were read", unit: bytesOf, goal: limit}
	if fresh.measured, err = s.memoryAtRest(ctx); err != nil {
		return nil, err
	}
	err = fill(ctx, secretsServed, func(ctx context.Context, i int) error {
		return s.call(ctx, s.reader, http.MethodGet, secretPath(i), nil, nil)
	})
	if err != nil {
		return nil, err
	}
	s.http.CloseIdleConnections()
	used.measured, err = s.memoryAtRest(ctx)
	return []row{fresh, used}, err
}

// memoryAtRest returns the resident memory after ten seconds of nothing.
func (s *server) memoryAtRest(ctx context.Context) (sample, error) {
	if err := pause(ctx, serveRest); err != nil {
		return nil, err
	}
	n, err := resident(s.process.pid())
	return sample{float64(n)}, err
}

// kvGet measures the command that reads one secret, beside a process that makes
// one GET.
func (l *lab) kvGet(ctx context.Context) ([]row, error) {
	s, err := l.server(ctx, shared)
	if err != nil {
		return nil, err
	}
	env := []string{"VAULT_ADDR=http://" + s.address, "VAULT_TOKEN=" + s.reader}
	r, err := alternate(ctx, starts,
		func() (time.Duration, error) {
			return l.timed(env, l.coffer, "kv", "get", "-mount=secret", "app-000001")
		},
		func() (time.Duration, error) { return l.timed(nil, l.self, "get", s.url("sys/health")) })
	if err != nil {
		return nil, err
	}
	return []row{r.row("coffer kv get, as a process (baseline: a Go process with one GET)", seconds, atMost(0.030, "under 30 ms"), secondsOf)}, nil
}

// timed runs a program to its end and returns how long it took.
func (l *lab) timed(env []string, name string, args ...string) (time.Duration, error) {
	p, err := l.start("timed.log", env, name, args...)
	if err != nil {
		return 0, err
	}
	<-p.exited
	took := time.Since(p.began)
	if !p.cmd.ProcessState.Success() {
		return 0, fmt.Errorf("%s %s: %s", name, args[0], p.cmd.ProcessState)
	}
	return took, nil
}
