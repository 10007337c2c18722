package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// git runs git in the working folder.
func git(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("git", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestLintHasGitForgetAFileOnlyIfToldTo(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	if err := os.WriteFile(".env", []byte("GREETING=it's\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	git(t, "init", "-q")
	git(t, "add", ".env")
	lint := func(stdin string, terminal bool, flags ...string) (string, int) {
		var out bytes.Buffer
		code := Main(append([]string{"env", "lint"}, flags...), System{
			Stdin: strings.NewReader(stdin), StdinTTY: terminal, Stdout: &out, Stderr: &out, Getenv: noEnvironment,
		})
		return out.String(), code
	}
	if out, code := lint("", false); code != exitLocal || !strings.Contains(out, "git has this file") || !strings.Contains(out, "git does not ignore") {
		t.Errorf("%d\n%s", code, out)
	}
	if out, code := lint("", false, "-fix"); code != exitLocal || !strings.Contains(out, "Nobody can be asked") || git(t, "ls-files") == "" {
		t.Errorf("nobody is there: %d\n%s", code, out)
	}
	if out, code := lint("n\n", true, "-fix"); code != exitLocal || git(t, "ls-files") == "" {
		t.Errorf("no: %d\n%s", code, out)
	}
	if out, code := lint("y\n", true, "-fix"); code != exitOK || git(t, "ls-files") != "" {
		t.Errorf("yes: %d\n%s", code, out)
	}
	if out, code := lint("", false); code != exitOK {
		t.Errorf("%d\n%s", code, out)
	}
	info, err := os.Stat(".env")
	content, readErr := os.ReadFile(".env")
	if err != nil || readErr != nil || info.Mode() != 0o640 || string(content) != "GREETING=\"it's\"\n" {
		t.Errorf("%v %v %q", err, info, content)
	}
	if rules, err := os.ReadFile(".gitignore"); err != nil || string(rules) != "/.env\n" {
		t.Errorf("%q %v", rules, err)
	}
	if left := git(t, "status", "--porcelain"); strings.Contains(left, "backup") {
		t.Errorf("git would take the backup:\n%s", left)
	}
	if found, _ := filepath.Glob(".env*"); len(found) != 2 {
		t.Errorf("%v", found)
	}
}
