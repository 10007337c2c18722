package storetest

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cofferhq/coffer/internal/storage"
)

// OpenDir opens the store in dir, creating it if there is none.
type OpenDir func(t *testing.T, dir string) storage.Store

// RunDurable holds stores that outlive the process to that. It is to be called
// once in a test function of its own, which it runs again in processes that it
// kills.
func RunDurable(t *testing.T, open OpenDir) {
	t.Helper()
	if dir := os.Getenv(childDir); dir != "" {
		writeUntilKilled(t, open(t, dir))
		return
	}
	t.Run("what was written is there when opened again", func(t *testing.T) { reopen(t, open) })
	t.Run("what was acknowledged survives a kill", func(t *testing.T) {
		dir := t.TempDir()
		var last storage.Revision // of the newest commit that was acknowledged
		known := map[string]storage.Revision{}
		for range 4 {
			last = max(last, killed(t, dir, known))
			checkSurvivors(t, open(t, dir), known, last)
		}
	})
}

func reopen(t *testing.T, open OpenDir) {
	dir := t.TempDir()
	s := open(t, dir)
	for i := range 200 {
		put(t, s, fmt.Sprintf("%03d", i), fmt.Sprint(i))
	}
	rev := apply(t, s, nil, storage.Delete("007"))
	before := all(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close()
	if after := all(t, s); !slices.Equal(before, after) {
		t.Errorf("%v became %v", before, after)
	}
	snap := snapshot(t, s)
	defer snap.Close()
	if snap.Revision() != rev {
		t.Errorf("revision %d became %d", rev, snap.Revision())
	}
	next := put(t, s, "new", "")
	if next <= rev {
		t.Errorf("revision %d after %d", next, rev)
	}
	if c := watched(t, s, "", rev, 1)[0]; c.Revision != next {
		t.Errorf("watch: %s, want revision %d", showCommit(c), next)
	}
}

// childDir names, to a process that is to be killed, the folder to write to.
const childDir = "STORETEST_DIR"

// acks is the file descriptor on which that process acknowledges.
const acks = 3

// childWriters write at the same time, so that commits are grouped.
const childWriters = 8

// writeUntilKilled puts entries and acknowledges each on its own line.
func writeUntilKilled(t *testing.T, s storage.Store) {
	out := os.NewFile(acks, "acks")
	var wg sync.WaitGroup
	for w := range childWriters {
		wg.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d/%d/%d", os.Getpid(), w, i)
				rev, err := s.Apply(t.Context(), nil, []storage.Op{storage.Put(key, []byte(key)), storage.Put("last", []byte(key))})
				if err != nil {
					t.Errorf("apply: %v", err)
					return
				}
				if _, err := fmt.Fprintf(out, "%s %d\n", key, rev); err != nil {
					t.Errorf("acknowledge: %v", err) // the parent is gone
					return
				}
			}
		})
	}
	wg.Wait()
}

// killed runs a writing process in dir and kills it at a random moment. It adds
// what was acknowledged to known and returns its newest revision.
func killed(t *testing.T, dir string, known map[string]storage.Revision) storage.Revision {
	t.Helper()
	name, _, _ := strings.Cut(t.Name(), "/")
	child := exec.Command(os.Args[0], "-test.run=^"+name+"$")
	child.Env = append(os.Environ(), childDir+"="+dir)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	child.ExtraFiles = []*os.File{w}
	err = child.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	n, last := readAcks(r, 20+rand.IntN(200), known, func() { child.Process.Kill() })
	if err := child.Wait(); err == nil || n == 0 {
		t.Fatalf("the process ended by itself after %d commits: %v", n, err)
	}
	return last
}

// readAcks reads until the end and calls kill at the line stop.
func readAcks(r io.Reader, stop int, known map[string]storage.Revision, kill func()) (n int, last storage.Revision) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var key string
		var rev storage.Revision
		if _, err := fmt.Sscan(lines.Text(), &key, &rev); err != nil {
			break // cut short by the kill
		}
		known[key] = rev
		last = max(last, rev)
		if n++; n == stop {
			kill()
		}
	}
	kill()
	return n, last
}

func checkSurvivors(t *testing.T, s storage.Store, known map[string]storage.Revision, last storage.Revision) {
	t.Helper()
	defer s.Close()
	snap := snapshot(t, s)
	defer snap.Close()
	if snap.Revision() < last {
		t.Errorf("at revision %d, but %d was acknowledged", snap.Revision(), last)
	}
	for key, rev := range known {
		want(t, snap, key, key, rev)
	}
	newest, err := snap.Get(t.Context(), "last")
	if err != nil {
		t.Fatal(err)
	}
	want(t, snap, string(newest.Value), string(newest.Value), newest.Revision) // commits are whole
	if next := put(t, s, "parent", ""); next <= snap.Revision() {
		t.Errorf("revision %d after %d", next, snap.Revision())
	}
}
