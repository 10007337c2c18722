package runner

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// talk is a program for terminals: it tells what its streams are, and does what
// lines of its input say.
func talk() {
	kind := func(f *os.File) string {
		if terminalOf(f) == nil {
			return "file"
		}
		return "terminal"
	}
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	fmt.Printf("talk %s %s %s\n", kind(os.Stdin), kind(os.Stdout), kind(os.Stderr))
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		switch word, rest, _ := strings.Cut(in.Text(), " "); word {
		case "secret":
			fmt.Println("secret is " + os.Getenv("A") + ".")
		case "complain":
			fmt.Fprintln(os.Stderr, "complaint about "+os.Getenv("A")+".")
		case "size":
			<-resized
			size, err := pty.GetsizeFull(os.Stdout)
			fmt.Println("size is", size.Rows, size.Cols, err)
		case "say":
			fmt.Println("said", rest)
		case "die":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case "end":
			os.Exit(9)
		}
	}
	os.Exit(3)
}

// screen is a terminal with a program in it, and what it has printed.
type screen struct {
	t      *testing.T
	keys   *os.File
	slave  *os.File
	cmd    *exec.Cmd
	before *unix.Termios

	mu     sync.Mutex // guards the fields below
	text   bytes.Buffer
	more   chan struct{} // closed, and replaced, when there is more text
	closed bool
}

// openScreen starts a command in a terminal of its own. Change may take streams
// away from it.
func openScreen(t *testing.T, env []string, change func(*exec.Cmd), args ...string) *screen {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, keys: master, slave: slave, more: make(chan struct{})}
	if err := pty.Setsize(master, &pty.Winsize{Rows: 30, Cols: 90}); err != nil {
		t.Fatal(err)
	}
	if s.before, err = termiosOf(slave); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.CommandContext(t.Context(), args[0], args[1:]...)
	s.cmd.Env = slices.Concat(os.Environ(), asProgram(), env)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = slave, slave, slave
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if change != nil {
		change(s.cmd)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go s.read()
	t.Cleanup(func() {
		slave.Close()
		master.Close()
	})
	return s
}

func (s *screen) read() {
	buffer := make([]byte, 1024)
	for {
		n, err := s.keys.Read(buffer)
		s.mu.Lock()
		s.text.Write(buffer[:n])
		s.closed = err != nil
		close(s.more)
		s.more = make(chan struct{})
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *screen) press(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.keys, keys); err != nil {
		s.t.Fatal(err)
	}
}

// await waits until text is on the screen, and forgets all up to it.
func (s *screen) await(text string) {
	s.t.Helper()
	for {
		s.mu.Lock()
		_, rest, found := bytes.Cut(s.text.Bytes(), []byte(text))
		if found {
			rest = bytes.Clone(rest)
			s.text.Reset()
			s.text.Write(rest)
		}
		shown, more, closed := s.text.String(), s.more, s.closed
		s.mu.Unlock()
		switch {
		case strings.Contains(shown, canary):
			s.t.Fatalf("the secret shows: %q", shown)
		case found:
			return
		case closed:
			s.t.Fatalf("want %q, and the terminal shows %q", text, shown)
		}
		select {
		case <-more:
		case <-s.t.Context().Done():
			s.t.Fatalf("want %q, and the terminal shows %q", text, shown)
		}
	}
}

// end waits for the command, and looks whether the terminal is as it was.
func (s *screen) end(code int) {
	s.t.Helper()
	_ = s.cmd.Wait()
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("exit code %d, want %d", got, code)
	}
	s.isAsBefore()
}

func (s *screen) isAsBefore() {
	s.t.Helper()
	after, err := termiosOf(s.slave)
	if err != nil || *after != *s.before {
		s.t.Errorf("the terminal is not what it was: %v\n%+v\n%+v", err, after, s.before)
	}
}

// scrubbed runs a run with a secret in A, in a terminal.
func scrubbed(t *testing.T, change func(*exec.Cmd), args ...string) *screen {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, url := startFake(t)
	env := []string{"VAULT_ADDR=" + url, "VAULT_TOKEN=given", "A=vault:secret/db#password", "RUNNER_TEST_SCRUB=1"}
	if len(args) == 0 {
		args = []string{self, "talk"}
	}
	return openScreen(t, env, change, append([]string{self, "run"}, args...)...)
}

func TestAProgramInATerminalHasOne(t *testing.T) {
	s := scrubbed(t, nil)
	s.await("talk terminal terminal terminal\r\n")
	s.press("secret\r")
	s.await("secret\r\n") // the echo
	s.await("secret is [redacted].\r\n")
	s.press("complain\r")
	s.await("complaint about [redacted].\r\n")
	s.press("say one\x7f\x7fn\r") // the line is edited before the program sees it
	s.await("said on\r\n")
	if err := pty.Setsize(s.keys, &pty.Winsize{Rows: 11, Cols: 77}); err != nil {
		t.Fatal(err)
	}
	s.press("size\r")
	s.await("size is 11 77 <nil>\r\n")
	s.press("end\r")
	s.await("end\r\n")
	s.end(9)
}

func TestAProgramInATerminalInheritsFiles(t *testing.T) {
	file, err := os.Open(write(t, "inherited", "what was inherited\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s := scrubbed(t, func(c *exec.Cmd) { c.ExtraFiles = []*os.File{nil, file} }, "sh", "-c", "cat <&4")
	s.await("what was inherited\r\n")
	s.end(0)
}

func TestTheEndOfTheInputReachesTheProgram(t *testing.T) {
	s := scrubbed(t, nil)
	s.await("talk terminal terminal terminal\r\n")
	s.press("\x04")
	s.end(3)
}

func TestKeysThatAreSignals(t *testing.T) {
	for name, tt := range map[string]struct {
		keys string
		code int
	}{
		"Ctrl-C":  {"\x03", 128 + int(syscall.SIGINT)},
		"Ctrl-\\": {"\x1c", 128 + int(syscall.SIGQUIT)},
		"an end":  {"die\r", 128 + int(syscall.SIGKILL)},
	} {
		t.Run(name, func(t *testing.T) {
			s := scrubbed(t, nil, "sh", "-c", `echo ready; read line; test "$line" = die && kill -KILL $$`)
			s.await("ready\r\n")
			s.press(tt.keys)
			s.end(tt.code)
		})
	}
}

func TestAProgramThatCannotStartLeavesTheTerminalAsItWas(t *testing.T) {
	s := scrubbed(t, nil, write(t, "script", "exit 0\n"))
	s.end(ExitNotExecutable)
}

func TestASignalToUsReachesTheProgramInItsTerminal(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := scrubbed(t, nil, self, "signals")
	s.await("ready\r\n")
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGTERM} {
		if err := s.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		s.await(sig.String() + "\r\n")
	}
	s.end(7)
}

func TestTheTerminalOfAKilledRunIsRestored(t *testing.T) {
	s := scrubbed(t, nil, "sh", "-c", "trap 'echo over >&3; exit' HUP; echo ready; while :; do read line; done")
	s.await("ready\r\n")
	mode, err := termiosOf(s.slave)
	if err != nil || mode.Lflag&unix.ICANON != 0 {
		t.Fatalf("the terminal is not raw: %v", err)
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Wait()
	for { // the monitor does it, and nobody waits for that
		after, err := termiosOf(s.slave)
		if err != nil {
			t.Fatal(err)
		}
		if *after == *s.before {
			return
		}
		if t.Context().Err() != nil {
			t.Fatal("the terminal is not what it was")
		}
		runtime.Gosched()
	}
}

func TestOneStreamIsATerminal(t *testing.T) {
	tests := []struct {
		name   string
		change func(*exec.Cmd)
		want   string
	}{
		{"the input is none", func(c *exec.Cmd) { c.Stdin, c.SysProcAttr.Ctty = strings.NewReader("secret\nend\n"), 1 }, "talk file terminal terminal\r\nsecret is [redacted].\r\n"},
		{"the errors are none", func(c *exec.Cmd) { c.Stderr = io.Discard }, "talk terminal terminal file\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := scrubbed(t, tt.change)
			s.await(tt.want)
			if s.cmd.Stdin == s.slave {
				s.press("end\r")
			}
			s.end(9)
		})
	}
}

func TestOnlyTheErrorsAreATerminal(t *testing.T) {
	var out bytes.Buffer
	s := scrubbed(t, func(c *exec.Cmd) {
		c.Stdin, c.Stdout, c.SysProcAttr.Ctty = strings.NewReader("complain\nend\n"), &out, 2
	})
	s.await("complaint about [redacted].\r\n")
	s.end(9)
	if got := out.String(); got != "talk file file terminal\n" {
		t.Errorf("got %q", got)
	}
}

func TestTheShellControlsTheJob(t *testing.T) {
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, url := startFake(t)
	s := openScreen(t, []string{
		"VAULT_ADDR=" + url, "VAULT_TOKEN=given", "A=vault:secret/db#password", "RUNNER_TEST_SCRUB=1", "PS1=$ ",
	}, nil, shell, "--norc", "--noprofile", "--noediting", "-i")
	s.await("$ ")
	s.press(self + " run " + self + " talk\r")
	s.await("talk terminal terminal terminal\r\n")
	s.press("\x1a")
	s.await("Stopped")
	s.await("$ ")
	s.press("echo a$((1+1))b\r")
	s.await("a2b\r\n")
	s.press("fg\r")
	s.press("secret\r")
	s.await("secret is [redacted].\r\n")
	s.press("\x1a")
	s.await("Stopped")
	s.press("bg\r")
	s.await("$ ")
	s.press("echo c$((1+1))d\r") // the keys are the shell's
	s.await("c2d\r\n")
	s.press("fg\r")
	s.press("say again\r")
	s.await("said again\r\n")
	s.press("end\r")
	s.await("$ ")
	s.press("echo code $?\r")
	s.await("code 9\r\n")
	s.press("sh -c '" + self + " run " + self + " talk; echo end of the script'\r") // a job of several
	s.await("talk terminal terminal terminal\r\n")
	s.press("\x1a")
	s.await("Stopped")
	s.press("fg\r")
	s.press("end\r")
	s.await("end of the script\r\n")
	s.press("exit 0\r")
	s.end(0)
}
