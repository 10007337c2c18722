package pebble_test

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	driver "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/pebble"
)

func TestOpenMakesAFolderForItsUserOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "data")
	s := open(t, dir, pebble.Options{})
	defer s.Close()
	for _, dir := range []string{dir, filepath.Dir(dir)} {
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o700 {
			t.Errorf("%s has mode %o", dir, mode)
		}
	}
}

func TestOneFolderIsOpenOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, pebble.Options{})
	if _, err := pebble.Open(dir, pebble.Options{}); !errors.Is(err, pebble.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("open again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir, pebble.Options{}).Close(); err != nil {
		t.Error(err)
	}
}

// openIn names, to a process that the test below starts, the folder to open.
const openIn = "PEBBLE_TEST_OPEN"

func TestOneFolderIsOpenInOneProcess(t *testing.T) {
	if dir := os.Getenv(openIn); dir != "" {
		if _, err := pebble.Open(dir, pebble.Options{}); !errors.Is(err, pebble.ErrInUse) {
			t.Errorf("open in another process: %v", err)
		}
		return
	}
	dir := t.TempDir()
	defer open(t, dir, pebble.Options{}).Close()
	other := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	other.Env = append(os.Environ(), openIn+"="+dir)
	if out, err := other.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestOpenRefusesWhatItDoesNotKnow(t *testing.T) {
	tests := []struct {
		name       string
		key, value []byte
		want       string
	}{
		{"a newer format", []byte("\x00format"), binary.BigEndian.AppendUint64(nil, 2), "newer release"},
		{"another program's database", []byte("key"), []byte("value"), "another program"},
		{"a damaged format", []byte("\x00format"), []byte("1"), "damaged"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fs := vfs.NewMem()
			db, err := driver.Open("data", &driver.Options{FS: fs, Logger: quiet{}})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Set(test.key, test.value, driver.Sync); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the first leaves nothing open, and nothing behind
				_, err := pebble.Open("data", pebble.Options{FS: fs})
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("open: %v, want something about %q", err, test.want)
				}
			}
		})
	}
}

func TestOpenRefusesAFolderOfSomethingElse(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pebble.Open(dir, pebble.Options{}); err == nil || !strings.Contains(err.Error(), "something else") {
		t.Errorf("open: %v", err)
	}
	if err := os.Rename(filepath.Join(dir, "letter.txt"), filepath.Join(dir, "LOCK")); err != nil { // of a start that went no further
		t.Fatal(err)
	}
	if err := open(t, dir, pebble.Options{}).Close(); err != nil {
		t.Error(err)
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

func TestKeysOfUsersNeverMeetTheStoresOwn(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, "data", pebble.Options{FS: fs})
	for _, key := range []string{"\x00format", "\x00revision", "kformat"} {
		if _, err := s.Apply(t.Context(), nil, []storage.Op{storage.Put(key, []byte("user's"))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, "data", pebble.Options{FS: fs})
	defer s.Close()
	if n := countKeys(t, s, ""); n != 3 {
		t.Errorf("%d entries", n)
	}
}
