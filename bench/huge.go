package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	hugeLeases = 1_000_000
	expiring   = hugeLeases / 10 // more, within stormTime
	stormTime  = time.Minute
	stormLead  = 20 * time.Second // between the last of those tokens and the first expiry
	stormTail  = 15 * time.Second // after the last expiry, for what is late
)

// huge measures a server with a million token leases: its restart and memory
// beside a server with none, and reads while 100,000 more expire within a minute.
func (l *lab) huge(ctx context.Context) (rows []row, err error) {
	empty, err := l.server(ctx, "unleased")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, empty.retire()) }()
	s, err := l.server(ctx, "huge")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.retire()) }()
	lasting, short := l.scaled(hugeLeases), l.scaled(expiring)
	began := time.Now()
	if err := s.fillTokens(ctx, lasting, func(int) int { return dayTTL }); err != nil {
		return nil, err
	}
	each := time.Since(began) / time.Duration(lasting)
	rows, err = l.restartRows(ctx, fmt.Sprintf("%d leases", lasting), s, empty,
		atMost(2, "under 2 s"), ratioAtMost(1.25, "flat: at most 1.25 × empty"))
	if err != nil {
		return rows, err
	}
	storm, err := l.storm(ctx, s, short, each)
	return append(rows, storm...), err
}

// storm makes tokens that expire within a minute, and measures reads before,
// during and after that minute. each is the time that it takes to make a token.
func (l *lab) storm(ctx context.Context, s *server, n int, each time.Duration) ([]row, error) {
	requests, err := s.secretRequests(http.MethodGet, nil)
	if err != nil {
		return nil, err
	}
	all, err := l.newScript("storm", requests)
	if err != nil {
		return nil, err
	}
	read := func() (load, error) { return l.put(ctx, s.endpoint(), all, many, l.round) }
	quiet, err := several(ctx, l.rounds, read)
	if err != nil {
		return nil, err
	}
	begins, err := l.arm(ctx, s, n, each)
	if err != nil {
		return nil, err
	}
	before, err := s.countTokens(ctx)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, time.Until(begins)); err != nil {
		return nil, err
	}
	l.note("huge: %d leases expire from now on", n)
	during, err := several(ctx, int(stormTime/l.round), read)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, time.Until(begins.Add(stormTime+stormTail))); err != nil {
		return nil, err
	}
	after, err := s.countTokens(ctx)
	if err != nil {
		return nil, err
	}
	again, err := several(ctx, l.rounds, read)
	if err != nil {
		return nil, err
	}
	return stormRows(n, before-after, append(quiet, again...), during), nil
}

// arm makes tokens that expire one after another within a minute, and returns
// when that begins.
func (l *lab) arm(ctx context.Context, s *server, n int, each time.Duration) (time.Time, error) {
	begins := time.Now().Add(time.Duration(n)*each*3/2 + stormLead)
	err := s.fillTokens(ctx, n, func(i int) int {
		at := begins.Add(stormTime * time.Duration(i) / time.Duration(n))
		return max(1, int(time.Until(at).Seconds()))
	})
	if err == nil && time.Now().After(begins) {
		err = errors.New("the tokens took too long to make: the machine is too busy")
	}
	return begins, err
}

// stormRows compares the loads of a storm to those of the quiet around it.
func stormRows(leases, expired int, quiet, during []load) []row {
	what := fmt.Sprintf("KV v2 read while %d leases expire in one minute", leases)
	var rows []row
	for _, figure := range []struct {
		name string
		unit unit
		goal goal
		of   func(load) float64
	}{
		{", p99", seconds, ratioAtMost(1.5, "at most 1.5 × quiet"), p99Of},
		{", requests per second", perSecond, goal{}, rateOf},
	} {
		r := row{
			what: what + figure.name + " (baseline: before and after)", unit: figure.unit, goal: figure.goal,
			measured: column(during, figure.of), base: column(quiet, figure.of),
		}
		for _, v := range r.measured {
			r.ratio = append(r.ratio, v/r.base.median())
		}
		rows = append(rows, r)
	}
	return append(rows, row{
		what: fmt.Sprintf("Part of those leases that were gone %.0f s after the minute", stormTail.Seconds()), unit: plain,
		goal: atLeast(1, "all"), measured: sample{float64(expired) / float64(leases)},
	})
}

// several measures n times.
func several(ctx context.Context, n int, measure func() (load, error)) ([]load, error) {
	var all []load
	for range n {
		m, err := measure()
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// countTokens returns how many tokens there are.
func (s *server) countTokens(ctx context.Context) (int, error) {
	var list struct {
		Data struct {
			Keys []string `json:"keys"`
		} `json:"data"`
	}
	err := s.call(ctx, s.root, http.MethodGet, "auth/token/accessors?list=true", nil, &list)
	return len(list.Data.Keys), err
}
