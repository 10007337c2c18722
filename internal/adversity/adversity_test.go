// Package adversity runs the real program in a bad world: on disks that are full,
// read-only or broken, on files that are torn or rotten, in folders and with keys
// that are not its own. Whatever happens, an error says what it is and what to do
// next, nothing acknowledged is lost, nothing wrong is served, what can be read is
// read on, and when the cause is gone the server is as it was.
//
// It is a folder of tests only. Bad disks are real ones: small file systems that
// the tests mount, in a mount namespace of their own (see [TestMain]). What a
// failure of each single call to the disk does is the affair of
// internal/storage/pebble.
package adversity

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/cofferhq/coffer/internal/servertest"
)

// insideEnv tells a test binary that it runs in a mount namespace of its own.
const insideEnv = "COFFER_ADVERSITY_INSIDE"

// TestMain runs the tests in a mount namespace of their own, so that what they
// mount is seen, and outlived, by nobody. Without root that needs a user namespace
// too.
func TestMain(m *testing.M) {
	if os.Getenv(insideEnv) != "" {
		os.Exit(servertest.Main(m))
	}
	code, err := reenter()
	if err != nil {
		outside = err
		code = servertest.Main(m)
	}
	os.Exit(code)
}

// outside is why the tests run in no namespace of their own; nil if they do.
var outside error

// reenter runs this test binary again, inside. The error is that it could not be
// started.
func reenter() (code int, err error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start in a mount namespace: %w", err)
	}
	var ended *exec.ExitError
	if err := cmd.Wait(); errors.As(err, &ended) && ended.ExitCode() >= 0 {
		return ended.ExitCode(), nil
	} else if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, nil
	}
	return 0, nil
}

// impossible ends a test that can't be done here. In CI that is a failure.
func impossible(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("this must be possible in CI: "+format, args...)
	}
	t.Skipf(format, args...)
}
