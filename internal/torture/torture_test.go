// Package torture proves that nothing is lost: it runs the real program on its
// real store, lets many clients change all that can be changed, kills the process
// with no warning, starts it again, and compares what is there with a model. What
// was acknowledged must stand; what was not must have happened wholly or not at
// all; and the audit must know of all of it.
//
// It is a folder of tests only. What a power cut does to the store is the affair
// of internal/storage/pebble, and what a failing store does to one operation, call
// by call, that of the faults tests in internal/core.
//
// Start reading at [TestNothingIsLost], then world_test.go; each of the other
// files has one kind of client with its part of the model.
package torture

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"text/tabwriter"
	"time"
)

var (
	rounds = flag.Int("torture.rounds", 3, "how often the server is killed")
	seed   = flag.Uint64("torture.seed", 0, "seed of the random choices; 0: a new one")
	raced  = flag.Bool("torture.race", false, "build the server with the race detector")
)

const (
	shortestLoad = 50 * time.Millisecond
	longestLoad  = 1500 * time.Millisecond
	longestDelay = 60 * time.Millisecond // before a kill while the server starts
)

func TestNothingIsLost(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("to repeat the choices (not the timing): -torture.seed=%d -torture.rounds=%d", *seed, *rounds)
	w := newWorld(t)
	for round := 1; round <= *rounds; round++ {
		w.round = round
		w.loadAndKill(between(w.dice, shortestLoad, longestLoad))
		if w.dice.IntN(5) == 0 { // a start that does not get far
			w.kill(w.server.Start(), between(w.dice, 0, longestDelay))
		}
		w.open(w.server.Start())
		w.compare()
		if t.Failed() {
			t.Fatalf("round %d of seed %d; the server's last words:\n%s", round, *seed, w.server.Process().LastWords())
		}
		if *rounds > 20 && round%20 == 0 {
			fmt.Fprintf(os.Stderr, "round %d of %d held\n", round, *rounds)
		}
	}
	w.checkUnmounts(*rounds > patientRounds)
	w.tell()
}

// between returns a duration from low up to high.
func between(dice *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(dice.Int64N(int64(high-low)))
}

// tell prints what was done: a row for each kind of client.
func (w *world) tell() {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(os.Stdout, "seed %d, %d rounds, %d starts: nothing is lost\n", *seed, *rounds, w.server.Starts())
	fmt.Fprintln(table, "clients\tacknowledged\tin flight when killed\tof these done\tof these not\t")
	var all tally
	for _, kind := range w.kinds {
		n := w.tallies[kind]
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t\n", kind, n.acked, n.inFlight, n.done, n.inFlight-n.done)
		all.acked, all.inFlight, all.done = all.acked+n.acked, all.inFlight+n.inFlight, all.done+n.done
	}
	fmt.Fprintf(table, "all\t%d\t%d\t%d\t%d\t\n", all.acked, all.inFlight, all.done, all.inFlight-all.done)
	table.Flush()
	fmt.Fprintf(os.Stdout, "audit: %d lines, %d of them torn by a kill\n", w.audit.lines, w.audit.torn)
}
