package runner

import (
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shell runs a script, scrubbed.
func shell(t *testing.T, env []string, script string, change func(*Options)) outcome {
	t.Helper()
	return try(t, append(env, "PATH="+os.Getenv("PATH")), nil, func(o *Options) {
		o.Command, o.Scrub = []string{"sh", "-c", script}, true
		if change != nil {
			change(o)
		}
	})
}

func TestOutputIsScrubbed(t *testing.T) {
	const pw = "A=vault:secret/db#password"
	tests := []struct {
		name   string
		env    []string
		script string
		want   string
	}{
		{"a value", []string{pw}, `printf "<$A>"`, "<[redacted]>"},
		{"in pieces", []string{pw}, `printf c4n4; printf "ry-"; echo pw`, "[redacted]\n"},
		{"its beginning alone", []string{pw}, `printf "c4n4ry-"`, "c4n4ry-"},
		{"within a longer one", []string{"A=postgres://u:${vault:secret/db#password}@h"}, `echo "$A"; echo c4n4ry-pw`, "postgres://u:[redacted]@h\n[redacted]\n"},
		{"encoded", []string{pw}, `printf %s "$A" | base64`, "[redacted]\n"},
		{"of a config", nil, `cat "$1"`, "k=[redacted]\n"},
		{"a short value", []string{"A=vault:secret/db#user"}, `echo "$A"`, "app\n"},
		{"nothing to scrub", nil, `echo c4n4ry-pw`, "c4n4ry-pw\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := shell(t, tt.env, tt.script, func(o *Options) {
				if tt.name == "of a config" {
					o.ConfigFile = write(t, "app.ini", "k=${vault:secret/db#password}\n")
					o.Command = append(o.Command, "sh", "{}")
				}
			})
			if o.code != 0 || o.out != tt.want {
				t.Errorf("code %d: %s: %q, want %q", o.code, o.err, o.out, tt.want)
			}
			warned := slices.ContainsFunc(o.warnings, func(w string) bool { return strings.HasPrefix(w, "A is not removed from output: ") })
			if warned != (tt.name == "a short value") {
				t.Errorf("warnings: %q", o.warnings)
			}
		})
	}
}

func TestTheOrderOfOneFileIsKept(t *testing.T) {
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	shell(t, []string{"A=vault:secret/db#password"}, `for i in 1 2 3; do echo "out $i $A"; echo "err $i $A" >&2; done`, func(o *Options) {
		o.Stdout, o.Stderr = out, out
	})
	got, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	want := "out 1 [redacted]\nerr 1 [redacted]\nout 2 [redacted]\nerr 2 [redacted]\nout 3 [redacted]\nerr 3 [redacted]\n"
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
}

func TestWhatIsLeftInTheBackgroundHoldsNobodyUp(t *testing.T) {
	in, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	o := shell(t, []string{"A=vault:secret/db#password"}, `cat & head -c 1000000 /dev/zero | tr '\0' x; echo; echo "$A"`, func(o *Options) { o.Stdin = in })
	if want := strings.Repeat("x", 1_000_000) + "\n[redacted]\n"; o.code != 0 || o.out != want {
		t.Errorf("code %d %s: %d bytes, want %d", o.code, o.err, len(o.out), len(want))
	}
}

func TestOutputThatNobodyReadsEndsTheProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, url := startFake(t)
	cmd := exec.CommandContext(t.Context(), self, "run", "sh", "-c", "echo ready; exec yes")
	cmd.Env = slices.Concat(os.Environ(), asProgram(), []string{"VAULT_ADDR=" + url, "VAULT_TOKEN=given", "A=vault:secret/db#password", "RUNNER_TEST_SCRUB=1"})
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	out.Close()
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 128+int(syscall.SIGPIPE) {
		t.Errorf("exit code %d", got)
	}
}

func TestNeitherWeNorTheProgramDumpCores(t *testing.T) {
	o := shell(t, nil, "ulimit -Sc; ulimit -Hc", nil)
	if o.out != "0\n0\n" {
		t.Errorf("got %q", o.out)
	}
}

func TestValuesOfBeforeAreScrubbedStill(t *testing.T) {
	fake, cmd, out := following(t, "restart", []string{"A=vault:secret/changing#password", "RUNNER_TEST_SCRUB=1"}, "both")
	want(t, out, "value [redacted] [redacted]")
	fake.awaitUse(t, 1)
	fake.publish()
	want(t, out, "terminated", "value [redacted] [redacted]") // the second is that of before
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	want(t, out, "terminated")
	end(t, cmd, out, 7)
}
