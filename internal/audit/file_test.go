package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// faulty is a file that takes so many bytes more and then fails.
type faulty struct {
	*os.File
	room     int  // bytes; below zero: any number
	uncut    bool // can't be truncated
	entered  chan struct{}
	released chan struct{} // writes wait for it, if there is one
}

func (f *faulty) Write(b []byte) (int, error) {
	if f.released != nil {
		f.entered <- struct{}{}
		<-f.released
	}
	if f.room < 0 || len(b) <= f.room {
		f.room = max(-1, f.room-len(b))
		return f.File.Write(b)
	}
	n, err := f.File.Write(b[:f.room])
	f.room = 0
	return n, errors.Join(err, syscall.ENOSPC)
}

func (f *faulty) Truncate(size int64) error {
	if f.uncut {
		return syscall.EINVAL
	}
	return f.File.Truncate(size)
}

// openFaulty returns a sink on a faulty file of its own.
func openFaulty(t *testing.T, bad *faulty) (*file, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	sink, err := newFile("", func() (opened, error) {
		o, err := openPath(path, defaultMode)
		if err != nil {
			return opened{}, err
		}
		bad.File = o.target.(*os.File)
		o.target = bad
		return o, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink, path
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(s Sink, line string) error { return s.Write(context.Background(), []byte(line), inKernel) }

func TestAFullDiskLeavesNoTornLine(t *testing.T) {
	bad := &faulty{room: 6}
	sink, path := openFaulty(t, bad)
	if err := write(sink, "one\n"); err != nil {
		t.Fatal(err)
	}
	if err := write(sink, "two\n"); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("no room: %v", err)
	}
	bad.room = -1
	if err := write(sink, "three\n"); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != "one\nthree\n" {
		t.Errorf("%q", got)
	}
}

func TestATornLineThatStaysIsEnded(t *testing.T) {
	bad := &faulty{room: 2, uncut: true}
	sink, path := openFaulty(t, bad)
	if err := write(sink, "one\n"); err == nil {
		t.Fatal("no error")
	}
	if err := write(sink, "two\n"); err == nil { // not even the newline has room
		t.Fatal("no error")
	}
	bad.room = -1
	for _, line := range []string{"three\n", "four\n"} {
		if err := write(sink, line); err != nil {
			t.Fatal(err)
		}
	}
	if got := content(t, path); got != "on\nthree\nfour\n" {
		t.Errorf("%q", got)
	}
}

// What others have appended behind a torn line must not be cut.
func TestATornLineIsNotCutBehindOthers(t *testing.T) {
	bad := &faulty{room: 2}
	sink, path := openFaulty(t, bad)
	other, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.WriteString("other\n"); err != nil {
		t.Fatal(err)
	}
	if err := write(sink, "one\n"); err == nil {
		t.Fatal("no error")
	}
	bad.room = -1
	if err := write(sink, "two\n"); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != "other\non\ntwo\n" {
		t.Errorf("%q", got)
	}
}

// Lines that are gathered fail one by one: those that fitted are recorded.
func TestAPartialBatchFailsOnlyForThoseWhoseLinesAreNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := &faulty{room: -1, entered: make(chan struct{}), released: make(chan struct{})}
		sink, path := openFaulty(t, bad)
		first := make(chan error, 1)
		go func() { first <- write(sink, "first\n") }()
		<-bad.entered

		errs := make([]error, 10)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = write(sink, fmt.Sprintf("line %d\n", i)) })
		}
		synctest.Wait() // all are gathered behind the first
		bad.released <- struct{}{}
		if err := <-first; err != nil {
			t.Fatal(err)
		}
		<-bad.entered
		bad.room = 4*len("line 0\n") + 3
		bad.released <- struct{}{}
		wg.Wait()

		got := content(t, path)
		recorded := 0
		for i, err := range errs {
			there := strings.Contains(got, fmt.Sprintf("line %d\n", i))
			if there != (err == nil) {
				t.Errorf("line %d: %v, but in the file: %v", i, err, there)
			}
			if there {
				recorded++
			}
		}
		if recorded != 4 || !strings.HasSuffix(got, "\n") {
			t.Errorf("%d lines in %q", recorded, got)
		}
	})
}

func TestManyWritersLoseNothing(t *testing.T) {
	d, read := openTest(t, nil)
	const writers, each = 16, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			e := testEntry()
			e.Request.Data = nil
			for i := range each {
				e.Request.ID = fmt.Sprintf("%d-%d", w, i)
				if err := d.log(context.Background(), e, typeRequest); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for line := range strings.Lines(read()) {
		var entry struct{ Request struct{ ID string } }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		seen[entry.Request.ID] = true
	}
	if len(seen) != writers*each {
		t.Errorf("%d of %d lines", len(seen), writers*each)
	}
}

func TestAFileThatWasMovedIsOpenedAnew(t *testing.T) {
	for name, remove := range map[string]func(path string) error{
		"moved":   func(path string) error { return os.Rename(path, path+".1") },
		"deleted": os.Remove,
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".1"), os.WriteFile(path, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "audit.log")
				sink, err := openFile(path, defaultMode, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer sink.Close()
				if err := errors.Join(write(sink, "one\n"), remove(path)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(moveCheck)
				if err := write(sink, "two\n"); err != nil {
					t.Fatal(err)
				}
				if got := content(t, path); got != "two\n" {
					t.Errorf("%q", got)
				}
			})
		})
	}
}

// What goes to a file that nobody will find is not recorded.
func TestAFileWhoseFolderIsGoneTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "log")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		sink, err := openFile(filepath.Join(dir, "a.log"), defaultMode, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(moveCheck)
		for range 2 {
			if err := write(sink, "one\n"); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("got %v", err)
			}
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := write(sink, "two\n"); err != nil {
			t.Error(err)
		}
	})
}

func TestReopenGoesWhereTheNameLeads(t *testing.T) {
	d, read := openTest(t, nil)
	b := NewBroker()
	if err := b.Enable("file/", d); err != nil {
		t.Fatal(err)
	}
	path := d.sink.(*file).path
	if err := errors.Join(write(d.sink, "one\n"), os.Rename(path, path+".1"), b.Reopen(), write(d.sink, "two\n")); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != "two\n" {
		t.Errorf("%q", got)
	}
}

func TestAFileThatEndsTornIsContinuedOnANewLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte("one\ntw"), 0o600); err != nil {
		t.Fatal(err)
	}
	sink, err := openFile(path, defaultMode, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(write(sink, "three\n"), sink.Close()); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != "one\ntw\nthree\n" {
		t.Errorf("%q", got)
	}
}

func TestModes(t *testing.T) {
	for _, c := range []struct {
		name   string
		mode   fs.FileMode
		before fs.FileMode // of an existing file; zero: there is none
		want   fs.FileMode
	}{
		{"a new file", 0o640, 0, 0o640},
		{"an existing file is changed", 0o600, 0o644, 0o600},
		{"an existing file is left alone", 0, 0o644, 0o644},
		{"a new file without a mode", 0, 0, 0o600},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			if c.before != 0 {
				if err := errors.Join(os.WriteFile(path, nil, c.before), os.Chmod(path, c.before)); err != nil {
					t.Fatal(err)
				}
			}
			sink, err := openFile(path, c.mode, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer sink.Close()
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != c.want {
				t.Errorf("%v, %v", info.Mode(), err)
			}
		})
	}
}

func TestSpecialPaths(t *testing.T) {
	for _, path := range []string{"discard", "stdout", os.DevNull} {
		d, err := Open(Declared{Type: "file", Options: map[string]string{"file_path": path}}, secret.Text(testSalt))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if path != "stdout" { // the test's own output is no place for lines
			if err := d.log(context.Background(), testEntry(), typeRequest); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		if err := errors.Join(d.sink.Reopen(), d.Close()); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := os.Stdout.Stat(); err != nil {
		t.Errorf("standard output was closed: %v", err)
	}
}

func TestAClosedFileTakesNothing(t *testing.T) {
	d, _ := openTest(t, nil)
	if err := errors.Join(d.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	if err := d.log(context.Background(), testEntry(), typeRequest); !errors.Is(err, ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if err := d.sink.Reopen(); !errors.Is(err, ErrClosed) {
		t.Errorf("reopen: %v", err)
	}
}

func TestHash(t *testing.T) {
	d, _ := openTest(t, nil)
	b := NewBroker()
	if err := b.Enable("file/", d); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Hash("file/", "x"); got != hashOf("x") || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := b.Hash("other/", "x"); !errors.Is(err, logical.ErrInvalid) {
		t.Errorf("%v", err)
	}
}
