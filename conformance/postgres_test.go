package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// postgres is a PostgreSQL server of Debian's packages.
type postgres struct {
	host, port string
	data       string
}

// superuser may log in with its password, as all users must.
const (
	superuser     = "coffer_root"
	superpassword = "root-of-a-test-server"
)

// nobody is the account that the server runs under, for it refuses to be root.
const nobody = 65534

// startPostgres starts a server that ends with the test.
func startPostgres(t *testing.T) *postgres {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Fatal("PostgreSQL is missing: run make parts")
	}
	bin := filepath.Dir(found[len(found)-1])
	dir, err := os.MkdirTemp("", "coffer-postgres-") // t.TempDir lies where nobody may not go
	try(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Geteuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		try(t, os.Chown(dir, nobody, nobody))
	}
	password := filepath.Join(dir, "password")
	try(t, os.WriteFile(password, []byte(superpassword), 0o644))
	p := &postgres{data: filepath.Join(dir, "data")}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "--pgdata="+p.data, "--username="+superuser, "--pwfile="+password,
		"--auth=scram-sha-256", "--no-sync")
	initdb.SysProcAttr = attr
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	p.host, p.port, err = net.SplitHostPort(freeAddress(t))
	try(t, err)
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", p.data, "-p", p.port, "-c", "listen_addresses="+p.host,
		"-c", "unix_socket_directories="+dir, "-c", "fsync=off")
	server.SysProcAttr = attr
	var log bytes.Buffer
	server.Stderr = &log
	// It dies with the thread that started it: see Pdeathsig.
	runtime.LockOSThread()
	try(t, server.Start())
	t.Cleanup(func() {
		server.Process.Signal(os.Interrupt)
		server.Wait()
		runtime.UnlockOSThread()
		if t.Failed() {
			t.Logf("PostgreSQL said:\n%s", log.String())
		}
	})
	p.awaitReady(t)
	return p
}

func (p *postgres) awaitReady(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		if _, err := p.query(superuser, superpassword, "SELECT 1"); err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal("PostgreSQL never became ready")
		case <-tick.C:
		}
	}
}

// query runs a statement as a user, and returns what it prints.
func (p *postgres) query(user, password, statement string) (string, error) {
	cmd := exec.Command("/usr/bin/psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1",
		"-h", p.host, "-p", p.port, "-U", user, "-d", "postgres", "-c", statement)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password, "PGCONNECT_TIMEOUT=10")
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, text)
	}
	return text, nil
}

// must runs a statement as the superuser.
func (p *postgres) must(t *testing.T, statement string) string {
	t.Helper()
	return got(p.query(superuser, superpassword, statement))(t)
}

var errRefused = errors.New("password authentication failed")

// login says whether the server takes credentials: nil, errRefused, or what else
// went wrong.
func (p *postgres) login(user, password string) error {
	_, err := p.query(user, password, "SELECT 1")
	if err != nil && strings.Contains(err.Error(), errRefused.Error()) {
		return errRefused
	}
	return err
}

// url is what a connection is configured with.
func (p *postgres) url() string {
	return fmt.Sprintf("postgresql://{{username}}:{{password}}@%s/postgres", net.JoinHostPort(p.host, p.port))
}
