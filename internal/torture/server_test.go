package torture

import (
	"os"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

func build() servertest.Build {
	if *raced {
		return servertest.Raced
	}
	return servertest.Plain
}

// kill ends the process after a while, as a crash does. That it has ended by
// itself is a failure.
func (w *world) kill(p *servertest.Process, after time.Duration) {
	w.t.Helper()
	select {
	case <-p.Exited():
	case <-time.After(after):
	}
	w.killed.Store(true)
	p.Kill()
}

// open unseals the server and makes a client for it.
func (w *world) open(p *servertest.Process) {
	w.t.Helper()
	w.root = p.Open()
	w.killed.Store(false)
}
