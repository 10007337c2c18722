package adversity

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	driver "github.com/cockroachdb/pebble/v2"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/servertest"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/pebble"
)

// selfUnsealing is a server with data and a key file, stopped.
type selfUnsealing struct {
	*servertest.Server
	*ledger
	key string
}

func newSelfUnsealing(t *testing.T) *selfUnsealing {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(t.TempDir(), "unseal.key")
	s := &selfUnsealing{Server: servertest.New(t, servertest.Config{Dir: dir, KeyFile: key}), key: key}
	root := s.Start().Open()
	s.ledger = newLedger(t, root)
	s.must(root, 5, 100)
	s.stop()
	return s
}

func (s *selfUnsealing) stop() {
	s.t.Helper()
	if err := s.Process().Stop(); err != nil {
		s.t.Fatalf("stop: %v", err)
	}
}

// intact fails unless a start finds all that there was.
func (s *selfUnsealing) intact() {
	s.t.Helper()
	s.compare(s.Start().Open())
	s.stop()
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func writeFile(t *testing.T, path string, text []byte, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, text, mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

func TestAStartWithoutTheRightKeyFileIsRefused(t *testing.T) {
	a, b := newSelfUnsealing(t), newSelfUnsealing(t)
	key := readFile(t, a.key)
	half := key[:len(key)-10]
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T)
		want  []string
	}{
		{"it is missing", func(t *testing.T) {
			if err := os.Remove(a.key); err != nil {
				t.Fatal(err)
			}
		}, []string{a.key, "is missing", "put the file back"}},
		{"it is that of another server", func(t *testing.T) { writeFile(t, a.key, readFile(t, b.key), 0o600) },
			[]string{"is not the one that this server was initialized with", "put back"}},
		{"others may read it", func(t *testing.T) { writeFile(t, a.key, key, 0o644) }, []string{a.key, "chmod it to 0600"}},
		{"it is too short", func(t *testing.T) { writeFile(t, a.key, half, 0o600) },
			[]string{a.key, "damaged", "put the file back"}},
		{"it is empty", func(t *testing.T) { writeFile(t, a.key, nil, 0o600) }, []string{a.key, "damaged", "put the file back"}},
		{"a letter of it has changed", func(t *testing.T) {
			changed := bytes.Clone(key)
			changed[len(changed)-8] ^= 1
			writeFile(t, a.key, changed, 0o600)
		}, []string{a.key, "damaged", "put the file back"}},
		{"it is of a newer version", func(t *testing.T) {
			writeFile(t, a.key, bytes.Replace(key, []byte("coffer-key-1:"), []byte("coffer-key-2:"), 1), 0o600)
		}, []string{a.key, "newer version", "run that version"}},
		{"it is a folder", func(t *testing.T) {
			if err := errors.Join(os.Remove(a.key), os.Mkdir(a.key, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, []string{a.key}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.spoil(t)
			text := a.Start().Refusal()
			wantWords(t, text, tt.want...)
			for line := range strings.Lines(string(key)) {
				if !strings.HasPrefix(line, "#") && strings.Contains(text, strings.TrimSpace(line)[20:]) {
					t.Error("the key is told")
				}
			}
			if err := os.RemoveAll(a.key); err != nil {
				t.Fatal(err)
			}
			writeFile(t, a.key, key, 0o600)
			a.intact()
		})
	}
}

func TestDataOfAnotherServerAreNotOpened(t *testing.T) {
	a, b := newSelfUnsealing(t), newSelfUnsealing(t)
	swap := func() {
		t.Helper()
		aside := a.Data + ".aside"
		if err := errors.Join(os.Rename(a.Data, aside), os.Rename(b.Data, a.Data), os.Rename(aside, b.Data)); err != nil {
			t.Fatal(err)
		}
	}
	swap()
	for _, s := range []*selfUnsealing{a, b} {
		wantWords(t, s.Start().Refusal(), "is not the one that this server was initialized with", "put back")
	}
	swap()
	a.intact()
	b.intact()
}

func TestSharesAndTokensOfAnotherServerOpenNothing(t *testing.T) {
	a, b := servertest.New(t, servertest.Config{}), servertest.New(t, servertest.Config{})
	a.Start().Open()
	rootOfB := b.Start().Open()
	_, err := rootOfB.WithToken(a.RootToken).Read(t.Context(), "sys/mounts")
	wantError(t, err, http.StatusForbidden, "permission denied")
	if _, err := rootOfB.Write(t.Context(), "sys/seal", nil); err != nil {
		t.Fatal(err)
	}
	_, err = rootOfB.Write(t.Context(), "sys/unseal", map[string]any{"key": a.Share})
	wantError(t, err, http.StatusBadRequest, "invalid unseal key")
}

func TestDataOfANewerReleaseAreRefusedAndKept(t *testing.T) {
	s := newSelfUnsealing(t)
	raise := func(t *testing.T, key, value []byte) (old []byte) {
		t.Helper()
		db, err := driver.Open(s.Data, &driver.Options{FormatMajorVersion: driver.FormatNewest, Logger: quiet{}})
		if err != nil {
			t.Fatal(err)
		}
		found, closer, err := db.Get(key)
		if err != nil {
			t.Fatal(err)
		}
		old = bytes.Clone(found)
		if err := errors.Join(closer.Close(), db.Set(key, value, driver.Sync), db.Close()); err != nil {
			t.Fatal(err)
		}
		return old
	}
	t.Run("of the storage", func(t *testing.T) {
		format := []byte("\x00format")
		old := raise(t, format, binary.BigEndian.AppendUint64(nil, 2))
		wantWords(t, s.Start().Refusal(), "newer release", "run that release")
		raise(t, format, old)
		s.intact()
	})
	t.Run("of the seal's configuration", func(t *testing.T) {
		reviseConfig(t, s.Data, `"version":1`, `"version":2`)
		wantWords(t, s.Start().Refusal(), "newer version", "run that version")
		reviseConfig(t, s.Data, `"version":2`, `"version":1`)
		s.intact()
	})
	t.Run("of the database below", func(t *testing.T) {
		markers, err := filepath.Glob(filepath.Join(s.Data, "marker.format-version.*"))
		if err != nil || len(markers) != 1 {
			t.Fatalf("%q: %v", markers, err)
		}
		later := filepath.Join(s.Data, "marker.format-version.999999.999")
		if err := os.Rename(markers[0], later); err != nil {
			t.Fatal(err)
		}
		wantWords(t, s.Start().Refusal(), "newer release", "run that release")
		if err := os.Rename(later, markers[0]); err != nil {
			t.Fatal(err)
		}
		s.intact()
	})
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

// reviseConfig changes the row that says how the root key is held.
func reviseConfig(t *testing.T, data, from, to string) {
	t.Helper()
	s, err := pebble.Open(data, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	key := barrier.RawKey("config")
	e, err := snap.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(e.Value, []byte(from)) {
		t.Fatalf("the configuration has no %s", from)
	}
	revised := bytes.Replace(e.Value, []byte(from), []byte(to), 1)
	if _, err := s.Apply(t.Context(), nil, []storage.Op{storage.Put(key, revised)}); err != nil {
		t.Fatal(err)
	}
}

func TestTwoServersDoNotShareAFolder(t *testing.T) {
	a := servertest.New(t, servertest.Config{})
	root := a.Start().Open()
	l := newLedger(t, root)
	l.must(root, 5, 100)
	b := servertest.New(t, servertest.Config{Data: a.Data})
	wantWords(t, b.Start().Refusal(), a.Data, "in use", "stop the server that uses it")
	l.must(root, 5, 100)
	a.Process().Kill() // the lock goes with the process
	l.compare(a.Start().Open())
}

func TestAFolderThatCanNotBeUsedIsRefused(t *testing.T) {
	t.Run("it is of another program", func(t *testing.T) {
		data := t.TempDir()
		letter := filepath.Join(data, "letter.txt")
		writeFile(t, letter, []byte("Dear"), 0o600)
		s := servertest.New(t, servertest.Config{Data: data})
		wantWords(t, s.Start().Refusal(), data, "something else than coffer's data", "letter.txt")
		left, err := os.ReadDir(data)
		if err != nil || len(left) != 1 {
			t.Errorf("it has left %v: %v", left, err)
		}
	})
	t.Run("it is the database of another program", func(t *testing.T) {
		data := t.TempDir()
		db, err := driver.Open(data, &driver.Options{Logger: quiet{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Set([]byte("a"), []byte("b"), driver.Sync), db.Close()); err != nil {
			t.Fatal(err)
		}
		s := servertest.New(t, servertest.Config{Data: data})
		wantWords(t, s.Start().Refusal(), data, "another program")
	})
	t.Run("it is a file", func(t *testing.T) {
		data := filepath.Join(t.TempDir(), "data")
		writeFile(t, data, []byte("x"), 0o600)
		wantWords(t, servertest.New(t, servertest.Config{Data: data}).Start().Refusal(), data, "not a directory")
	})
	t.Run("its user may not write to it", func(t *testing.T) {
		data := t.TempDir()
		if err := os.Chmod(data, 0o500); err != nil {
			t.Fatal(err)
		}
		s := servertest.New(t, servertest.Config{Data: data, Under: withoutPrivilege(t)})
		wantWords(t, s.Start().Refusal(), data, "permission denied", "does the folder belong to the user")
	})
}

// withoutPrivilege runs a program as its user, but bound by the modes of files.
func withoutPrivilege(t *testing.T) []string {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	return []string{"setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"}
}
