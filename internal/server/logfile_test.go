package server

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clock is a time that tests move.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// files returns what lies in a folder, by name.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(text)
	}
	return all
}

func TestLogFileIsPutAside(t *testing.T) {
	type step struct {
		after time.Duration
		line  string
	}
	tests := []struct {
		name   string
		limit  Rotation
		before map[string]string // there at the start
		steps  []step
		want   map[string]string
	}{
		{
			"without limits all goes into one file", Rotation{}, nil,
			[]step{{0, "a\n"}, {1000 * time.Hour, "b\n"}},
			map[string]string{"c.log": "a\nb\n"},
		},
		{
			"what was there before is added to", Rotation{MaxBytes: 10}, map[string]string{"c.log": "old\n"},
			[]step{{0, "a\n"}},
			map[string]string{"c.log": "old\na\n"},
		},
		{
			"when it would be too large", Rotation{MaxBytes: 4}, nil,
			[]step{{0, "a\n"}, {0, "b\n"}, {5 * time.Second, "c\n"}},
			map[string]string{"c-1005.log": "a\nb\n", "c.log": "c\n"},
		},
		{
			"a line that is too large has a file to itself", Rotation{MaxBytes: 4}, nil,
			[]step{{0, "aaaaaaa\n"}, {0, "b\n"}},
			map[string]string{"c-1000.log": "aaaaaaa\n", "c.log": "b\n"},
		},
		{
			"twice in one second", Rotation{MaxBytes: 2}, nil,
			[]step{{0, "a\n"}, {0, "b\n"}, {0, "c\n"}},
			map[string]string{"c-1000.log": "a\n", "c-1001.log": "b\n", "c.log": "c\n"},
		},
		{
			"when it is old", Rotation{MaxAge: time.Minute}, nil,
			[]step{{0, "a\n"}, {59 * time.Second, "b\n"}, {time.Second, "c\n"}, {59 * time.Second, "d\n"}},
			map[string]string{"c-1060.log": "a\nb\n", "c.log": "c\nd\n"},
		},
		{
			"an empty file is never old", Rotation{MaxAge: time.Minute}, nil,
			[]step{{time.Hour, "a\n"}},
			map[string]string{"c.log": "a\n"},
		},
		{
			"of old ones so many are kept", Rotation{MaxBytes: 2, MaxOld: 1}, map[string]string{"c-7.log": "x", "c-99.log": "y"},
			[]step{{0, "a\n"}, {0, "b\n"}, {0, "c\n"}},
			map[string]string{"c-1001.log": "b\n", "c.log": "c\n"},
		},
		{
			"of old ones none is kept", Rotation{MaxBytes: 2, MaxOld: -1}, nil,
			[]step{{0, "a\n"}, {0, "b\n"}},
			map[string]string{"c.log": "b\n"},
		},
		{
			"files of others stay", Rotation{MaxBytes: 2, MaxOld: -1},
			map[string]string{"c-.log": "1", "c-007.log": "2", "c-1.log.gz": "3", "d-1.log": "4", "c-x.log": "5"},
			[]step{{0, "a\n"}, {0, "b\n"}},
			map[string]string{"c-.log": "1", "c-007.log": "2", "c-1.log.gz": "3", "d-1.log": "4", "c-x.log": "5", "c.log": "b\n"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, now := t.TempDir(), &clock{time.Unix(1000, 0)}
			for name, text := range tt.before {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var errs bytes.Buffer
			l, err := OpenLogFile(filepath.Join(dir, "c.log"), tt.limit, now.now, &errs)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range tt.steps {
				now.at = now.at.Add(s.after)
				if n, err := l.Write([]byte(s.line)); err != nil || n != len(s.line) {
					t.Fatalf("%d bytes: %v", n, err)
				}
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tt.want, files(t, dir)); diff != "" || errs.Len() > 0 {
				t.Errorf("-want +got:\n%s%s", diff, &errs)
			}
		})
	}
}

// A server that is started again each hour must not write into one file for
// ever.
func TestLogFileOfAnEarlierProcessIsAsOldAsItsLastLine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.log")
	if err := os.WriteFile(path, []byte("a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Unix(500, 0)); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLogFile(path, Rotation{MaxAge: 500 * time.Second}, (&clock{time.Unix(1000, 0)}).now, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Write([]byte("b\n")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"c-1000.log": "a\n", "c.log": "b\n"}, files(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestReopenFollowsWhatOthersPutAside(t *testing.T) {
	dir, now := t.TempDir(), &clock{time.Unix(1000, 0)}
	path := filepath.Join(dir, "c.log")
	l, err := OpenLogFile(path, Rotation{MaxAge: time.Hour}, now.now, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	write := func(line string) {
		t.Helper()
		if _, err := l.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	reopen := func() {
		t.Helper()
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	write("a\n")
	if err := os.Rename(path, filepath.Join(dir, "c.log.1")); err != nil {
		t.Fatal(err)
	}
	write("b\n")
	reopen()
	write("c\n")
	now.at = now.at.Add(30 * time.Minute)
	reopen() // the same file: it does not grow younger by that
	now.at = now.at.Add(30 * time.Minute)
	write("d\n")
	want := map[string]string{"c.log.1": "a\nb\n", "c-4600.log": "c\n", "c.log": "d\n"}
	if diff := cmp.Diff(want, files(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestALogFileThatCannotBePutAsideGoesOn(t *testing.T) {
	dir := t.TempDir()
	var errs bytes.Buffer
	l, err := OpenLogFile(filepath.Join(dir, "logs", "c.log"), Rotation{}, time.Now, &errs)
	if err == nil {
		l.Close()
		t.Fatal("it was opened in a folder that is not there")
	}
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if l, err = OpenLogFile(filepath.Join(dir, "logs", "c.log"), Rotation{MaxBytes: 2}, (&clock{time.Unix(1000, 0)}).now, &errs); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Rename(filepath.Join(dir, "logs"), filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"a\n", "b\n", "c\n"} {
		if _, err := l.Write([]byte(line)); err != nil {
			t.Errorf("%q is lost: %v", line, err)
		}
	}
	if diff := cmp.Diff(map[string]string{"c.log": "a\nb\nc\n"}, files(t, filepath.Join(dir, "moved"))); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(errs.String(), "the log file is not put aside: "); n != 1 {
		t.Errorf("told: %q", &errs)
	}
	if err := l.Reopen(); err == nil {
		t.Error("it was opened again in a folder that is not there")
	}
}
