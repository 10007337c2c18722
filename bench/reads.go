package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// The connections that load comes over.
const (
	one  = 1
	many = 64
)

// shared is the server of all scenarios that only read.
const shared = "reads"

// besideBare puts a server and a bare handler with the same answer under the same
// load. like is the request whose answer the bare handler repeats.
func (l *lab) besideBare(ctx context.Context, what string, s *server, all script, like *http.Request, connections int) (rounds[load], error) {
	b, err := l.startBare(ctx, what, like)
	if err != nil {
		return rounds[load]{}, err
	}
	defer b.process.stop()
	return l.compare(ctx, what, s.endpoint(), b.endpoint, all, connections)
}

// loadRows are the rows of a load over many connections.
func loadRows(what string, r rounds[load], cpu, rate goal) []row {
	return []row{
		r.row(what+", CPU per request", seconds, cpu, cpuOf),
		r.row(what+", requests per second", perSecond, rate, rateOf),
		r.row(what+", p99", seconds, goal{}, p99Of),
	}
}

// secretReads returns the shared server, the reads of all its secrets as a
// script, and one of them.
func (l *lab) secretReads(ctx context.Context) (*server, script, *http.Request, error) {
	s, err := l.server(ctx, shared)
	if err != nil {
		return nil, script{}, nil, err
	}
	requests, err := s.secretRequests(http.MethodGet, nil)
	if err != nil {
		return nil, script{}, nil, err
	}
	all, err := l.newScript("read", requests)
	return s, all, requests[0], err
}

// read measures KV v2 reads over 64 connections, and over one.
func (l *lab) read(ctx context.Context) ([]row, error) {
	s, all, like, err := l.secretReads(ctx)
	if err != nil {
		return nil, err
	}
	r, err := l.besideBare(ctx, "read", s, all, like, many)
	if err != nil {
		return nil, err
	}
	rows := loadRows("KV v2 read, 64 connections", r,
		ratioAtMost(2, "at most 2 × bare"), ratioAtLeast(0.7, "at least 70 % of bare"))
	r, err = l.besideBare(ctx, "read-one", s, all, like, one)
	if err != nil {
		return rows, err
	}
	return append(rows, r.row("KV v2 read, 1 connection, p50", seconds, ratioAtMost(1.6, "at most 1.6 × bare"), p50Of)), nil
}

// auditedRead measures KV v2 reads of a server that records each in a file.
func (l *lab) auditedRead(ctx context.Context) (rows []row, err error) {
	s, all, like, err := l.secretReads(ctx)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(l.dir, "audit.log")
	device := map[string]any{"type": "file", "options": map[string]string{"file_path": file}}
	if err := s.call(ctx, s.root, http.MethodPut, "sys/audit/bench", device, nil); err != nil {
		return nil, err
	}
	defer func() {
		ctx := context.WithoutCancel(ctx)
		err = errors.Join(err, s.call(ctx, s.root, http.MethodDelete, "sys/audit/bench", nil, nil), os.Remove(file))
	}()
	b, err := l.startBare(ctx, "audit", like)
	if err != nil {
		return nil, err
	}
	defer b.process.stop()
	r, err := l.compareLoads(ctx, "audit",
		func(d time.Duration) (load, error) {
			// Gigabytes that wait to be written back would slow the baseline.
			if err := os.Truncate(file, 0); err != nil {
				return load{}, err
			}
			return l.put(ctx, s.endpoint(), all, many, d)
		},
		func(d time.Duration) (load, error) { return l.put(ctx, b.endpoint, all, many, d) })
	if err != nil {
		return nil, err
	}
	return loadRows("KV v2 read with file audit, 64 connections", r,
		ratioAtMost(3, "at most 3 × bare"), ratioAtLeast(0.55, "at least 55 % of bare")), nil
}

// list measures the list of all secrets.
func (l *lab) list(ctx context.Context) ([]row, error) {
	s, err := l.server(ctx, shared)
	if err != nil {
		return nil, err
	}
	like, err := s.request(s.reader, http.MethodGet, "secret/metadata?list=true", nil)
	if err != nil {
		return nil, err
	}
	all, err := l.newScript("list", []*http.Request{like})
	if err != nil {
		return nil, err
	}
	r, err := l.besideBare(ctx, "list", s, all, like, many)
	if err != nil {
		return nil, err
	}
	return loadRows("List of 10,000 keys, 64 connections", r, goal{}, atLeast(1000, "at least 1,000/s")), nil
}

// health measures sys/health, which nothing is read for.
func (l *lab) health(ctx context.Context) ([]row, error) {
	s, err := l.server(ctx, shared)
	if err != nil {
		return nil, err
	}
	like, err := s.request("", http.MethodGet, "sys/health", nil)
	if err != nil {
		return nil, err
	}
	all, err := l.newScript("health", []*http.Request{like})
	if err != nil {
		return nil, err
	}
	r, err := l.besideBare(ctx, "health", s, all, like, many)
	if err != nil {
		return nil, err
	}
	return loadRows("sys/health, 64 connections", r, goal{}, goal{}), nil
}
