package adversity

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/servertest"
)

// patient is a server that was ended, whose data are damaged again and again,
// from the same copy.
type patient struct {
	*servertest.Server
	*ledger
	t    *testing.T
	copy string
}

// newPatient makes a server with so many secrets, killed or properly stopped,
// which it writes one after another.
func newPatient(t *testing.T, secrets, bytes int, tables bool) *patient {
	t.Helper()
	p := &patient{Server: servertest.New(t, servertest.Config{}), t: t, copy: filepath.Join(t.TempDir(), "copy")}
	root := p.Start().Open()
	p.ledger = newLedger(t, root)
	p.must(root, secrets, bytes)
	p.Process().Kill()
	if tables { // a start moves what is in the log into tables; sealed, it writes nothing more
		p.Start().URL()
		p.Process().Kill()
	}
	p.keep()
	return p
}

// keep makes the data as they are what restore goes back to.
func (p *patient) keep() {
	p.t.Helper()
	if err := os.RemoveAll(p.copy); err != nil {
		p.t.Fatal(err)
	}
	if err := os.CopyFS(p.copy, os.DirFS(p.Data)); err != nil {
		p.t.Fatal(err)
	}
}

// restore undoes the damage.
func (p *patient) restore() {
	p.t.Helper()
	if err := os.RemoveAll(p.Data); err != nil {
		p.t.Fatal(err)
	}
	if err := os.CopyFS(p.Data, os.DirFS(p.copy)); err != nil {
		p.t.Fatal(err)
	}
}

// file returns the largest file of the data of a pattern, and its content.
func (p *patient) file(pattern string) (path string, content []byte) {
	p.t.Helper()
	found, err := filepath.Glob(filepath.Join(p.Data, pattern))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, name := range found {
		text, err := os.ReadFile(name)
		if err != nil {
			p.t.Fatal(err)
		}
		if len(text) > len(content) {
			path, content = name, text
		}
	}
	if path == "" {
		p.t.Fatalf("no %s", pattern)
	}
	return path, content
}

// flip changes one byte of a file.
func (p *patient) flip(path string, content []byte, at int) {
	p.t.Helper()
	damaged := bytes.Clone(content)
	damaged[at] ^= 0x10
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// count returns how many of the secrets are gone, and how many can't be read. It
// fails if one is wrong.
func (p *patient) count(root *client.Client) (gone, unreadable []string) {
	p.t.Helper()
	for path, n := range p.acked {
		s, err := root.Read(p.t.Context(), path)
		switch {
		case err != nil:
			wantError(p.t, err, http.StatusInternalServerError)
			unreadable = append(unreadable, path)
		case s == nil:
			gone = append(gone, path)
		case s.Data["v"] != valueOf(path, n):
			p.t.Errorf("%s is not what was written", path)
		}
	}
	slices.Sort(gone)
	return gone, unreadable
}

// What a disk that lied about a sync, or lost its last blocks, has cut off is
// gone; all that is older is there.
func TestALogWithATornTailLosesOnlyTheTail(t *testing.T) {
	const secrets = 40
	p := newPatient(t, secrets, 1000, false)
	path, content := p.file("*.log")
	end := len(bytes.TrimRight(content, "\x00"))
	lost := 0
	for _, n := range []int{0, 1, 7, 12, 100, 1300, 5000, 20_000, 30_000} {
		p.restore()
		if err := os.Truncate(path, int64(end-n)); err != nil {
			t.Fatal(err)
		}
		root := p.Start().Open()
		gone, unreadable := p.count(root)
		if len(unreadable) > 0 {
			t.Errorf("cut by %d: %d can't be read", n, len(unreadable))
		}
		for i, path := range gone {
			if want := fmt.Sprintf("%s%04d", plainMount, secrets-len(gone)+i+1); path != want {
				t.Errorf("cut by %d: %s is gone, %s is not", n, path, want)
			}
		}
		if len(gone) < lost || n == 0 && len(gone) > 0 || len(gone) > n/1000+1 {
			t.Errorf("cut by %d: %d are gone, of a shorter cut %d", n, len(gone), lost)
		}
		lost = len(gone)
		if err := p.write(root, 10); err != nil {
			t.Errorf("cut by %d: writing: %v", n, err)
		}
		delete(p.acked, fmt.Sprintf("%s%04d", plainMount, p.number))
		p.Process().Kill()
	}
	if lost == 0 {
		t.Error("no cut has reached a secret")
	}
}

// flips calls do with the largest file of a pattern damaged at some places, which
// are fractions of its length without zeros at its end.
func (p *patient) flips(pattern string, places []float64, do func(at string)) {
	p.t.Helper()
	path, content := p.file(pattern)
	end := len(bytes.TrimRight(content, "\x00"))
	for _, place := range places {
		p.restore()
		p.flip(path, content, int(place*float64(end-1)))
		do(fmt.Sprintf("%s damaged at %.3f", filepath.Base(path), place))
	}
	p.restore()
}

// The last records of a log can't be told from what a crash has cut short; all
// others can.
func TestADamagedLogIsRefused(t *testing.T) {
	p := newPatient(t, 40, 1000, false)
	p.flips("*.log", []float64{0, 0.01, 0.3, 0.45, 0.5, 0.7, 0.9}, func(at string) {
		wantWords(t, p.Start().Refusal(), "the file is damaged", "put back a copy of the whole folder")
	})
	p.compare(p.Start().Open())
}

// Without the last record of its manifest a store is an older one.
func TestADamagedManifestIsRefused(t *testing.T) {
	p := newPatient(t, 100, 3000, true)
	p.flips("MANIFEST-*", []float64{0, 0.01, 0.03, 0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1}, func(at string) {
		wantWords(t, p.Start().Refusal(), "the file is damaged", "put back a copy of the whole folder")
	})
	p.compare(p.Start().Open())
}

func TestADamagedTableIsReadAround(t *testing.T) {
	p := newPatient(t, 100, 3000, true)
	p.flips("*.sst", []float64{0.2, 0.4, 0.6, 0.8}, func(at string) {
		root := p.Start().Open()
		gone, unreadable := p.count(root)
		if len(gone) > 0 || len(unreadable) == 0 || len(unreadable) > 3 {
			t.Errorf("%s: %d are gone, %d can't be read", at, len(gone), len(unreadable))
		}
		for _, path := range unreadable {
			_, err := root.Read(t.Context(), path)
			wantError(t, err, http.StatusInternalServerError, "the storage is damaged in this place")
		}
		wantHealth(t, root, http.StatusOK)
		wantWords(t, p.Process().Log(), ".sst is damaged")
		p.Process().Kill()
	})
	p.compare(p.Start().Open())
}

// So it is when there is a log to recover as well, behind which compactions begin.
func TestADamagedTableIsReadAroundAfterACrash(t *testing.T) {
	p := newPatient(t, 100, 3000, true)
	root := p.Start().Open()
	p.must(root, 10, 3000)
	p.Process().Kill()
	p.keep()
	p.flips("*.sst", []float64{0.2, 0.4, 0.6, 0.8}, func(at string) {
		gone, unreadable := p.count(p.Start().Open())
		if len(gone) > 0 || len(unreadable) == 0 || len(unreadable) > 3 {
			t.Errorf("%s: %d are gone, %d can't be read", at, len(gone), len(unreadable))
		}
		p.Process().Kill()
	})
	p.compare(p.Start().Open())
}

// Where a table has what the server needs itself, or what leads to all else,
// there is no going on.
func TestADamagedTableThatNothingGoesWithoutIsRefused(t *testing.T) {
	p := newPatient(t, 100, 3000, true)
	p.flips("*.sst", []float64{0, 0.002, 1}, func(at string) {
		text := p.Start().Refusal()
		wantWords(t, text, "damaged", "put back a copy of the whole folder")
	})
	path, _ := p.file("*.sst")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wantWords(t, p.Start().Refusal(), strings.TrimSuffix(filepath.Base(path), ".sst"), "put back a copy of the whole folder")
	p.restore()
	p.compare(p.Start().Open())
}
