package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

//go:embed load.lua
var loadScript []byte

// load is what a server did in one round.
type load struct {
	requests float64
	rate     float64 // requests a second
	cpu      float64 // seconds of the server's processors for one request
	p50, p99 float64 // latency in seconds
}

// The figures of a load.
func rateOf(l load) float64 { return l.rate }
func cpuOf(l load) float64  { return l.cpu }
func p50Of(l load) float64  { return l.p50 }
func p99Of(l load) float64  { return l.p99 }

// endpoint is a server to put under load.
type endpoint struct {
	address string // host and port
	pid     int
}

// script is a set of requests that a load draws from.
type script struct{ path string }

// newScript writes requests to a file that only this user can read: they hold
// tokens.
func (l *lab) newScript(name string, requests []*http.Request) (script, error) {
	var all bytes.Buffer
	for _, r := range requests {
		if err := writeRaw(&all, r); err != nil {
			return script{}, err
		}
		all.WriteByte('\x1e')
	}
	path := filepath.Join(l.dir, name+".requests")
	return script{path}, os.WriteFile(path, all.Bytes(), 0o600)
}

// writeRaw writes r as it goes over the wire, without the headers that the
// standard library would add.
func writeRaw(w io.Writer, r *http.Request) error {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.URL.RequestURI(), r.URL.Host)
	if err := r.Header.Write(w); err != nil {
		return err
	}
	if len(body) > 0 {
		fmt.Fprintf(w, "Content-Length: %d\r\n", len(body))
	}
	_, err := fmt.Fprintf(w, "\r\n%s", body)
	return err
}

// errNoAnswer says that a round ended before the first answer.
var errNoAnswer = errors.New("no request was answered")

// threads is how many threads wrk uses: with few cores, one beside the server.
func threads(connections int) int {
	if connections == 1 || runtime.NumCPU() < 4 {
		return 1
	}
	return 2
}

// put sends the requests of s to e over a number of connections for a time, and
// measures. An answer that is an error ends it with one.
func (l *lab) put(ctx context.Context, e endpoint, s script, connections int, d time.Duration) (load, error) {
	before, err := cpuTime(e.pid)
	if err != nil {
		return load{}, err
	}
	out, err := l.output(ctx, "wrk", "-t", strconv.Itoa(threads(connections)), "-c", strconv.Itoa(connections),
		"-d", fmt.Sprintf("%.0fs", d.Seconds()), "--timeout", "10s",
		"-s", filepath.Join(l.dir, "load.lua"), "http://"+e.address, "--", s.path)
	if err != nil {
		return load{}, err
	}
	after, err := cpuTime(e.pid)
	if err != nil {
		return load{}, err
	}
	m, err := parseLoad(out)
	if err != nil {
		return load{}, err
	}
	m.cpu = (after - before).Seconds() / m.requests
	return m, nil
}

// output runs a program to its end and returns what it writes.
func (l *lab) output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = ownGroup()
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("run %s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

// parseLoad reads the line that load.lua prints.
func parseLoad(out string) (load, error) {
	for line := range strings.Lines(out) {
		rest, ok := strings.CutPrefix(line, "measured ")
		if !ok {
			continue
		}
		var requests, duration, p50, p99, failed uint64
		if _, err := fmt.Sscan(rest, &requests, &duration, &p50, &p99, &failed); err != nil {
			return load{}, fmt.Errorf("parse %q: %w", strings.TrimSpace(line), err)
		}
		if failed > 0 {
			return load{}, fmt.Errorf("%d of %d requests failed", failed, requests)
		}
		if requests == 0 || duration == 0 {
			return load{}, errNoAnswer
		}
		const micro = 1e-6
		return load{
			requests: float64(requests), rate: float64(requests) / (float64(duration) * micro),
			p50: float64(p50) * micro, p99: float64(p99) * micro,
		}, nil
	}
	return load{}, fmt.Errorf("wrk printed no figures: %s", strings.TrimSpace(out))
}
