package runner

import (
	"bufio"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// program starts the test binary with pipes.
func program(t *testing.T, env []string, args ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = slices.Concat(os.Environ(), asProgram(), env)
	cmd.Stderr = os.Stderr
	// A session of its own: no terminal takes part.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

func next(t *testing.T, s *bufio.Scanner) string {
	t.Helper()
	if !s.Scan() {
		t.Fatalf("no more lines: %v", s.Err())
	}
	return s.Text()
}

func TestSignalsReachTheProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd, out := program(t, nil, "run", self, "signals")
	if got := next(t, out); got != "ready" {
		t.Fatal(got)
	}
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGTERM} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if got := next(t, out); got != sig.String() {
			t.Errorf("got %q, want %q", got, sig)
		}
	}
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 7 {
		t.Errorf("exit code %d", got)
	}
}

func TestWhatTheTerminalSendsIsNotSentTwice(t *testing.T) {
	cmd, out := program(t, nil, "signals")
	if got := next(t, out); got != "ready" {
		t.Fatal(got)
	}
	s := &signals{received: make(chan os.Signal)}
	foreground := func() bool { return true }
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		s.forward(func(sig os.Signal) { _ = cmd.Process.Signal(sig) }, foreground, done)
	}()
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGTERM} {
		s.received <- sig
		if sig == syscall.SIGUSR1 {
			if got := next(t, out); got != syscall.SIGUSR1.String() {
				t.Errorf("got %q", got)
			}
		}
	}
	if got := next(t, out); got != syscall.SIGTERM.String() {
		t.Errorf("got %q", got)
	}
	close(done)
	<-ended
	_ = cmd.Wait()
}

func TestAnIgnoredSignalStaysIgnored(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `trap "" HUP; exec "$0" run sh -c 'kill -HUP $$; kill -HUP $PPID; exit 3'`, self)
	cmd.Env = append(os.Environ(), asProgram()...)
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != 3 {
		t.Errorf("exit code %d, %v: %s", got, err, out)
	}
}

func TestASignalEndsThePreparations(t *testing.T) {
	// The server's answer never comes: what comes is the request.
	asked := make(chan struct{})
	address := neverAnswers(t, asked)
	cmd, out := program(t, []string{"VAULT_ADDR=" + address, "VAULT_TOKEN=t", "A=vault:secret/db#k"}, "run", "true")
	<-asked
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if out.Scan() {
		t.Errorf("got %q", out.Text())
	}
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 128+15 {
		t.Errorf("exit code %d", got)
	}
}

func TestTheCopyOfAKilledRunIsRemovedByTheNext(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	config := write(t, "app.conf", "$${vault:x}")
	env := []string{"TMPDIR=" + t.TempDir(), "RUNNER_TEST_CONFIG=" + config, "XDG_RUNTIME_DIR="}
	cmd, out := program(t, env, "run", self, "signals", "{}")
	path := strings.TrimPrefix(next(t, out), "ready ")
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil { // the program, which is left
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	d, err := makePrivateDir(filepath.Dir(filepath.Dir(filepath.Dir(path))), 0o700)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", path, err)
	}
}

func TestAFolderInUseIsLeftAlone(t *testing.T) {
	base := t.TempDir()
	used, err := makePrivateDir(base, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	left, err := makePrivateDir(base, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	left.lock.Close() // its run was killed
	other, err := makePrivateDir(base, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	for d, want := range map[*privateDir]bool{used: true, left: false, other: true} {
		if _, err := os.Stat(d.path); (err == nil) != want {
			t.Errorf("%s: %v", d.path, err)
		}
	}
	if err := errors.Join(used.Close(), other.Close()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(base); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestSecretsDoNotGoToADiskUnasked(t *testing.T) {
	base := t.TempDir()
	if isMemory(base) {
		base = "/proc"
	}
	_, err := openPrivateDir([]string{"", base, "/none"}, false, 0o700)
	if err == nil || !strings.Contains(err.Error(), "-allow-disk") {
		t.Errorf("got %v", err)
	}
}

// neverAnswers returns the address of a server that closes asked at the first
// request.
func neverAnswers(t *testing.T, asked chan struct{}) string {
	t.Helper()
	var once sync.Once
	h := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(asked) })
		<-r.Context().Done()
	}))
	t.Cleanup(h.Close)
	return h.URL
}
