package soak

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/cofferhq/coffer/client"
)

// An attack asks for more than a server has. It returns when ctx ends, or before.
type attack struct {
	name string
	last time.Duration
	run  func(ctx context.Context, t *testing.T, h *house)
}

const attackTime = 1500 * time.Millisecond

// mostGoroutines is how many the server may have, whatever is asked of it: a few
// for each connection of an attack.
const mostGoroutines = 4*attackers + 1000

// mostSeries is by how many the metrics page may grow in an attack: combinations
// of operation, kind of mount and status that there were none of before, with
// their buckets.
const mostSeries = 300

var attacks = []attack{
	{"3,000 clients that write a byte of their header a second", slowHeaderTime, slowHeaders},
	{"3,000 clients that ask for 10,000 names and do not read", attackTime, slowReaders},
	{"headers that are too many and too long", attackTime, longHeaders},
	{"bodies of more than 32 MiB", attackTime, hugeBodies},
	{"many bodies of almost 32 MiB at once", attackTime, largeBodies},
	{"JSON that is nested 100,000 deep", attackTime, deepJSON},
	{"JSON of 1,000,000 keys", attackTime, wideJSON},
	{"logins with wrong secrets", attackTime, wrongLogins},
	{"paths and methods that nobody knows", attackTime, unknownPaths},
	{"pipelined requests whose answers nobody reads", attackTime, pipelined},
	{"HTTP/2 streams that are reset at once", attackTime, rapidReset},
	{"HTTP/2 headers without an end", attackTime, endlessHeaders},
	{"HTTP/2 streams whose answers nobody reads", attackTime, stalledStreams},
}

// Whatever is asked of the server, others are served, memory stays bounded, and
// afterwards all is as it was.
func TestOthersAreServedInOverload(t *testing.T) {
	h := open(t, ownBuild, t.TempDir())
	h.furnishForAttacks(t)
	o := newOrdinary(t, h)
	o.use(t.Context()) // its connections are there from the start
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "MiB\tgoroutines\tdescriptors\tserved\tslowest\t  while there were")
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) { h.endure(t, a, o, table) })
	}
	table.Flush()
	if err := h.Process().Stop(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	h.noRace(t)
}

// endure runs a while an ordinary client is served and the server is looked at.
func (h *house) endure(t *testing.T, a attack, o *ordinary, table *tabwriter.Writer) {
	base, err := h.look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), a.last)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { a.run(ctx, t, h); cancel() })
	o.served, o.slowest = 0, 0
	all.Go(func() { until(ctx, func() { o.use(t.Context()) }) })
	peak := h.watch(ctx, t)
	all.Wait()

	fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%v\t  %s\n",
		memoryOf(peak)>>20, peak.goroutines, peak.fds, o.served, o.slowest.Round(time.Millisecond), a.name)
	switch {
	case memoryOf(peak) > mostMemory:
		t.Errorf("the server took %d MiB, %d is the bound", memoryOf(peak)>>20, mostMemory>>20)
	case peak.goroutines > mostGoroutines:
		t.Errorf("the server had %d goroutines, %d is the bound", peak.goroutines, mostGoroutines)
	case peak.series > base.series+mostSeries:
		t.Errorf("the metrics page grew from %d series to %d", base.series, peak.series)
	}
	h.returnsTo(t, base)
}

// watch looks at the server until ctx ends and returns the most of everything.
func (h *house) watch(ctx context.Context, t *testing.T) (peak usage) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		u, err := h.look(t.Context())
		if err != nil {
			t.Errorf("looking at the server: %v", err)
			return peak
		}
		peak.rss, peak.own = max(peak.rss, u.rss), max(peak.own, u.own)
		peak.goroutines = max(peak.goroutines, u.goroutines)
		peak.fds, peak.series = max(peak.fds, u.fds), max(peak.series, u.series)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return peak
		}
	}
}

// ordinary is somebody who does nothing unusual, on both listeners, and whose
// requests must all succeed.
type ordinary struct {
	t       *testing.T
	clients []*client.Client
	n       int
	served  int
	slowest time.Duration
}

func newOrdinary(t *testing.T, h *house) *ordinary {
	t.Helper()
	o := &ordinary{t: t}
	for _, address := range []string{"http://" + h.plain, "https://" + h.secure} {
		c, err := client.New(client.Config{
			Address: address, Token: h.RootToken, MaxRetries: client.NoRetries, Timeout: patience,
			CACertFile: filepath.Join(h.Dir, "tls", "ca.pem"),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.HTTP().CloseIdleConnections)
		o.clients = append(o.clients, c)
	}
	return o
}

// use writes and reads a secret on each listener.
func (o *ordinary) use(ctx context.Context) {
	for _, c := range o.clients {
		o.n++
		path, value := fmt.Sprintf("secret/data/ordinary-%d", o.n%10), fmt.Sprint(o.n)
		o.do(ctx, c, client.Request{Method: http.MethodPut, Path: path, Body: map[string]any{"data": map[string]any{"v": value}}})
		o.do(ctx, c, client.Request{Path: path})
		o.do(ctx, c, client.Request{Path: "sys/health"})
	}
}

func (o *ordinary) do(ctx context.Context, c *client.Client, r client.Request) {
	start := time.Now()
	a, err := c.Raw(ctx, r)
	o.served, o.slowest = o.served+1, max(o.slowest, time.Since(start))
	switch {
	case err != nil:
		o.t.Errorf("an ordinary request fails: %v", err)
	case a.Status != http.StatusOK:
		o.t.Errorf("an ordinary request fails: %s %s: %d %s", r.Method, r.Path, a.Status, a.Body)
	}
}

const (
	attackers  = 3000
	names      = 10_000
	nameBytes  = 32
	plainMount = "plain"
)

// furnishForAttacks makes what is asked for in attacks.
func (h *house) furnishForAttacks(t *testing.T) {
	t.Helper()
	h.write(t, "sys/audit/file", map[string]any{"type": "file", "options": map[string]any{"file_path": filepath.Join(h.Dir, "audit.log")}})
	h.write(t, "sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	h.write(t, "sys/mounts/"+plainMount, map[string]any{"type": "kv", "options": map[string]any{"version": "1"}})
	h.write(t, "sys/auth/userpass", map[string]any{"type": "userpass"})
	h.write(t, "sys/auth/approle", map[string]any{"type": "approle"})
	h.write(t, "auth/userpass/users/somebody", map[string]any{"password": "correct horse"})
	h.write(t, "auth/approle/role/somebody", map[string]any{"token_ttl": "10m"})
	var next atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for n := next.Add(1); n <= names && !t.Failed(); n = next.Add(1) {
				path := fmt.Sprintf("%s/names/%0*d", plainMount, nameBytes, n)
				if _, err := h.root.Write(t.Context(), path, map[string]any{"v": n}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	h.root.HTTP().CloseIdleConnections()
}
