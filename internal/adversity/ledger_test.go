package adversity

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/cofferhq/coffer/client"
)

const plainMount = "plain/"

// ledger is what clients have written and what was acknowledged.
type ledger struct {
	t *testing.T

	mu     sync.Mutex     // guards the fields below
	acked  map[string]int // path → bytes of its value
	lost   map[string]int // the same, of writes that were not acknowledged
	number int            // of the newest write

	enough int    // acknowledged writes after which then is called
	then   func() // nil: nothing is called
}

// newLedger mounts what is written to.
func newLedger(t *testing.T, root *client.Client) *ledger {
	t.Helper()
	if _, err := root.Write(t.Context(), "sys/mounts/"+plainMount, map[string]any{"type": "kv"}); err != nil {
		t.Fatal(err)
	}
	return &ledger{t: t, acked: map[string]int{}, lost: map[string]int{}}
}

// valueOf returns the value at path, a text of so many bytes: another at every
// path.
func valueOf(path string, bytes int) string {
	return strings.Repeat(path+"|", bytes/(len(path)+1)+1)[:bytes]
}

// write writes the next secret, of so many bytes.
func (l *ledger) write(root *client.Client, bytes int) error {
	l.mu.Lock()
	l.number++
	path := fmt.Sprintf("%s%04d", plainMount, l.number)
	l.mu.Unlock()
	_, err := root.Write(l.t.Context(), path, map[string]any{"v": valueOf(path, bytes)})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.lost[path] = bytes
		return err
	}
	l.acked[path] = bytes
	if then := l.then; then != nil && len(l.acked) >= l.enough {
		l.then = nil
		go then()
	}
	return nil
}

// after has do called, once, when n writes have been acknowledged and others are
// under way.
func (l *ledger) after(n int, do func()) { l.enough, l.then = n, do }

// must writes n secrets that have to be acknowledged.
func (l *ledger) must(root *client.Client, n, bytes int) {
	l.t.Helper()
	for range n {
		if err := l.write(root, bytes); err != nil {
			l.t.Fatal(err)
		}
	}
}

// writeUntilRefused has a few clients write until one write is not acknowledged,
// and returns that error. It fails the test after most writes.
func (l *ledger) writeUntilRefused(root *client.Client, bytes, most int) error {
	l.t.Helper()
	const writers = 4
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for range most / writers {
				if errs[i] = l.write(root, bytes); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	l.t.Fatalf("%d writes of %d bytes were all acknowledged", most, bytes)
	return nil
}

// compare fails unless all that was acknowledged is there, and what was not is
// there wholly or not at all.
func (l *ledger) compare(root *client.Client) {
	l.t.Helper()
	for path, bytes := range l.acked {
		if err := l.check(root, path, bytes, true); err != nil {
			l.t.Error(err)
		}
	}
	for path, bytes := range l.lost {
		if err := l.check(root, path, bytes, false); err != nil {
			l.t.Error(err)
		}
	}
	if len(l.acked) == 0 {
		l.t.Error("nothing was acknowledged")
	}
}

// check compares one secret. A wrong value is an error always, a missing one if
// it must be there.
func (l *ledger) check(root *client.Client, path string, bytes int, must bool) error {
	s, err := root.Read(l.t.Context(), path)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	case s == nil && must:
		return fmt.Errorf("%s was acknowledged and is gone", path)
	case s != nil && s.Data["v"] != valueOf(path, bytes):
		return fmt.Errorf("%s is not what was written", path)
	}
	return nil
}

// wantError fails unless an error has this status and its text these words.
func wantError(t *testing.T, err error, status int, words ...string) {
	t.Helper()
	if got := client.StatusOf(err); got != status {
		t.Errorf("status %d, want %d: %v", got, status, err)
	}
	if err != nil {
		wantWords(t, err.Error(), words...)
	}
}

// wantWords fails unless a text has all of words.
func wantWords(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("nothing says %q in:\n%s", w, text)
		}
	}
}

// wantHealth fails unless the server's health has this status.
func wantHealth(t *testing.T, root *client.Client, status int) {
	t.Helper()
	a, err := root.Raw(t.Context(), client.Request{Method: http.MethodGet, Path: "sys/health"})
	if err != nil {
		t.Error(err)
	} else if a.Status != status {
		t.Errorf("health is %d, want %d", a.Status, status)
	}
}
