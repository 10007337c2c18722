package torture

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/servertest"
)

// world is the server and all who use it.
type world struct {
	t     *testing.T
	dice  *rand.Rand
	round int

	server *servertest.Server
	root   *client.Client // of the process of now
	killed atomic.Bool    // the process is being killed: answers may be lost

	actors  []*worker
	kinds   []string // in the order of the table
	tallies map[string]*tally
	audit   audit
	census  census
	leaving []leaving // unmounts that a kill has cut short
}

// An actor is a client and its part of the model. Its methods are not called
// concurrently.
type actor interface {
	// act does something. It returns errUnknown if the answer was lost; what it
	// was after is then in flight.
	act(w *worker) error
	// check compares, after a restart, the model with what is there, and settles
	// what was in flight.
	check(w *worker) error
}

// worker is an actor with what it needs.
type worker struct {
	*world
	actor
	name string
	kind string
	dice *rand.Rand
	n    int // counts what is to be unique
}

// tally counts what one kind of actor did.
type tally struct{ acked, inFlight, done int }

// errUnknown says that an answer was lost.
var errUnknown = errors.New("the outcome is unknown")

// errRefused says that the server has refused a request: it has not been done.
var errRefused = errors.New("refused")

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, dice: rand.New(rand.NewPCG(*seed, 0)), server: servertest.New(t, servertest.Config{Build: build()}),
		tallies: map[string]*tally{},
	}
	w.audit.path = filepath.Join(w.server.Dir, "audit.log")
	w.open(w.server.Start())
	w.furnish()
	return w
}

const auditPath = "sys/audit/file"

// policyText is what tokens of these tests may do.
const policyText = `
path "auth/token/create"      { capabilities = ["create", "update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self"  { capabilities = ["update"] }
path "` + plainMount + `shared" { capabilities = ["read"] }`

// ownPolicy is the name of that policy.
const ownPolicy = "own"

// furnish prepares the server and makes the actors.
func (w *world) furnish() {
	w.t.Helper()
	w.must(auditPath, map[string]any{"type": "file", "options": map[string]any{"file_path": w.audit.path}})
	w.must("sys/mounts/"+versionedMount, map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	w.must("sys/mounts/"+plainMount, map[string]any{"type": "kv", "options": map[string]any{"version": "1"}})
	w.must("sys/auth/approle", map[string]any{"type": "approle"})
	w.must("sys/policies/acl/"+ownPolicy, map[string]any{"policy": policyText})
	w.must(plainMount+"shared", map[string]any{"v": "shared"})
	race := &contest{acked: map[int]string{}, inFlight: map[string]bool{}}
	w.must(versionedMount+"metadata/contest", map[string]any{"max_versions": contestVersions})
	w.add("versioned", 4, func(*worker) actor { return newVersioned() })
	w.add("plain", 2, func(*worker) actor { return &plain{} })
	w.add("contest", 3, func(*worker) actor { return &contestant{race} })
	w.add("policies", 2, newPolicies)
	w.add("mounts", 2, func(*worker) actor { return &mounts{} })
	w.add("tokens", 4, func(*worker) actor { return &tokens{} })
	w.add("logins", 3, newLogins)
	w.add("wraps", 2, func(*worker) actor { return &wraps{} })
}

func (w *world) must(path string, body map[string]any) *api.Secret {
	w.t.Helper()
	s, err := w.root.Write(w.t.Context(), path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) add(kind string, n int, actorOf func(*worker) actor) {
	w.kinds, w.tallies[kind] = append(w.kinds, kind), &tally{}
	for i := range n {
		of := &worker{
			world: w, kind: kind, name: fmt.Sprintf("%s-%d", kind, i),
			dice: rand.New(rand.NewPCG(*seed, uint64(len(w.actors)+1))),
		}
		of.actor = actorOf(of)
		w.actors = append(w.actors, of)
	}
}

// unique returns a text that no other call has returned.
func (w *worker) unique() string {
	w.n++
	return fmt.Sprintf("%s-%d", w.name, w.n)
}

// loadAndKill lets all act at once for a while, then kills the server.
func (w *world) loadAndKill(after time.Duration) {
	w.t.Helper()
	var wg sync.WaitGroup
	for _, a := range w.actors {
		wg.Go(a.work)
	}
	w.kill(w.server.Process(), after)
	wg.Wait()
	w.audit.check(w.t)
}

// work acts until the server is gone.
func (w *worker) work() {
	for !w.killed.Load() {
		err := w.act(w)
		switch {
		case err == nil:
		case errors.Is(err, errUnknown) && w.killed.Load():
			return
		default:
			w.t.Errorf("round %d, %s: %v", w.round, w.name, err)
			return
		}
	}
}

// compare compares everything with the model.
func (w *world) compare() {
	w.t.Helper()
	w.takeCensus()
	for _, a := range w.actors {
		if err := a.check(a); err != nil {
			w.t.Errorf("round %d, %s: %v", w.round, a.name, err)
		}
	}
	w.closeCensus()
	w.checkUnmounts(hasty)
}

// send makes a request that changes something, and has the audit expect it.
func (w *worker) send(c *client.Client, r client.Request) (*api.Secret, error) {
	w.audit.attempt(r)
	s, err := c.Do(w.t.Context(), r)
	if err == nil {
		w.audit.acknowledge(r, s)
		w.count(func(n *tally) { n.acked++ })
		return s, nil
	}
	if status := client.StatusOf(err); status >= 400 && status < 500 {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	if !w.killed.Load() {
		return nil, err
	}
	return nil, errUnknown
}

func (w *worker) write(path string, body map[string]any) (*api.Secret, error) {
	return w.writeAs(w.root, path, body)
}

func (w *worker) writeAs(c *client.Client, path string, body map[string]any) (*api.Secret, error) {
	return w.send(c, client.Request{Method: http.MethodPut, Path: path, Body: body})
}

func (w *worker) delete(path string) (*api.Secret, error) {
	return w.send(w.root, client.Request{Method: http.MethodDelete, Path: path})
}

// ask reads. It returns nil if there is nothing.
func (w *worker) ask(c *client.Client, path string) (*api.Secret, error) {
	s, err := c.Read(w.t.Context(), path)
	return s, w.lost(err)
}

// list lists the names at path.
func (w *world) list(path string) ([]string, error) {
	s, err := w.root.List(w.t.Context(), path)
	if err != nil || s == nil {
		return nil, err
	}
	var names []string
	keys, _ := s.Data["keys"].([]any)
	for _, k := range keys {
		names = append(names, fmt.Sprint(k))
	}
	return names, nil
}

// lost tells an answer that a kill may have swallowed from a failure.
func (w *world) lost(err error) error {
	if err != nil && client.StatusOf(err) == 0 && w.killed.Load() {
		return errUnknown
	}
	return err
}

// counting guards the tallies.
var counting sync.Mutex

func (w *worker) count(fn func(n *tally)) {
	counting.Lock()
	defer counting.Unlock()
	fn(w.tallies[w.kind])
}

// landed counts something that was in flight, and whether it was done.
func (w *worker) landed(done bool) {
	w.count(func(n *tally) {
		n.inFlight++
		if done {
			n.done++
		}
	})
}
