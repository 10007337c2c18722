package runner

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRun starts the program "true": by itself, and by coffer run with ten
// references to ten secrets of a server on loopback.
func BenchmarkRun(b *testing.B) {
	coffer := filepath.Join(b.TempDir(), "coffer")
	if out, err := exec.Command("go", "build", "-o", coffer, "github.com/cofferhq/coffer/cmd/coffer").CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	env := append(os.Environ(), "HOME="+b.TempDir(), "VAULT_TOKEN=root", "VAULT_ADDR="+devServer(b, coffer))
	references := env[:len(env):len(env)]
	for i := range 10 {
		name := fmt.Sprintf("secret/bench/%d", i)
		put := exec.Command(coffer, "kv", "put", name, fmt.Sprintf("password=correct-horse-%d", i))
		put.Env = env
		if out, err := put.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		references = append(references, fmt.Sprintf("SECRET_%d=vault:%s#password", i, name))
	}
	for _, run := range []struct {
		name string
		args []string
		env  []string
	}{
		{"alone", []string{"true"}, env},
		{"version", []string{coffer, "version"}, env}, // what it costs to be a program
		{"without references", []string{coffer, "run", "--", "true"}, env},
		{"ten references", []string{coffer, "run", "--", "true"}, references},
		{"ten references, not scrubbed", []string{coffer, "run", "-scrub=false", "--", "true"}, references},
	} {
		b.Run(run.name, func(b *testing.B) {
			var cpu time.Duration // of all processes: the clock alone says little on a busy machine
			for b.Loop() {
				cmd := exec.Command(run.args[0], run.args[1:]...)
				cmd.Env = run.env
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
				cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			}
			b.ReportMetric(float64(cpu.Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}

// devServer starts a server and returns its address.
func devServer(b *testing.B, coffer string) string {
	b.Helper()
	cmd := exec.Command(coffer, "server", "-dev", "-dev-root-token-id=root", "-dev-listen-address=127.0.0.1:0")
	cmd.Env = append(os.Environ(), "HOME="+b.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stdout = cmd.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	serves := regexp.MustCompile(`serves at (\S+)`)
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		if found := serves.FindStringSubmatch(lines.Text()); found != nil {
			go func() {
				for lines.Scan() {
				}
			}()
			return found[1]
		}
	}
	b.Fatalf("the server does not serve:\n%s", &said)
	return ""
}
