package parts

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// nobody is the account that servers run under when the tests run as root, which
// the servers refuse to do.
const nobody = 65534

// credential returns the account for a child process; nil: that of the test.
func credential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	return &syscall.Credential{Uid: nobody, Gid: nobody}
}

// process is a running server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

const (
	startTime = 60 * time.Second // of a server on a busy machine
	stopTime  = 10 * time.Second
)

// launch starts a server and waits until it says that it is ready, by the
// protocol of sd_notify(3), which all of them speak.
func launch(dir string, argv []string) (*process, error) {
	ready, err := listenReady(dir)
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append(environment(), "NOTIFY_SOCKET="+ready.LocalAddr().String())
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// It dies with the thread that started it, so with the test however that ends.
	// SIGQUIT is what makes PostgreSQL give back its shared memory; the others end
	// on it too.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(), Pdeathsig: syscall.SIGQUIT}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	if err := p.awaitReady(ready); err != nil {
		p.stop()
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%w\n%s", err, tail(text))
	}
	return p, nil
}

// run stays on one thread until the process ends: see Pdeathsig.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer close(p.done)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		p.cmd.Wait()
	}
}

func listenReady(dir string) (*net.UnixConn, error) {
	path := filepath.Join(dir, "ready")
	os.Remove(path) // of an attempt before
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o777); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (p *process) awaitReady(c *net.UnixConn) error {
	c.SetReadDeadline(time.Now().Add(startTime))
	go func() {
		<-p.done
		c.Close() // ends the reading below
	}()
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return errors.New("the server has ended")
		}
		if err != nil {
			return fmt.Errorf("wait until the server is ready: %w", err)
		}
		for line := range bytes.Lines(buf[:n]) {
			if string(bytes.TrimSpace(line)) == "READY=1" {
				return nil
			}
		}
	}
}

// stop ends the process and waits for it.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.done:
	case <-time.After(stopTime):
		p.cmd.Process.Kill()
		<-p.done
	}
}

// environment is that of a child: the test's own, without what would change a
// server's mind.
func environment() []string {
	env := []string{"LC_ALL=C"}
	for _, name := range []string{"PATH", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// do runs a program that ends by itself.
func do(dir string, argv ...string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential()}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(argv[0]), err, tail(out))
	}
	return nil
}

// find returns the first of the files that exists; patterns are those of Glob.
func find(patterns ...string) (string, error) {
	for _, pattern := range patterns {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("%s is missing: %w", strings.Join(patterns, " or "), errMissing)
}

func tail(text []byte) string {
	const most = 4000
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return string(text)
}
