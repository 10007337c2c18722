// Package parts starts the real servers that tests talk to: PostgreSQL, MariaDB,
// and Redis or Valkey, of Debian's packages (make parts installs them). Each
// listens on a loopback port of its own, has its data in a temporary folder, is
// shared by the tests of one binary, and ends with it. [Proxy] stands between a
// client and a server and makes the network fail.
//
// It is for tests only.
package parts

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Server is a running server with the credentials of a superuser, who may log in
// from the loopback interface with the password only.
type Server struct {
	Host     string // an address
	Port     int
	User     string
	Password string
	CA       string // PEM; empty: the server has no TLS
}

// Address returns host:port.
func (s Server) Address() string { return net.JoinHostPort(s.Host, fmt.Sprint(s.Port)) }

// superuser is the name of the superuser on every server; nothing depends on the
// names that the servers themselves give theirs.
const (
	superuser     = "coffer_root"
	superpassword = "root-of-a-test-server"
)

// part is one server, started when the first test asks for it.
type part struct {
	prepare func(dir string) error                     // makes the data, as the user of the test
	command func(dir string, port int) (argv []string) // the server itself
	tls     bool                                       // it takes TLS too, with server.crt and server.key

	once   sync.Once
	server Server
	err    error
}

// fleet is what one test binary has started.
var fleet struct {
	mu      sync.Mutex // guards the fields below
	managed bool       // Main is running
	dirs    []string
	running []*process
}

// Main runs the tests of a package and stops what they have started. A package
// that uses servers has
//
//	func TestMain(m *testing.M) { os.Exit(parts.Main(m)) }
//
// M is a [testing.M], or what runs one with something else around it.
func Main(m interface{ Run() int }) int {
	fleet.mu.Lock()
	fleet.managed = true
	fleet.mu.Unlock()
	defer stopAll()
	return m.Run()
}

func stopAll() {
	fleet.mu.Lock()
	defer fleet.mu.Unlock()
	for _, p := range fleet.running {
		p.stop()
	}
	for _, dir := range fleet.dirs {
		os.RemoveAll(dir)
	}
}

// errMissing says that a program is not installed.
var errMissing = errors.New("run make parts")

// get returns the server, which it starts the first time.
func (p *part) get(t testing.TB, name string) Server {
	t.Helper()
	fleet.mu.Lock()
	managed := fleet.managed
	fleet.mu.Unlock()
	if !managed {
		t.Fatal("parts: the package needs a TestMain that calls parts.Main")
	}
	p.once.Do(func() { p.server, p.err = p.start(name) })
	if p.err != nil {
		t.Fatalf("parts: start %s: %v", name, p.err)
	}
	return p.server
}

// attempts is how often a server is started: another program may take the port
// between its choice and its use.
const attempts = 3

func (p *part) start(name string) (Server, error) {
	dir, err := newDir(name)
	if err != nil {
		return Server{}, err
	}
	if err := p.prepare(dir); err != nil {
		return Server{}, err
	}
	var ca string
	if p.tls {
		if ca, err = certify(dir); err != nil {
			return Server{}, err
		}
	}
	for attempt := 1; ; attempt++ {
		port, err := freePort()
		if err != nil {
			return Server{}, err
		}
		run, err := launch(dir, p.command(dir, port))
		if err == nil {
			fleet.mu.Lock()
			fleet.running = append(fleet.running, run)
			fleet.mu.Unlock()
			return Server{Host: "127.0.0.1", Port: port, User: superuser, Password: superpassword, CA: ca}, nil
		}
		if attempt == attempts {
			return Server{}, err
		}
	}
}

// newDir makes a folder that belongs to the account that servers run under.
func newDir(name string) (string, error) {
	dir, err := os.MkdirTemp("", "parts-"+name+"-")
	if err != nil {
		return "", err
	}
	fleet.mu.Lock()
	fleet.dirs = append(fleet.dirs, dir)
	fleet.mu.Unlock()
	if c := credential(); c != nil {
		return dir, os.Chown(dir, int(c.Uid), int(c.Gid))
	}
	return dir, nil
}

// write makes a file that the servers' account can read.
func write(dir, name, text string) (path string, err error) {
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return "", err
	}
	return path, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
