package source_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/scan"
	"github.com/cofferhq/coffer/scan/source"
)

// seen is what a scan told.
type seen struct {
	found   []string // path:line secret, with the subject of the commit
	skipped []string
}

func (s *seen) sink() scan.Sink {
	return scan.Sink{
		Found: func(f scan.Finding) {
			text := f.Path + " " + f.Secret.Reveal()
			if f.Commit != nil {
				text += " " + f.Commit.Message + " " + f.Commit.Author
			}
			s.found = append(s.found, text)
		},
		Skipped: func(path string, err error) { s.skipped = append(s.skipped, path) },
	}
}

func (s *seen) check(t *testing.T, err error, found ...string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(s.found)
	slices.Sort(found)
	if diff := cmp.Diff(found, s.found); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func newScanner(t *testing.T) *scan.Scanner {
	t.Helper()
	s, err := scan.New(scan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// repo is a git repository of a test.
type repo struct {
	t   *testing.T
	dir string
}

func newRepo(t *testing.T) *repo {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal("these tests want git: ", err)
	}
	r := &repo{t, t.TempDir()}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r *repo) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=ann", "GIT_AUTHOR_EMAIL=ann@corp.net", "GIT_COMMITTER_NAME=ann", "GIT_COMMITTER_EMAIL=ann@corp.net")
	out, err := cmd.CombinedOutput()
	if err != nil && args[0] != "merge" {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *repo) write(path, text string) { r.t.Helper(); write(r.t, filepath.Join(r.dir, path), text) }

func (r *repo) commit(subject string) {
	r.t.Helper()
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", subject)
}

const (
	one   = "k3Vq8sLm2x"
	two   = "p7Zt4wRc9n"
	three = "h5Yd6bGf3j"
)

func line(secret string) string { return "password = \"" + secret + "\"\n" }

func TestFilesAreSearched(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a/b.conf"), line(one))
	write(t, filepath.Join(dir, "big.conf"), strings.Repeat("text\n", 1<<20)+line(two))
	write(t, filepath.Join(dir, ".git/config"), line(three))
	write(t, filepath.Join(dir, "empty"), "")
	if err := os.Symlink(dir, filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	var got seen
	got.check(t, source.Files(context.Background(), newScanner(t), []string{dir}, got.sink()),
		filepath.ToSlash(dir)+"/a/b.conf "+one, filepath.ToSlash(dir)+"/big.conf "+two)
	if len(got.skipped) > 0 {
		t.Errorf("skipped: %v", got.skipped)
	}
}

func TestWhatCannotBeReadIsTold(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "good.conf"), line(one))
	write(t, filepath.Join(dir, "bad.zip"), "PK\x03\x04 and no more")
	var got seen
	got.check(t, source.Files(context.Background(), newScanner(t), []string{dir, filepath.Join(dir, "missing")}, got.sink()), filepath.ToSlash(dir)+"/good.conf "+one)
	slices.Sort(got.skipped)
	if want := []string{filepath.ToSlash(dir) + "/bad.zip", filepath.ToSlash(dir) + "/missing"}; !slices.Equal(got.skipped, want) {
		t.Errorf("skipped: %v", got.skipped)
	}
}

func TestStagedTellsOfAddedLinesOnly(t *testing.T) {
	r := newRepo(t)
	r.write("old.conf", line(one)+"a\nb\nc\n")
	r.commit("first")
	r.write("old.conf", line(one)+"a\nb\nc\nd\n")
	r.write("new file ü.conf", "x\n"+line(two))
	r.write("gone.conf", "")
	r.git("add", "-A")
	r.write("new file ü.conf", "not staged\n"+line(three))
	var got seen
	got.check(t, source.Staged(context.Background(), newScanner(t), r.dir, got.sink()), "new file ü.conf "+two)
}

func TestStagedWorksBeforeTheFirstCommit(t *testing.T) {
	r := newRepo(t)
	r.write("a.conf", line(one))
	r.git("add", "-A")
	var got seen
	got.check(t, source.Staged(context.Background(), newScanner(t), r.dir, got.sink()), "a.conf "+one)
}

// merged is a history in which a secret was typed while resolving a merge.
func merged(t *testing.T) *repo {
	r := newRepo(t)
	r.write("a.conf", "start\n")
	r.commit("start")
	r.write("a.conf", "start\n"+line(one))
	r.commit("add one")
	r.write("a.conf", "start\n")
	r.write("c.conf", "x\n")
	r.commit("remove one")
	r.git("checkout", "-q", "-b", "side")
	r.write("a.conf", "side\n")
	r.commit("side")
	r.git("checkout", "-q", "main")
	r.write("a.conf", "main\n")
	r.commit("main")
	r.git("merge", "side")
	r.write("a.conf", "both\n"+line(two))
	r.commit("merge")
	return r
}

func TestHistoryNamesTheCommitThatBroughtASecret(t *testing.T) {
	r := merged(t)
	r.write("c.conf", "x\n"+line(one))
	r.commit("again, elsewhere")
	r.write("c.conf", "x\ny\n"+line(one))
	r.commit("moved")
	want := []string{"a.conf " + one + " add one ann", "a.conf " + two + " merge ann", "c.conf " + one + " again, elsewhere ann"}
	var got seen
	got.check(t, source.History(context.Background(), newScanner(t), r.dir, source.Depth{}, got.sink()), want...)

	t.Run("in a bare clone", func(t *testing.T) {
		bare := filepath.Join(t.TempDir(), "bare")
		r.git("clone", "-q", "--bare", r.dir, bare)
		var got seen
		got.check(t, source.History(context.Background(), newScanner(t), bare, source.Depth{}, got.sink()), want...)
	})
	t.Run("in a shallow clone what is there", func(t *testing.T) {
		shallow := filepath.Join(t.TempDir(), "shallow")
		r.git("clone", "-q", "--depth=1", "file://"+r.dir, shallow)
		var got seen
		got.check(t, source.History(context.Background(), newScanner(t), shallow, source.Depth{}, got.sink()),
			"a.conf "+two+" moved ann", "c.conf "+one+" moved ann")
	})
	t.Run("in a worktree", func(t *testing.T) {
		tree := filepath.Join(t.TempDir(), "tree")
		r.git("worktree", "add", "-q", tree, "side")
		var got seen
		got.check(t, source.History(context.Background(), newScanner(t), tree, source.Depth{}, got.sink()), want...)
	})
}

func TestSinceTellsWhatIsNew(t *testing.T) {
	r := newRepo(t)
	r.write("a.conf", line(one))
	r.commit("first")
	r.git("tag", "v1")
	r.write("a.conf", line(one)+"more\n")
	r.write("b.conf", line(two))
	r.commit("second")
	var got seen
	got.check(t, source.Since(context.Background(), newScanner(t), r.dir, "v1", source.Depth{}, got.sink()), "b.conf "+two+" second ann")
	if err := source.Since(context.Background(), newScanner(t), r.dir, "--output=x", source.Depth{}, got.sink()); err == nil {
		t.Error("an option is taken for a revision")
	}
}

func TestStashesAndDanglingObjectsOnRequest(t *testing.T) {
	r := newRepo(t)
	r.write("a.conf", "x\n")
	r.commit("first")
	for _, secret := range []string{one, two} {
		r.write("a.conf", line(secret))
		r.git("stash", "-q")
	}
	r.write("lost", line(three))
	id := r.git("hash-object", "-w", "lost")
	os.Remove(filepath.Join(r.dir, "lost"))
	secrets := func(d source.Depth) string {
		var got seen
		if err := source.History(context.Background(), newScanner(t), r.dir, d, got.sink()); err != nil {
			t.Fatal(err)
		}
		return strings.Join(got.found, "\n")
	}
	if got := secrets(source.Depth{}); !strings.Contains(got, two) || strings.Contains(got, one) || strings.Contains(got, three) {
		t.Errorf("without requests: %s", got)
	}
	if got := secrets(source.Depth{Reflog: true}); !strings.Contains(got, one) || !strings.Contains(got, two) {
		t.Errorf("with the reflog: %s", got)
	}
	if got := secrets(source.Depth{Dangling: true}); !strings.Contains(got, id+" "+three) {
		t.Errorf("with dangling objects: %s", got)
	}
}

func TestACorruptObjectIsToldAndTheRestSearched(t *testing.T) {
	r := newRepo(t)
	r.write("a.conf", line(one))
	r.write("b.conf", line(two))
	r.write("c.conf", line(three))
	r.commit("first")
	id := r.git("rev-parse", "HEAD:b.conf")
	path := filepath.Join(r.dir, ".git/objects", id[:2], id[2:])
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("this is no object"), 0o644); err != nil {
		t.Fatal(err)
	}
	var got seen
	got.check(t, source.History(context.Background(), newScanner(t), r.dir, source.Depth{}, got.sink()),
		"a.conf "+one+" first ann", "c.conf "+three+" first ann")
	if !slices.Equal(got.skipped, []string{"b.conf"}) {
		t.Errorf("skipped: %v", got.skipped)
	}
}

func TestACacheKnowsWhatIsClean(t *testing.T) {
	r := merged(t)
	folder := t.TempDir()
	s := newScanner(t)
	var first []string
	for round := range 3 {
		c, err := source.OpenCache(folder, r.dir, s.Fingerprint())
		if err != nil {
			t.Fatal(err)
		}
		var got seen
		if err := source.History(context.Background(), s, r.dir, source.Depth{Cache: c}, got.sink()); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			first = got.found
		}
		if diff := cmp.Diff(first, got.found); diff != "" || len(first) != 2 {
			t.Errorf("round %d (-first +got):\n%s", round, diff)
		}
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
	if err := os.WriteFile(files[0], []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := source.OpenCache(folder, r.dir, s.Fingerprint()); err != nil {
		t.Errorf("a damaged cache: %v", err)
	}
}

func TestNotARepository(t *testing.T) {
	var got seen
	if err := source.History(context.Background(), newScanner(t), t.TempDir(), source.Depth{}, got.sink()); err == nil {
		t.Error("no error")
	}
}
