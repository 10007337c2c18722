package main_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is the path of coffer, built for these tests.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "coffer-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "coffer")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// runDemo runs coffer demo with a temporary folder of its own and returns what
// it printed, and that folder.
func runDemo(t *testing.T, args ...string) (out, temp string) {
	t.Helper()
	temp = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"demo"}, args...)...)
	// The settings of whoever runs the test must not matter.
	cmd.Env = append(os.Environ(), "TMPDIR="+temp, "VAULT_ADDR=http://127.0.0.1:1", "VAULT_TOKEN=stray", "VAULT_NAMESPACE=stray")
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return string(text), temp
}

func TestTheDemoHolds(t *testing.T) {
	out, temp := runDemo(t)
	steps := regexp.MustCompile(`(?m)^ ?\d+\. `).FindAllString(out, -1)
	if len(steps) != 12 || !strings.Contains(out, "All 12 steps held") {
		t.Errorf("%d steps\n%s", len(steps), out)
	}
	for _, want := range []string{
		"secret/data/app/api                          REFUSED: permission denied",
		"approle  read   secret/data/app/database                     ok",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the audit lines lack %q\n%s", want, out)
		}
	}
	left, err := filepath.Glob(filepath.Join(temp, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// What -keep prints is enough to go on with, and to end it.
func TestTheDemoLeavesItsServerIfAsked(t *testing.T) {
	out, temp := runDemo(t, "-keep")
	found := regexp.MustCompile(`kill (\d+); rm -r (\S+)`).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("nothing says how to end it\n%s", out)
	}
	pid, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		awaitEnd(t, pid)
	})
	if filepath.Dir(found[2]) != temp {
		t.Errorf("the files are in %s", found[2])
	}
	export := regexp.MustCompile(`(?s)export .*?root-token\)`).FindString(out)
	read := exec.CommandContext(t.Context(), "sh", "-ec", strings.ReplaceAll(export, "\\\n", " ")+"\n"+program+" kv get -field=key secret/app/api")
	var stderr bytes.Buffer
	read.Stderr = &stderr
	key, err := read.Output()
	if err != nil || len(key) < 20 {
		t.Errorf("kv get: %v, %d bytes, %s", err, len(key), stderr.String())
	}
}

// awaitEnd waits until a process that is not a child is gone, for the folder of
// the test to be free.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); syscall.Kill(pid, 0) == nil; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("process %d does not end", pid)
		}
	}
}
