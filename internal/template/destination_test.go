package template

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/secret"
)

func TestWriteAFile(t *testing.T) {
	for _, tt := range []struct {
		name    string
		before  string // content; empty: no file
		mode    fs.FileMode
		d       Destination
		changed bool
		want    fs.FileMode
	}{
		{"a new file is its owner's alone", "", 0, Destination{}, true, 0o600},
		{"a file keeps its mode", "old", 0o640, Destination{}, true, 0o640},
		{"the mode that is wished for wins", "old", 0o640, Destination{Mode: 0o604}, true, 0o604},
		{"what is there already is not written", "new", 0o640, Destination{}, false, 0o640},
		{"but gets its mode", "new", 0o640, Destination{Mode: 0o600}, false, 0o600},
		{"a backup", "old", 0o640, Destination{Backup: true}, true, 0o640},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.d.Path = filepath.Join(dir, "app.conf")
			if tt.before != "" {
				if err := os.WriteFile(tt.d.Path, []byte(tt.before), tt.mode); err != nil {
					t.Fatal(err)
				}
			}
			changed, err := tt.d.Write(secret.Text("new"))
			if err != nil || changed != tt.changed {
				t.Fatalf("changed %v, %v", changed, err)
			}
			content, err := os.ReadFile(tt.d.Path)
			if err != nil || string(content) != "new" {
				t.Errorf("%q, %v", content, err)
			}
			if info, err := os.Stat(tt.d.Path); err != nil || info.Mode().Perm() != tt.want {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			backup, err := os.ReadFile(tt.d.Path + ".bak")
			if (err == nil) != tt.d.Backup || tt.d.Backup && string(backup) != tt.before {
				t.Errorf("backup %q, %v", backup, err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestFoldersAreMadeIfThatIsWished(t *testing.T) {
	d := Destination{Path: filepath.Join(t.TempDir(), "a", "b", "c")}
	if _, err := d.Write(secret.Text("x")); err == nil {
		t.Error("made a folder")
	}
	d.CreateDirs = true
	if _, err := d.Write(secret.Text("x")); err != nil {
		t.Error(err)
	}
}

func TestALinkIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	d := Destination{Path: link}
	if _, err := d.Write(secret.Text("x")); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("%v", err)
	}
	if content, _ := os.ReadFile(target); string(content) != "mine" {
		t.Errorf("the target has %q", content)
	}
	// Where the new content is prepared, a link is no way out either.
	if err := os.Symlink(target, filepath.Join(dir, ".app.coffer-new")); err != nil {
		t.Fatal(err)
	}
	d.Path = filepath.Join(dir, "app")
	if _, err := d.Write(secret.Text("x")); err != nil {
		t.Error(err)
	}
	if content, _ := os.ReadFile(target); string(content) != "mine" {
		t.Errorf("the target has %q", content)
	}
}
