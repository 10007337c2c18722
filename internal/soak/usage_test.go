package soak

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// usage is what the server takes at one moment.
type usage struct {
	rss        int64 // bytes
	own        int64 // bytes that Go's runtime has of the system, without the race detector's
	heap       int64 // bytes that are in use, by the collector's last count
	threads    int
	fds        int
	goroutines int
	series     int // of the metrics page
}

// look reads what /proc knows of the process, and the rest from the door, a
// listener that serves metrics without a token.
func (h *house) look(ctx context.Context) (usage, error) {
	u, err := h.metrics(ctx)
	if err != nil {
		return u, err
	}
	return u, u.ofProcess(h.Process().PID())
}

func (u *usage) ofProcess(pid int) error {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	f, err := os.Open(filepath.Join(dir, "status"))
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
		switch name {
		case "VmRSS":
			u.rss = int64(n) << 10
		case "Threads":
			u.threads = n
		}
	}
	open, err := os.ReadDir(filepath.Join(dir, "fd"))
	u.fds = len(open)
	return err
}

// metrics reads the metrics page. The connection is closed afterwards, so that
// looking takes nothing for long.
func (h *house) metrics(ctx context.Context) (u usage, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.door+"/v1/sys/metrics?format=prometheus", nil)
	if err != nil {
		return u, err
	}
	r.Close = true
	resp, err := h.doorClient.Do(r)
	if err != nil {
		return u, err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return u, fmt.Errorf("metrics: status %d, %v", resp.StatusCode, err)
	}
	if err := os.WriteFile(filepath.Join(h.Dir, "metrics.txt"), page, 0o600); err != nil {
		return u, err
	}
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		u.series++
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, _ := strconv.ParseFloat(value, 64)
		switch name {
		case "go_goroutines":
			u.goroutines = int(n)
		case "go_memstats_next_gc_bytes": // the collector lets it grow to the double
			u.heap = int64(n) / 2
		case "go_memstats_sys_bytes":
			u.own += int64(n)
		case "go_memstats_heap_released_bytes":
			u.own -= int64(n)
		}
	}
	return u, nil
}

// lookEvery is how often the server is looked at while it is waited for.
const lookEvery = 50 * time.Millisecond

// returnTime is within which what was taken must be given back.
const returnTime = 45 * time.Second

// slack is how much more than at the start may be there in the end, as the runtime
// and the store have some that come and go.
var slack = usage{goroutines: 3, fds: 3}

// returnsTo fails the test if the server keeps goroutines or descriptors that it
// did not have before.
func (h *house) returnsTo(t *testing.T, base usage) {
	t.Helper()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	limit := time.After(returnTime)
	for {
		u, err := h.look(t.Context())
		if err == nil && u.goroutines <= base.goroutines+slack.goroutines && u.fds <= base.fds+slack.fds {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Errorf("afterwards the server has %d goroutines and %d descriptors, before it had %d and %d (%v)",
				u.goroutines, u.fds, base.goroutines, base.fds, err)
			return
		}
	}
}
