package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asProgram makes the test's own binary the program, for hooks to call.
const asProgram = "COFFER_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(Main(os.Args[1:], OS()))
	}
	os.Exit(m.Run())
}

// testRepository is a repository of its own, with hooks of ours.
type testRepository struct {
	t       *testing.T
	dir     string
	program string
}

func newTestRepository(t *testing.T) *testRepository {
	t.Helper()
	home := t.TempDir()
	for name, value := range map[string]string{"HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": filepath.Join(home, ".gitconfig")} {
		t.Setenv(name, value)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &testRepository{t: t, dir: filepath.Join(home, "app"), program: filepath.Join(home, "coffer")}
	r.write(r.program, "#!/bin/sh\n"+asProgram+"=1 exec '"+exe+"' \"$@\"\n")
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.git("init", "-q", "-b", "main")
	r.git("config", "user.name", "A")
	r.git("config", "user.email", "a@example.org")
	return r
}

func (r *testRepository) write(path, text string) {
	r.t.Helper()
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

// try runs a command line in the repository.
func (r *testRepository) try(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = r.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (r *testRepository) git(args ...string) {
	r.t.Helper()
	if out, err := r.try("git", args...); err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func (r *testRepository) coffer(code int, args ...string) string {
	r.t.Helper()
	cmd := exec.Command(r.program, args...)
	cmd.Dir = r.dir
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		r.t.Fatalf("coffer %v: code %d, want %d\n%s", args, got, code, out)
	}
	return string(out)
}

const (
	plantedSecret = "k3Vq8sLm2xPz9w"
	withSecret    = "password = " + plantedSecret + "\n"
)

// commit commits a file, and returns what git said.
func (r *testRepository) commit(file, text string) error {
	r.t.Helper()
	r.write(file, text)
	r.git("add", file)
	out, err := r.try("git", "commit", "-q", "-m", file)
	if strings.Contains(out, plantedSecret) {
		r.t.Errorf("the hook shows the secret: %s", out)
	}
	if err != nil {
		r.git("reset", "-q")
		os.Remove(filepath.Join(r.dir, file))
	}
	return err
}

func (r *testRepository) install(args ...string) {
	r.t.Helper()
	cmd := exec.Command(r.program, append([]string{"scan", "install-hook"}, args...)...)
	cmd.Dir = r.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("%v: %s", err, out)
	}
	// The hook names the binary of the test, which is no program by itself.
	for _, kind := range []string{"pre-commit", "pre-merge-commit", "pre-push"} {
		path := filepath.Join(r.dir, ".git/hooks", kind)
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		exe, _ := os.Executable()
		r.write(path, strings.ReplaceAll(string(text), exe, r.program))
	}
}

func TestHooksRefuseSecrets(t *testing.T) {
	r := newTestRepository(t)
	r.install("-pre-push")
	if err := r.commit("a.conf", "password = ${DB_PASSWORD}\n"); err != nil {
		t.Fatalf("refused without a secret: %v", err)
	}
	if r.commit("b.conf", withSecret) == nil {
		t.Error("committed with a secret")
	}
	r.git("checkout", "-q", "-b", "topic")
	r.write("b.conf", withSecret)
	r.git("add", "b.conf")
	r.git("commit", "-q", "--no-verify", "-m", "around the hook")
	r.git("checkout", "-q", "main")
	if err := r.commit("c.conf", "user = app\n"); err != nil {
		t.Fatal(err)
	}
	if out, err := r.try("git", "merge", "-q", "--no-edit", "topic"); err == nil {
		t.Errorf("merged with a secret: %s", out)
	}
	r.git("reset", "-q", "--hard")
	r.git("init", "-q", "--bare", "../remote.git")
	r.git("remote", "add", "origin", "../remote.git")
	if out, err := r.try("git", "push", "-q", "origin", "main"); err != nil {
		t.Errorf("not pushed without a secret: %s", out)
	}
	if out, err := r.try("git", "push", "-q", "origin", "topic"); err == nil || strings.Contains(out, plantedSecret) {
		t.Errorf("pushed with a secret: %s", out)
	}
	r.coffer(0, "scan", "install-hook", "-uninstall")
	if err := r.commit("b.conf", withSecret); err != nil {
		t.Errorf("the hook is still there: %v", err)
	}
}

func TestSettingsOfTheBaseBranchCannotBeChanged(t *testing.T) {
	r := newTestRepository(t)
	if err := r.commit("a.conf", "user = app\n"); err != nil {
		t.Fatal(err)
	}
	r.git("checkout", "-q", "-b", "topic")
	r.write(".gitleaks.toml", "[extend]\nuseDefault = true\n[allowlist]\npaths = ['''.*''']\n")
	r.write("b.conf", withSecret)
	r.git("add", ".")
	r.git("commit", "-q", "-m", "silence")
	r.coffer(0, "scan", "-since=main")
	if out := r.coffer(1, "scan", "-since=main", "-config-from=main"); !strings.Contains(out, "b.conf:1:12") {
		t.Errorf("%s", out)
	}
	r.coffer(2, "scan", "-since=main", "-config-from=nowhere")
	r.git("checkout", "-q", "main")
	r.git("merge", "-q", "topic")
	r.coffer(0, "scan", "-history", "-config-from=main")
}

func TestBaselinesSurviveMovesAndHistory(t *testing.T) {
	r := newTestRepository(t)
	if err := r.commit("old.conf", withSecret); err != nil {
		t.Fatal(err)
	}
	r.coffer(0, "scan", "baseline", "create", "-history")
	r.coffer(2, "scan", "baseline", "create", "-history")
	text, err := os.ReadFile(filepath.Join(r.dir, ".coffer-baseline"))
	if err != nil || strings.Contains(string(text), plantedSecret) {
		t.Errorf("%v: %s", err, text)
	}
	r.git("mv", "old.conf", "new.conf")
	r.git("commit", "-q", "--amend", "-m", "moved")
	if out := r.coffer(0, "scan", "-history"); !strings.Contains(out, "Known, and left out: 1.") {
		t.Errorf("%s", out)
	}
	r.write("more.conf", "password = Zt5Nw8qRy3Uj6h\n")
	r.coffer(1, "scan")
	r.coffer(0, "scan", "baseline", "update")
	r.coffer(0, "scan")
	os.Remove(filepath.Join(r.dir, "new.conf"))
	if out := r.coffer(0, "scan", "baseline", "update", "-prune"); !strings.Contains(out, "knows 1 secrets") {
		t.Errorf("%s", out)
	}
}
