package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// written is the server of all scenarios that write.
const written = "writes"

// write measures KV v2 writes over random paths of 10,000.
func (l *lab) write(ctx context.Context) ([]row, error) {
	s, err := l.server(ctx, written)
	if err != nil {
		return nil, err
	}
	requests, err := s.secretRequests(http.MethodPost, secretBody())
	if err != nil {
		return nil, err
	}
	all, err := l.newScript("write", requests)
	if err != nil {
		return nil, err
	}
	return l.durable(ctx, "KV v2 write", s, all)
}

// login measures AppRole logins that give a service token.
func (l *lab) login(ctx context.Context) ([]row, error) {
	s, err := l.server(ctx, written)
	if err != nil {
		return nil, err
	}
	all, err := l.newLogins(ctx, s, "service")
	if err != nil {
		return nil, err
	}
	return l.durable(ctx, "AppRole login, service token", s, all)
}

// newLogins makes a role whose tokens are of a type, and returns its login.
func (l *lab) newLogins(ctx context.Context, s *server, tokenType string) (script, error) {
	var methods struct {
		Data map[string]any `json:"data"`
	}
	if err := s.call(ctx, s.root, http.MethodGet, "sys/auth", nil, &methods); err != nil {
		return script{}, err
	}
	if methods.Data["approle/"] == nil {
		if err := s.call(ctx, s.root, http.MethodPost, "sys/auth/approle", map[string]string{"type": "approle"}, nil); err != nil {
			return script{}, err
		}
	}
	var id, secret struct {
		Data struct {
			Role   string `json:"role_id"`
			Secret string `json:"secret_id"`
		} `json:"data"`
	}
	path := "auth/approle/role/" + tokenType
	role := map[string]any{"token_policies": "bench", "token_type": tokenType, "token_ttl": "1h"}
	err := s.call(ctx, s.root, http.MethodPost, path, role, nil)
	if err == nil {
		err = s.call(ctx, s.root, http.MethodGet, path+"/role-id", nil, &id)
	}
	if err == nil {
		err = s.call(ctx, s.root, http.MethodPost, path+"/secret-id", nil, &secret)
	}
	if err != nil {
		return script{}, err
	}
	credentials := map[string]string{"role_id": id.Data.Role, "secret_id": secret.Data.Secret}
	login, err := s.request("", http.MethodPost, "auth/approle/login", credentials)
	if err != nil {
		return script{}, err
	}
	return l.newScript("login-"+tokenType, []*http.Request{login})
}

// durable measures requests that each end with a commit on the disk, beside a raw
// loop of append and sync in the same folder.
func (l *lab) durable(ctx context.Context, what string, s *server, all script) ([]row, error) {
	raw := func(d time.Duration) (load, error) { return l.appendAndSync(ctx, d) }
	under := func(connections int) (rounds[load], error) {
		return l.compareLoads(ctx, fmt.Sprintf("%s, %d", what, connections),
			func(d time.Duration) (load, error) { return l.put(ctx, s.endpoint(), all, connections, d) }, raw)
	}
	r, err := under(one)
	if err != nil {
		return nil, err
	}
	rows := []row{p50AboveSync(what+", 1 connection, p50", r)}
	perWrite, err := l.syncRow(ctx, what+", 1 connection, syncs per request", s, all, one,
		atMost(1.05, "one sync per request"), func(requests, syncs float64) float64 { return syncs / requests })
	rows = append(rows, perWrite)
	if err != nil {
		return rows, err
	}
	if r, err = under(many); err != nil {
		return rows, err
	}
	cpu := column(r.subject, cpuOf) // of a loop of system calls there is none to compare with
	rows = append(rows,
		r.row(what+", 64 connections, requests per second", perSecond, goal{}, rateOf),
		row{what: what + ", 64 connections, CPU per request", unit: seconds, measured: cpu},
		r.row(what+", 64 connections, p99", seconds, goal{}, p99Of))
	perSync, err := l.syncRow(ctx, what+", 64 connections, requests per sync", s, all, many,
		atLeast(20, "at least 20"), func(requests, syncs float64) float64 { return requests / syncs })
	return append(rows, perSync), err
}

// overhead is what a request may take beside its sync.
const overhead = 0.3e-3

// p50AboveSync is the row of a latency whose goal is 1.3 times that of the raw
// sync and overhead on top: the ratio is of what is left without the overhead.
func p50AboveSync(what string, r rounds[load]) row {
	p := r.row(what, seconds, ratioAtMost(1.3, "at most 1.3 × raw sync + 0.3 ms"), p50Of)
	p.ratio = column(r.subject, func(m load) float64 { return m.p50 - overhead }).over(p.base)
	p.note = "ratio without the 0.3 ms"
	return p
}

// syncRow counts the syncs of a load, apart from the rounds that are timed.
func (l *lab) syncRow(
	ctx context.Context, what string, s *server, all script, connections int, g goal,
	figure func(requests, syncs float64) float64,
) (row, error) {
	counted := row{what: what, unit: plain, goal: g}
	for range min(l.rounds, 3) {
		var m load
		n, err := l.countSyncs(ctx, s.process.pid(), func() (err error) {
			m, err = l.put(ctx, s.endpoint(), all, connections, time.Second)
			return err
		})
		if errors.Is(err, errNoCounter) {
			counted.note = errNoCounter.Error()
			return counted, nil
		}
		if err != nil {
			return counted, err
		}
		counted.measured = append(counted.measured, figure(m.requests, n))
	}
	return counted, nil
}

// batchLogin measures AppRole logins that give a batch token, beside reads of the
// same server.
func (l *lab) batchLogin(ctx context.Context) ([]row, error) {
	s, err := l.server(ctx, written)
	if err != nil {
		return nil, err
	}
	logins, err := l.newLogins(ctx, s, "batch")
	if err != nil {
		return nil, err
	}
	requests, err := s.secretRequests(http.MethodGet, nil)
	if err != nil {
		return nil, err
	}
	reads, err := l.newScript("batch-read", requests)
	if err != nil {
		return nil, err
	}
	const what = "AppRole login, batch token, 64 connections"
	r, err := l.compareLoads(ctx, what,
		func(d time.Duration) (load, error) { return l.put(ctx, s.endpoint(), logins, many, d) },
		func(d time.Duration) (load, error) { return l.put(ctx, s.endpoint(), reads, many, d) })
	if err != nil {
		return nil, err
	}
	rows := loadRows(what+" (baseline: KV v2 read)", r, goal{}, ratioAtLeast(0.5, "at least half of the read rate"))
	syncs, err := l.syncRow(ctx, what+", syncs per request", s, logins, many,
		atMost(0.001, "no write"), func(requests, syncs float64) float64 { return syncs / requests })
	return append(rows, syncs), err
}
