package canary_test

import (
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/cofferhq/coffer/internal/canary"
	"github.com/cofferhq/coffer/internal/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

// door is a way by which a secret gets to coffer.
type door struct {
	name string
	// plant takes the secret through. It may have more secrets looked for, which
	// the server made.
	plant func(w *world, secret string)
	// madeByServer: there is no other secret than what plant has looked for.
	madeByServer bool
	// shows is where the secret may be seen, and why.
	shows shows
	// unproven: what may be seen need not be. The door is one of many alike.
	unproven bool
}

type shows map[place]string

// What comes through any door leaves coffer in the answer to who may have it, and
// is seen at no other place, but for what the doors list and why.
func TestSecretsLeakNowhere(t *testing.T) {
	w := newWorld(t)
	w.prepare()
	for _, doors := range [][]*door{
		firstDoors, kvDoors, brokenDoors, headerDoors, loginDoors, tokenDoors, wrappingDoors, keyDoors, limitDoors, wireDoors,
	} {
		for _, d := range doors {
			w.use(d)
		}
	}
	w.sweep()
	for _, doors := range [][]*door{commandDoors, runDoors, parseDoors} {
		for _, d := range doors {
			w.use(d)
		}
	}
	w.lookAtPages()
	w.lookAtProcesses()
	w.noCoreDumps()
	w.lookAtFiles() // while the log of the store is there, which packs nothing
	w.lifeDoors()
	w.lookAtFiles()
	w.lookAtAudit()
	w.lookAtRows()
	w.report()
}

// lifeDoors plants what depends on the server's life, which they end.
func (w *world) lifeDoors() {
	for _, d := range sealDoors {
		w.use(d)
	}
	w.use(shutdownDoor)
	w.lookAtLog()
	w.start()
	w.use(dumpDoor)
	w.lookAtLog()
}

// report fails the test for each secret that is where it must not be.
func (w *world) report() {
	s := canary.NewSearcher(w.secrets...)
	found := map[place]map[string][]string{} // secret → where it was seen
	for _, p := range places {
		found[p] = map[string][]string{}
	}
	bytes := map[place]int{}
	for _, at := range w.seen {
		bytes[at.place] += len(at.content)
		for _, h := range s.Search(at.content) {
			found[at.place][h.Secret] = append(found[at.place][h.Secret], at.in+": "+h.String())
		}
	}
	for _, p := range places {
		w.t.Run(string(p), func(t *testing.T) {
			if bytes[p] == 0 {
				t.Error("nobody has looked there")
			}
			t.Logf("%d bytes searched for %d secrets", bytes[p], len(w.secrets))
			for _, secret := range w.secrets {
				where := found[p][secret.Name]
				if len(where) > 0 && w.doors[secret.Name].shows[p] == "" {
					t.Errorf("the %s is there (%d times): %s", secret.Name, len(where), where[0])
				}
			}
		})
	}
	w.t.Run("what may be seen is", func(t *testing.T) {
		for _, d := range w.used {
			for p := range d.shows {
				if !d.unproven && !slices.ContainsFunc(w.secrets, func(s canary.Secret) bool { return w.doors[s.Name] == d && found[p][s.Name] != nil }) {
					t.Errorf("%s: it is not among the %s, so that need not be allowed", d.name, p)
				}
			}
		}
	})
}

// stopped ends the server as an operator does.
func (w *world) stopped() {
	w.t.Helper()
	w.process.Signal(syscall.SIGTERM)
}
