// Package conformance runs public Vault clients, unmodified, against a real
// coffer process. It is a module of its own, so that their dependencies are not
// coffer's.
package conformance

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// rootToken is the root token of every server that these tests start.
const rootToken = "root-of-conformance"

// builds is where the programs lie that the tests build.
var builds string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "coffer-conformance")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	builds = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// binary and goExample build a program once for all tests.
var (
	binary    = sync.OnceValues(func() (string, error) { return build("coffer", "..", "./cmd/coffer") })
	goExample = sync.OnceValues(func() (string, error) { return build("app", "../examples/go", ".") })
)

func build(name, module, pkg string) (string, error) {
	path := filepath.Join(builds, name)
	cmd := exec.Command("go", "build", "-o", path, pkg)
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return path, nil
}

// coffer returns the path of the program.
func coffer(t *testing.T) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// startDev starts a development server and returns its address.
func startDev(t *testing.T) string {
	t.Helper()
	listen := freeAddress(t)
	start(t, "server", "-dev", "-dev-root-token-id="+rootToken, "-dev-listen-address="+listen)
	addr := "http://" + listen
	awaitStatus(t, addr+"/v1/sys/health", http.StatusOK)
	return addr
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start starts coffer with args and stops it when the test ends.
func start(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(coffer(t), args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if t.Failed() {
			t.Logf("the server said:\n%s", log.String())
		}
	})
	return cmd
}

// awaitStatus waits until a GET of url is answered with the status.
func awaitStatus(t *testing.T, url string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == status {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s never answered %d (last error: %v)", url, status, err)
		case <-tick.C:
		}
	}
}
