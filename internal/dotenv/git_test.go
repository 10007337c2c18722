package dotenv

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// work is a folder to try things in.
type work struct {
	t   *testing.T
	dir string
}

func (w work) git(args ...string) {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func (w work) write(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w work) kinds(path string) string {
	w.t.Helper()
	found, err := LintGit(w.t.Context(), path)
	if err != nil {
		w.t.Fatal(err)
	}
	var kinds []string
	for _, f := range found {
		kinds = append(kinds, string(f.Kind))
	}
	return strings.Join(kinds, ", ")
}

func TestGitIsAskedForTheFile(t *testing.T) {
	w := work{t, t.TempDir()}
	env := w.write("app/.env", "A=b\n")
	if got := w.kinds(env); got != "" {
		t.Errorf("no repository: %s", got)
	}
	w.git("init", "-q")
	if got := w.kinds(env); got != "not ignored" {
		t.Errorf("a new repository: %s", got)
	}
	w.git("add", ".")
	if got := w.kinds(env); got != "tracked, not ignored" {
		t.Errorf("added: %s", got)
	}
	if got := w.kinds(w.write("app/.env.example", "A=\n")); got != "" {
		t.Errorf("a template: %s", got)
	}
	r := OpenRepository(t.Context(), env)
	if err := errors.Join(r.Ignore(t.Context()), r.Untrack(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := w.kinds(env); got != "" {
		t.Errorf("taken out: %s", got)
	}
	if _, err := os.Stat(env); err != nil {
		t.Errorf("the file is gone: %v", err)
	}
}

func TestWorktreesHaveTheirOwnAnswer(t *testing.T) {
	w := work{t, t.TempDir()}
	w.dir = filepath.Join(w.dir, "main")
	w.write("x", "")
	w.git("init", "-q")
	w.git("add", ".")
	w.git("commit", "-q", "-m", "x")
	w.git("worktree", "add", "-q", "../other")
	w.dir = filepath.Join(filepath.Dir(w.dir), "other")
	env := w.write(".env", "A=b\n")
	if got := w.kinds(env); got != "not ignored" {
		t.Errorf("%s", got)
	}
	if err := OpenRepository(t.Context(), env).IgnoreHere(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.kinds(env); got != "" {
		t.Errorf("ignored in this clone: %s", got)
	}
}

func TestOddNamesAreIgnoredAsThemselves(t *testing.T) {
	w := work{t, t.TempDir()}
	w.git("init", "-q")
	w.write(".gitignore", "x") // without a line end
	for _, name := range []string{"[a]*.env", "#.env", "!.env", "b .env ", `c\.env`} {
		path := w.write(name, "")
		if err := OpenRepository(t.Context(), path).Ignore(t.Context()); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if got := w.kinds(w.write("a1.env", "")); got != "not ignored" {
		t.Errorf("another file: %s", got)
	}
}

func TestABackupIsItsOwnersAndNotGits(t *testing.T) {
	w := work{t, t.TempDir()}
	w.git("init", "-q")
	path := w.write("app/.env", "A=hunter2\n")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{".env.backup", ".env.backup.1"} {
		backup, err := Backup(t.Context(), path)
		if err != nil || filepath.Base(backup) != want {
			t.Fatalf("%s %v", backup, err)
		}
		info, err := os.Stat(backup)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info, err)
		}
		if ignored, err := OpenRepository(t.Context(), backup).Ignores(t.Context()); err != nil || !ignored {
			t.Errorf("git would take it: %v", err)
		}
	}
}

func TestAFileIsReplacedWholeOrNotAtAll(t *testing.T) {
	w := work{t, t.TempDir()}
	path := w.write("env", "A=b\n")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(w.dir, ".env")
	if err := os.Symlink("env", link); err != nil {
		t.Fatal(err)
	}
	if err := Replace(link, []byte("A=other\n"), []byte("x")); err == nil || !strings.Contains(err.Error(), "changed meanwhile") {
		t.Errorf("%v", err)
	}
	if err := Replace(link, []byte("A=b\n"), []byte("A=c\n")); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	info, statErr := os.Lstat(path)
	if err != nil || statErr != nil || string(content) != "A=c\n" || info.Mode() != 0o640 {
		t.Errorf("%q %v %v", content, info, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(w.dir, "*.new")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}
