// Package servertest runs the real program in tests: it builds it, starts it as a
// process of its own, waits until it serves, initialises and unseals it, and ends
// it as an operator, or as a crash, would. It is to whole servers what
// net/http/httptest is to handlers.
//
// A package that uses it has a TestMain, for what was built to be removed:
//
//	func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }
//
// A test then begins with
//
//	s := servertest.New(t, servertest.Config{})
//	root := s.Start().Open()
//
// Start reading at [Server].
package servertest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	// The program is built while a test runs: this makes the result, which the go
	// tool may remember, depend on it.
	_ "github.com/cofferhq/coffer/internal/cli"
)

// Build is how the program is built.
type Build int

const (
	Plain Build = iota // as it is released: static
	Raced              // with the race detector; a race ends the process
)

const mainPackage = "github.com/cofferhq/coffer/cmd/coffer"

// built is what this test binary has built.
var built struct {
	mu       sync.Mutex // guards the fields below; held while building
	dir      string     // empty: Main is not running
	programs map[Build]string
}

// Main runs the tests of a package and removes what they have built. It returns
// the code to exit with.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "coffer-servertest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built.dir, built.programs = dir, map[Build]string{}
	return m.Run()
}

// Program returns the path of the program, which it builds when it is first
// asked. It fails the test if that goes wrong.
func Program(t testing.TB, b Build) string {
	t.Helper()
	built.mu.Lock()
	defer built.mu.Unlock()
	if path := built.programs[b]; path != "" {
		return path
	}
	path, err := build(b)
	if err != nil {
		t.Fatalf("build the program: %v", err)
	}
	built.programs[b] = path
	return path
}

func build(b Build) (string, error) {
	if built.dir == "" {
		return "", errors.New("TestMain does not call servertest.Main")
	}
	name, args, cgo := "coffer", []string{"build"}, "CGO_ENABLED=0"
	if b == Raced {
		name, args, cgo = "coffer-raced", append(args, "-race"), "CGO_ENABLED=1"
	}
	path := filepath.Join(built.dir, name)
	cmd := exec.Command("go", append(args, "-o", path, mainPackage)...)
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
}
