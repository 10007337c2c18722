package runner

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// following starts a run of the test binary that follows secret/changing.
func following(t *testing.T, onChange string, env []string, args ...string) (*fakeServer, *exec.Cmd, *bufio.Scanner) {
	t.Helper()
	fake := &fakeServer{version: 1, told: make(chan struct{}, 16)}
	h := httptest.NewServer(fake)
	t.Cleanup(h.Close)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env = append([]string{"VAULT_ADDR=" + h.URL, "VAULT_TOKEN=given", "RUNNER_TEST_ON_CHANGE=" + onChange}, env...)
	cmd, out := program(t, env, append([]string{"run", self, "follow"}, args...)...)
	return fake, cmd, out
}

// awaitUse waits until the server was told that a version is in use.
func (s *fakeServer) awaitUse(t *testing.T, version int) {
	t.Helper()
	for {
		select {
		case <-s.told:
		case <-t.Context().Done():
			t.Fatal("the test ends")
		}
		s.mu.Lock()
		used := s.used
		s.mu.Unlock()
		if used == version {
			return
		}
	}
}

func want(t *testing.T, out *bufio.Scanner, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if got := next(t, out); got != line {
			t.Fatalf("got %q, want %q", got, line)
		}
	}
}

func end(t *testing.T, cmd *exec.Cmd, out *bufio.Scanner, code int) {
	t.Helper()
	if out.Scan() {
		t.Errorf("got %q", out.Text())
	}
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
}

const changing = "A=vault:secret/changing#password"

func TestTheProgramIsRestartedWithNewValues(t *testing.T) {
	fake, cmd, out := following(t, "restart", []string{changing})
	want(t, out, "value c4n4ry-1")
	fake.awaitUse(t, 1)
	fake.publish()
	want(t, out, "terminated", "value c4n4ry-2")
	fake.awaitUse(t, 2)
	fake.publish()
	want(t, out, "terminated", "value c4n4ry-3")
	fake.awaitUse(t, 3)
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	want(t, out, "hangup", "value c4n4ry-3")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	want(t, out, "terminated")
	end(t, cmd, out, 7)
	if fake.used != 0 {
		t.Error("no goodbye was said")
	}
}

func TestAProgramThatDoesNotEndIsKilled(t *testing.T) {
	fake, cmd, out := following(t, "restart", []string{changing, "RUNNER_TEST_STOP_TIMEOUT=200ms"}, "stubborn")
	want(t, out, "value c4n4ry-1")
	fake.publish()
	want(t, out, "terminated", "value c4n4ry-2")
	for range 2 {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		want(t, out, "terminated")
	}
	end(t, cmd, out, 7)
}

func TestAProgramThatIsToEndIsNotStartedAgain(t *testing.T) {
	fake, cmd, out := following(t, "restart", []string{changing, "RUNNER_TEST_STOP_TIMEOUT=1h"}, "stubborn")
	want(t, out, "value c4n4ry-1")
	fake.publish()
	want(t, out, "terminated") // by us, and it stays
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	want(t, out, "terminated")
	end(t, cmd, out, 7)
}

func TestTheProgramIsToldOfNewValuesInItsFile(t *testing.T) {
	config := write(t, "app.yaml", "pw: vault:secret/changing#password # mine\n")
	fake, cmd, out := following(t, "signal=hup", []string{"RUNNER_TEST_CONFIG=" + config}, "{}")
	want(t, out, `value pw: "c4n4ry-1" # mine`, "")
	fake.awaitUse(t, 1)
	fake.publish()
	want(t, out, "hangup", `value pw: "c4n4ry-2" # mine`, "")
	fake.awaitUse(t, 2)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	want(t, out, "terminated")
	end(t, cmd, out, 7)
}

func TestOnChangeIsRefused(t *testing.T) {
	config := write(t, "app.yaml", "pw: vault:secret/db#password\n")
	tests := []struct {
		name string
		env  []string
		file string
		want string
	}{
		{"a signal without a file", nil, "", "needs -config"},
		{"a signal with a value in the environment", []string{"A=vault:secret/db#user"}, config, "A: the environment of a program that is running cannot be changed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"cat", "{}"}
			if tt.file == "" {
				args = args[:1]
			}
			o := try(t, append(tt.env, "VAULT_TOKEN=given"), args, func(o *Options) {
				o.ConfigFile, o.OnChange = tt.file, OnChange{Signal: syscall.SIGHUP}
			})
			if o.code != ExitLocal || !strings.Contains(o.err, tt.want) {
				t.Errorf("code %d: %s", o.code, o.err)
			}
		})
	}
}

func TestFollowingGivesEverythingBack(t *testing.T) {
	o := try(t, []string{"VAULT_ROLE_ID=role", "VAULT_SECRET_ID=sid", "A=vault:secret/db#user"}, []string{"exit", "5"}, func(o *Options) {
		o.OnChange.Restart = true
	})
	if o.code != 5 || !slices.Contains(o.requests, "PUT auth/token/revoke-self earned") {
		t.Errorf("code %d: %s %q", o.code, o.err, o.requests)
	}
}

func TestParseOnChange(t *testing.T) {
	for text, want := range map[string]OnChange{
		"": {}, "none": {}, "restart": {Restart: true},
		"signal=HUP": {Signal: syscall.SIGHUP}, "signal=sigusr1": {Signal: syscall.SIGUSR1},
		"exec=kill -HUP $COFFER_PID": {Exec: "kill -HUP $COFFER_PID"},
	} {
		if got, err := ParseOnChange(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"reload", "signal", "signal=", "signal=NOPE", "signal=1", "exec", "exec= "} {
		if got, err := ParseOnChange(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestACommandIsToldOfNewValues(t *testing.T) {
	marks := t.TempDir()
	// It fails the first time, and is then tried again.
	hook := `exec=echo "told of $A" && if test -e ` + marks + `/tried; then kill -HUP $COFFER_PID; else : >` + marks + `/tried; exit 3; fi`
	fake, cmd, out := following(t, hook, []string{changing, "RUNNER_TEST_SCRUB=1"})
	want(t, out, "value [redacted]")
	fake.awaitUse(t, 1)
	fake.publish()
	want(t, out, "told of [redacted]", "told of [redacted]", "hangup", "value [redacted]")
	fake.awaitUse(t, 2)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	want(t, out, "terminated")
	end(t, cmd, out, 7)
}

func TestChangesThatComeTogetherAreOne(t *testing.T) {
	j := newJob(&Options{Debounce: time.Second, Warn: func(string) {}})
	j.names = []string{"A"}
	set := func(text string) { j.fixed = values{value: func(string) (string, bool) { return text, true }} }
	set("1")
	j.applied = j.current()
	pauses := 0
	j.pause = func(context.Context, time.Duration) error {
		if pauses++; pauses < 3 {
			set("change " + strconv.Itoa(pauses))
		}
		return nil
	}
	if v, err := j.settled(t.Context()); err != nil || !v.equal(j.applied, j.names) || pauses != 0 {
		t.Errorf("no change: %v after %d pauses", err, pauses)
	}
	set("2")
	v, err := j.settled(t.Context())
	if text, _ := v.value("A"); err != nil || text != "change 2" || pauses != 3 {
		t.Errorf("%v, %q after %d pauses", err, text, pauses)
	}
	// A change that is taken back is none.
	set("2")
	j.pause = func(context.Context, time.Duration) error { set("1"); return nil }
	if v, err := j.settled(t.Context()); err != nil || !v.equal(j.applied, j.names) {
		t.Errorf("taken back: %v", err)
	}
}

func TestNothingIsFollowedUnlessItMatters(t *testing.T) {
	file := []File{{Name: "K", Reference: "vault:a#b"}}
	tests := []struct {
		name string
		o    Options
		want bool
	}{
		{"the environment alone", Options{}, false},
		{"a file", Options{Files: file}, true},
		{"a restart", Options{OnChange: OnChange{Restart: true}}, true},
		{"a file that is not to be watched", Options{Files: file, NoWatch: true}, false},
		{"a restart that is not to be", Options{OnChange: OnChange{Restart: true}, NoWatch: true}, false},
	}
	for _, tt := range tests {
		if got := tt.o.follows(); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestAProgramThatStartedWithoutItsServerGetsNewValues(t *testing.T) {
	dir := prepareKey(t)
	fake := &fakeServer{version: 1, told: make(chan struct{}, 16)}
	var gone atomic.Bool
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if gone.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fake.ServeHTTP(w, r)
	}))
	defer h.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"VAULT_ADDR=" + h.URL, "VAULT_TOKEN=given", changing, "RUNNER_TEST_ON_CHANGE=restart", "RUNNER_TEST_OFFLINE=" + dir}
	for _, life := range []string{"with the server", "without"} {
		cmd, out := program(t, env, "run", self, "follow")
		want(t, out, "value c4n4ry-1")
		if life == "without" {
			gone.Store(false)
			want(t, out, "terminated", "value c4n4ry-2")
			fake.awaitUse(t, 2)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		want(t, out, "terminated")
		end(t, cmd, out, 7)
		gone.Store(true)
		fake.publish()
	}
}
