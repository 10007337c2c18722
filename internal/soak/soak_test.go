// Package soak proves two things of the real program that take time to see. Used
// for long, it takes no more than at the beginning, and what was made for a while
// goes away without a trace: memory, goroutines, descriptors, rows of the store.
// Asked for more than it has, by slow, greedy and hostile clients, it serves others
// meanwhile and is as before afterwards.
//
// It is a folder of tests only. Start reading at [TestNothingGrows], and, for
// overload, at [TestOthersAreServedInOverload].
package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/cofferhq/coffer/internal/servertest"
)

var (
	soakTime = flag.Duration("soak.time", 8*time.Second, "how long the server is used")
	raced    = flag.Bool("soak.race", true, "build the server with the race detector")
)

const (
	users      = 16
	deedsASec  = 250
	samples    = 90
	longestTTL = 6 * time.Second // of what is made for a while
)

// A server is used for a while by many, for all that it is for.
func TestNothingGrows(t *testing.T) {
	build := servertest.Plain
	if *raced {
		build = servertest.Raced
	}
	u := newUse(t, open(t, build, folder(t)))
	for _, d := range deeds { // what the first use brings for good is there from the start
		d.do(u.newUser(0))
	}
	u.settle()
	before := u.restartAndCount()
	base := u.look()

	taken := u.load()
	u.settle()
	end := u.look()
	u.tell(base, taken, end)
	checkGrowth(t, taken)
	u.house.returnsTo(t, base.usage)
	after := u.stopAndCount()
	compareRows(t, before, after)
	u.checkAudit()
}

// folder is where the server lives. It is kept if the test fails.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "coffer-soak-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log, audit and metrics are kept in %s", dir)
			return
		}
		os.RemoveAll(dir)
	})
	return dir
}

// sample is the server at one moment of the load.
type sample struct {
	usage
	tokens int
}

// load has all users do what they do, and looks at the server meanwhile.
func (u *use) load() (taken []sample) {
	ctx, cancel := context.WithTimeout(u.t.Context(), *soakTime)
	defer cancel()
	pace := time.NewTicker(time.Second / deedsASec)
	defer pace.Stop()
	var all sync.WaitGroup
	for n := range users {
		one := u.newUser(n)
		all.Go(func() {
			for {
				select {
				case <-pace.C:
					one.doSomething()
				case <-ctx.Done():
					return
				}
			}
		})
	}
	tick := time.NewTicker(*soakTime / samples)
	defer tick.Stop()
	for ctx.Err() == nil && !u.t.Failed() {
		select {
		case <-tick.C:
			taken = append(taken, u.look())
		case <-ctx.Done():
		}
	}
	cancel()
	all.Wait()
	return taken
}

// look looks at the server. What it sees is kept beside the server's log.
func (u *use) look() sample {
	u.t.Helper()
	seen, err := u.house.look(u.t.Context())
	if err != nil {
		u.t.Fatalf("looking at the server: %v\n%s", err, u.house.Process().LastWords())
	}
	s := sample{seen, len(u.tokens())}
	line := []byte(time.Now().Format(time.TimeOnly))
	for _, l := range levels {
		line = fmt.Appendf(line, ", %s %d", l.name, l.of(s))
	}
	f, err := os.OpenFile(join(u.house.Dir, "samples.log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		u.t.Fatal(err)
	}
	return s
}

// settle removes what was written, and waits for the rest to go by itself.
func (u *use) settle() {
	u.t.Helper()
	u.clear()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	limit := time.After(longestTTL + 2*returnTime)
	for left := u.tokens(); len(left) > 1; left = u.tokens() { // there is the root token
		select {
		case <-tick.C:
		case <-limit:
			u.t.Errorf("after all that was made has expired, %d tokens are left", len(left))
			return
		}
	}
	// What has expired is not listed any more, and its rows go when the due queue,
	// which looks every half second, comes to them: that can be seen only in time.
	<-time.After(dueTime)
	u.house.root.HTTP().CloseIdleConnections()
}

const dueTime = 3 * time.Second

// The growth that is none: what a level may rise by, as a part of it and as an
// amount, from the second third of the time to the last.
const growthPart = 0.15

var growthAmount = sample{usage{rss: 24 << 20, own: 16 << 20, heap: 8 << 20, threads: 8, fds: 20, goroutines: 40, series: 40}, 60}

// warmTime is how long the server's caches, and the race detector's memory, may
// take to fill. Within it the amounts are larger.
const warmTime = 5 * time.Minute

const warming = 8 // times as large

func checkGrowth(t *testing.T, taken []sample) {
	t.Helper()
	third := len(taken) / 3
	if third == 0 {
		t.Error("the server was not looked at often enough")
		return
	}
	amounts := int64(1)
	if *soakTime < warmTime {
		amounts = warming
	}
	second, last := taken[third:2*third], taken[2*third:]
	for _, l := range levels {
		was, is := median(second, l.of), median(last, l.of)
		if most := was + int64(growthPart*float64(was)) + amounts*l.of(growthAmount); is > most {
			t.Errorf("%s grew from %d to %d", l.name, was, is)
		}
	}
}

// levels are what must not grow.
var levels = []struct {
	name string
	of   func(sample) int64
}{
	{"memory (KiB)", func(s sample) int64 { return s.rss >> 10 }},
	{"of it Go's own (KiB)", func(s sample) int64 { return s.own >> 10 }},
	{"heap in use (KiB)", func(s sample) int64 { return s.heap >> 10 }},
	{"threads", func(s sample) int64 { return int64(s.threads) }},
	{"descriptors", func(s sample) int64 { return int64(s.fds) }},
	{"goroutines", func(s sample) int64 { return int64(s.goroutines) }},
	{"series of metrics", func(s sample) int64 { return int64(s.series) }},
	{"tokens", func(s sample) int64 { return int64(s.tokens) }},
}

func median(of []sample, level func(sample) int64) int64 {
	var all []int64
	for _, s := range of {
		all = append(all, level(s))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// tell prints what was done and what it took.
func (u *use) tell(base sample, taken []sample, end sample) {
	u.t.Helper()
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(os.Stdout, "%v, %d users\n", *soakTime, users)
	fmt.Fprintln(table, "\tbefore\tfirst third\tsecond\tlast\tafterwards\t")
	third := max(1, len(taken)/3)
	for _, l := range levels {
		fmt.Fprintf(table, "%s\t%d\t", l.name, l.of(base))
		for part := range slices.Chunk(taken[:min(len(taken), 3*third)], third) {
			fmt.Fprintf(table, "%d\t", median(part, l.of))
		}
		fmt.Fprintf(table, "%d\t\n", l.of(end))
	}
	fmt.Fprintln(table, "\t\t\t\t\t\t\ndeed\tdone\t\t\t\t\t")
	for i, d := range deeds {
		fmt.Fprintf(table, "%s\t%d\t\t\t\t\t\n", d.name, u.done[i].Load())
	}
	table.Flush()
	fmt.Fprintf(os.Stdout, "%d requests answered, %d broken off\n", u.answered.Load(), u.brokenOff.Load())
}

func join(dir, name string) string { return filepath.Join(dir, name) }
