package file_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/cofferhq/coffer/internal/file"
)

func TestAFileIsReadWithinItsBound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, test := range []struct {
		name  string
		bytes int
		fails bool
	}{
		{"an empty one", 0, false},
		{"one of the bound", 1 << 20, false},
		{"one byte more", 1<<20 + 1, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := bytes.Repeat([]byte("x"), test.bytes)
			if err := os.WriteFile(path, want, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := file.Read(path, 1)
			if (err != nil) != test.fails || err == nil && !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	if _, err := file.Read(path+"-", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestAFileIsReplacedWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	failure := errors.New("failure")
	for _, test := range []struct {
		name string
		fill func(*os.File) error
		want string
	}{
		{"a new one", write("one"), "one"},
		{"another", write("two"), "two"},
		{"one that fails half-way", func(f *os.File) error { return errors.Join(write("th")(f), failure) }, "two"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := file.Replace(path, 0o644, test.fill); err != nil && !errors.Is(err, failure) {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil || string(got) != test.want {
				t.Errorf("%q, %v", got, err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
				t.Errorf("%v, %v", info.Mode(), err)
			}
			if all, _ := os.ReadDir(filepath.Dir(path)); len(all) != 1 {
				t.Errorf("left behind: %v", all)
			}
		})
	}
	if err := file.ReplaceWith(filepath.Join(path, "below", "f"), 0o600, nil); err == nil {
		t.Error("written below a file")
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := file.ReplaceWith(folder, 0o600, nil); err == nil {
		t.Error("a folder was replaced")
	}
}

func write(text string) func(*os.File) error {
	return func(f *os.File) error { _, err := f.WriteString(text); return err }
}
