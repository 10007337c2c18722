package hook

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// scanner stands in for coffer: it refuses what holds the word SECRET, and keeps
// how it was called.
const scanner = `#!/bin/sh
echo "$@" >>"$LOG"
case "$2" in
-staged) ! git diff --cached | grep -q '^+.*SECRET' ;;
-pre-push) while read -r _ id _ _; do echo "$id" >>"$LOG"; ! git show "$id" | grep -q SECRET || exit 1; done ;;
esac
`

type repo struct {
	t            *testing.T
	dir, program string
}

func newRepo(t *testing.T) *repo {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	t.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(home, ".gitconfig"))
	t.Setenv("LOG", filepath.Join(home, "log"))
	for _, name := range []string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"} {
		os.Unsetenv(name)
	}
	r := &repo{t: t, dir: filepath.Join(home, "it's here"), program: filepath.Join(home, "a'b coffer")}
	r.write(r.program, scanner)
	os.Mkdir(r.dir, 0o755)
	r.git("init", "-q", "-b", "main")
	for _, kv := range []string{"user.name=A", "user.email=a@example.org", "commit.gpgsign=false"} {
		key, value, _ := strings.Cut(kv, "=")
		r.git("config", key, value)
	}
	r.git("commit", "-q", "--allow-empty", "-m", "root")
	return r
}

func (r *repo) write(path, text string) {
	r.t.Helper()
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

func (r *repo) try(args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (r *repo) git(args ...string) {
	r.t.Helper()
	if out, err := r.try(args...); err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func (r *repo) install(kind Kind) Result {
	r.t.Helper()
	res, err := Install(context.Background(), r.dir, kind, Options{Program: r.program})
	if err != nil {
		r.t.Fatal(err)
	}
	return res
}

// commits says whether a file can be committed.
func (r *repo) commits(name, text string) bool {
	r.t.Helper()
	r.write(name, text)
	r.git("add", name)
	_, err := r.try("commit", "-q", "-m", name)
	if err != nil {
		r.git("reset", "-q")
	}
	return err == nil
}

func TestCommitsWithSecretsAreRefused(t *testing.T) {
	r := newRepo(t)
	r.install(PreCommit)
	if !r.commits("a", "clean") || r.commits("b", "SECRET") {
		t.Error("want the secret refused, and nothing else")
	}
	if again := r.install(PreCommit); again.Changed {
		t.Errorf("installed twice: %+v", again)
	}
	os.Remove(r.program)
	if r.commits("c", "clean") {
		t.Error("committed without a scanner")
	}
}

func TestMergesWithSecretsAreRefused(t *testing.T) {
	r := newRepo(t)
	r.git("checkout", "-q", "-b", "topic")
	r.commits("b", "SECRET")
	r.git("checkout", "-q", "main")
	r.commits("a", "clean")
	r.install(PreMerge)
	if out, err := r.try("merge", "-q", "--no-edit", "topic"); err == nil {
		t.Errorf("merged: %s", out)
	}
}

func TestTheHookThatWasThereIsCalledFirst(t *testing.T) {
	r := newRepo(t)
	hook := filepath.Join(r.dir, ".git/hooks/pre-commit")
	r.write(hook, "#!/bin/sh\necho before \"$0\" >>\"$LOG\"\n[ ! -e refuse ] || exit 3\n")
	res := r.install(PreCommit)
	if res.Kept != hook+keptSuffix {
		t.Errorf("%+v", res)
	}
	if !r.commits("a", "clean") {
		t.Error("refused")
	}
	log, _ := os.ReadFile(os.Getenv("LOG"))
	if lines := strings.Split(string(log), "\n"); len(lines) < 2 || !strings.HasPrefix(lines[0], "before") || lines[1] != "scan -staged" {
		t.Errorf("called: %q", lines)
	}
	r.write("refuse", "")
	if r.commits("b", "clean") {
		t.Error("its refusal does not matter")
	}
	back, err := Uninstall(context.Background(), r.dir, PreCommit)
	text, _ := os.ReadFile(hook)
	if err != nil || !back.Changed || !strings.Contains(string(text), "echo before") {
		t.Errorf("not put back: %+v, %v", back, err)
	}
	if again, err := Uninstall(context.Background(), r.dir, PreCommit); err != nil || again.Changed {
		t.Errorf("a hook of somebody else's was removed: %+v, %v", again, err)
	}
}

func TestTwoHooksOfOthersAreNotLost(t *testing.T) {
	r := newRepo(t)
	hook := filepath.Join(r.dir, ".git/hooks/pre-commit")
	r.write(hook, "#!/bin/sh\n")
	r.install(PreCommit)
	r.write(hook, "#!/bin/sh\n# another\n")
	if _, err := Install(context.Background(), r.dir, PreCommit, Options{Program: r.program}); err == nil {
		t.Error("one of two hooks was lost")
	}
}

func TestHooksGoWhereGitLooks(t *testing.T) {
	r := newRepo(t)
	ctx := context.Background()
	r.git("config", "core.hooksPath", ".githooks")
	sub := filepath.Join(r.dir, "sub")
	os.Mkdir(sub, 0o755)
	res, err := Install(ctx, sub, PreCommit, Options{Program: r.program})
	if err != nil || !strings.HasSuffix(res.Path, "it's here/.githooks/pre-commit") || r.commits("b", "SECRET") {
		t.Errorf("%+v, %v", res, err)
	}
	r.git("config", "--unset", "core.hooksPath")
	r.git("worktree", "add", "-q", "../tree")
	tree := filepath.Join(filepath.Dir(r.dir), "tree")
	if res, err = Install(ctx, tree, PreCommit, Options{Program: r.program}); err != nil || !strings.HasSuffix(res.Path, "it's here/.git/hooks/pre-commit") {
		t.Errorf("of a worktree: %+v, %v", res, err)
	}
	r.git("config", "--global", "core.hooksPath", filepath.Join(filepath.Dir(r.dir), "all"))
	if _, err = Install(ctx, r.dir, PreCommit, Options{Program: r.program}); !errors.Is(err, ErrShared) {
		t.Errorf("for all repositories: %v", err)
	}
	if _, err = Install(ctx, r.dir, PreCommit, Options{Program: r.program, Force: true}); err != nil {
		t.Errorf("with force: %v", err)
	}
	if _, err = Install(ctx, t.TempDir(), PreCommit, Options{}); err == nil {
		t.Error("installed without a repository")
	}
}

func TestPushesAreSearched(t *testing.T) {
	r := newRepo(t)
	r.git("init", "-q", "--bare", "../remote.git")
	r.git("remote", "add", "origin", "../remote.git")
	r.write(filepath.Join(r.dir, ".git/hooks/pre-push"), "#!/bin/sh\nread -r ref _\necho \"$1 $ref\" >>\"$LOG\"\n")
	r.install(PrePush)
	r.commits("a", "clean")
	r.git("push", "-q", "origin", "main")
	if log, _ := os.ReadFile(os.Getenv("LOG")); !strings.HasPrefix(string(log), "origin refs/heads/main\nscan -pre-push\n") {
		t.Errorf("called: %s", log)
	}
	r.commits("b", "SECRET")
	if _, err := r.try("push", "-q", "origin", "main"); err == nil {
		t.Error("pushed")
	}
}

func TestWhatIsPushedBeginsWhereTheRemoteEnds(t *testing.T) {
	r := newRepo(t)
	ctx := context.Background()
	id := func(rev string) string {
		out, err := git(ctx, r.dir, "rev-parse", rev)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	base := func(p Push) (string, bool) {
		base, isNew, err := p.Base(ctx, r.dir)
		if err != nil {
			t.Fatal(err)
		}
		return base, isNew
	}
	if got, isNew := base(Push{Local: id("main")}); got != "" || !isNew {
		t.Errorf("to an empty remote: %q, %t", got, isNew)
	}
	r.git("init", "-q", "--bare", "../remote.git")
	r.git("remote", "add", "origin", "../remote.git")
	r.git("push", "-q", "origin", "main")
	if got, isNew := base(Push{Local: id("main")}); got != "" || isNew {
		t.Errorf("what is there: %q, %t", got, isNew)
	}
	old := id("main")
	r.commits("a", "x")
	if got, isNew := base(Push{Local: id("main")}); got != old || !isNew {
		t.Errorf("a new branch: %q, %t", got, isNew)
	}
	if got, isNew := base(Push{Local: id("main"), Remote: old}); got != old || !isNew {
		t.Errorf("a branch that is there: %q, %t", got, isNew)
	}
	if got, _ := base(Push{Local: id("main"), Remote: strings.Repeat("ab", 20)}); got != old {
		t.Errorf("a remote that is ahead: %q", got)
	}
}

func TestLinesOfPrePushAreRead(t *testing.T) {
	a, b, zero := strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("0", 40)
	got, err := ReadPushes(strings.NewReader("refs/heads/x " + a + " refs/heads/x " + b + "\nrefs/heads/n " + a + " refs/heads/n " + zero + "\n(delete) " + zero + " refs/heads/d " + b + "\n\n"))
	want := []Push{{"refs/heads/x", a, b}, {"refs/heads/n", a, ""}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"x", "a --all b c", "r " + a + " r --exec=x"} {
		if _, err := ReadPushes(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestDotEnvFilesAreLookedFor(t *testing.T) {
	r := newRepo(t)
	ctx := context.Background()
	r.commits(".env.production", "x")
	r.commits(".env.example", "x")
	r.commits(".gitignore", "out")
	d, err := CheckDotEnv(ctx, r.dir)
	if err != nil || d.Ignored || !slices.Equal(d.Tracked, []string{".env.production"}) {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := IgnoreDotEnv(ctx, r.dir); err != nil {
		t.Fatal(err)
	}
	if d, err = CheckDotEnv(ctx, r.dir); err != nil || !d.Ignored {
		t.Errorf("after: %+v, %v", d, err)
	}
	if text, _ := os.ReadFile(filepath.Join(r.dir, ".gitignore")); !strings.HasPrefix(string(text), "out\n.env\n") {
		t.Errorf("%s", text)
	}
}
