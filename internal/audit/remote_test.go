package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// atPeace is longer than any line takes in these tests.
const atPeace = time.Minute

// peer listens at an address and hands out the lines it gets.
type peer struct {
	listener net.Listener
	lines    chan string

	mu    sync.Mutex // guards the field below
	conns []net.Conn

	wait sync.WaitGroup
}

func listen(t *testing.T, network, address string) *peer {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{listener: l, lines: make(chan string, 1000)}
	p.wait.Go(p.accept)
	t.Cleanup(p.kill)
	return p
}

func (p *peer) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conns = append(p.conns, conn)
		p.mu.Unlock()
		p.wait.Go(func() {
			for in := bufio.NewScanner(conn); in.Scan(); {
				p.lines <- in.Text()
			}
		})
	}
}

// kill ends the peer as the end of its process does.
func (p *peer) kill() {
	p.listener.Close()
	p.mu.Lock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.wait.Wait()
}

func (p *peer) address() string { return p.listener.Addr().String() }

func socketTo(t *testing.T, network, address string, patience time.Duration) *remote {
	t.Helper()
	r := newRemote([]dialing{{network: network, address: address, stream: network != "udp"}}, patience, nil)
	t.Cleanup(func() { r.Close() })
	return r
}

// unixPath is short enough for the address of a socket.
func unixPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "audit")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// want fails unless the peer gets these lines next.
func (p *peer) want(t *testing.T, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if got := <-p.lines; got != line {
			t.Errorf("the peer got %q, want %q", got, line)
		}
	}
}

func mustWrite(t *testing.T, s Sink, line string) {
	t.Helper()
	if err := write(s, line); err != nil {
		t.Fatal(err)
	}
}

func TestAStreamCarriesLines(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = unixPath(t)
			}
			p := listen(t, network, address)
			r := socketTo(t, network, p.address(), atPeace)
			mustWrite(t, r, "one\n")
			mustWrite(t, r, "two\n")
			p.want(t, "one", "two")
		})
	}
}

func TestLinesOfManyWritersArriveWhole(t *testing.T) {
	p := listen(t, "tcp", "127.0.0.1:0")
	r := socketTo(t, "tcp", p.address(), atPeace)
	var writers sync.WaitGroup
	for i := range 50 {
		writers.Go(func() {
			if err := write(r, strings.Repeat(string(rune('a'+i%26)), 500)+"\n"); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	for range 50 {
		if line := <-p.lines; len(line) != 500 || strings.Trim(line, line[:1]) != "" {
			t.Errorf("mixed: %q", line)
		}
	}
}

// A line that follows the end of a peer is not lost in the kernel.
func TestALineAfterARestartReachesTheNewPeer(t *testing.T) {
	path := unixPath(t)
	old := listen(t, "unix", path)
	r := socketTo(t, "unix", path, atPeace)
	mustWrite(t, r, "one\n")
	old.want(t, "one")
	old.kill()
	next := listen(t, "unix", path)
	mustWrite(t, r, "two\n")
	next.want(t, "two")
}

func TestAClosedTCPConnectionIsSeen(t *testing.T) {
	p := listen(t, "tcp", "127.0.0.1:0")
	r := socketTo(t, "tcp", p.address(), atPeace)
	mustWrite(t, r, "one\n")
	p.want(t, "one")
	if hungUp(r.conn) {
		t.Fatal("the peer is there")
	}
	p.mu.Lock()
	p.conns[0].Close()
	p.mu.Unlock()
	var b [1]byte
	if _, err := r.conn.Read(b[:]); err == nil { // the end has arrived
		t.Fatal("something was said")
	}
	mustWrite(t, r, "two\n")
	p.want(t, "two")
}

func TestWhatAPeerSaysIsDropped(t *testing.T) {
	p := listen(t, "tcp", "127.0.0.1:0")
	r := socketTo(t, "tcp", p.address(), atPeace)
	mustWrite(t, r, "one\n")
	p.want(t, "one")
	p.mu.Lock()
	fmt.Fprint(p.conns[0], strings.Repeat("hello ", 200))
	p.mu.Unlock()
	mustWrite(t, r, "two\n")
	p.want(t, "two")
}

func TestAnAbsentPeerFailsLinesAtOnceUntilItIsTriedAgain(t *testing.T) {
	path := unixPath(t)
	r := socketTo(t, "unix", path, atPeace)
	now := time.Now()
	r.now = func() time.Time { return now }
	if err := write(r, "one\n"); !errors.Is(err, syscall.ENOENT) {
		t.Fatalf("nobody is there: %v", err)
	}
	p := listen(t, "unix", path)
	if err := write(r, "two\n"); !errors.Is(err, syscall.ENOENT) {
		t.Fatalf("before the pause is over: %v", err)
	}
	now = now.Add(longestPause)
	mustWrite(t, r, "three\n")
	p.want(t, "three")
	if r.away.Load() {
		t.Error("still away")
	}
}

// idle returns the address of a peer that accepts and does not read.
func idle(t *testing.T) string {
	t.Helper()
	path := unixPath(t)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return path
}

func TestAPeerThatStandsStillHoldsUpOneLine(t *testing.T) {
	r := socketTo(t, "unix", idle(t), 20*time.Millisecond)
	now := time.Now()
	r.now = func() time.Time { return now }
	line := strings.Repeat("x", 64<<10) + "\n"
	var err error
	for range 1000 {
		if err = write(r, line); err != nil {
			break
		}
	}
	if !isTimeout(err) {
		t.Fatalf("a full buffer: %v", err)
	}
	r.patience = atPeace
	if again := write(r, line); !errors.Is(again, err) {
		t.Errorf("the next line: %v", again)
	}
	if err := r.Reopen(); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, r, "small\n")
}

func TestALineWaitsForOthersNoLongerThanItsTime(t *testing.T) {
	r := socketTo(t, "unix", idle(t), 10*time.Millisecond)
	<-r.turn // another line is being sent
	if err := write(r, "one\n"); err == nil || !strings.Contains(err.Error(), "takes too long") {
		t.Errorf("got %v", err)
	}
	r.patience = atPeace
	r.away.Store(true)
	if err := write(r, "two\n"); err == nil || !strings.Contains(err.Error(), "is away") {
		t.Errorf("while another finds out whether it is back: %v", err)
	}
	r.turn <- struct{}{}
}

func TestADatagramCarriesALine(t *testing.T) {
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r := socketTo(t, "udp", p.LocalAddr().String(), atPeace)
	if err := write(r, strings.Repeat("x", 70_000)+"\n"); !isTooLong(err) {
		t.Errorf("too long: %v", err)
	}
	mustWrite(t, r, "one\n")
	buf := make([]byte, 100)
	n, _, err := p.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "one\n" {
		t.Errorf("got %q, %v", buf[:n], err)
	}
}

func TestAClosedSocketRefusesLines(t *testing.T) {
	p := listen(t, "tcp", "127.0.0.1:0")
	r := socketTo(t, "tcp", p.address(), atPeace)
	mustWrite(t, r, "one\n")
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, err := range map[string]error{"writing": write(r, "two\n"), "reopening": r.Reopen(), "probing": r.Probe()} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASocketIsADevice(t *testing.T) {
	p := listen(t, "tcp", "127.0.0.1:0")
	d, err := Open(Declared{Type: "socket", Options: map[string]string{
		"address": p.address(), "socket_type": "tcp", "write_timeout": "5s", "prefix": "@cee: ",
	}}, secret.Text(testSalt))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Probe(); err != nil {
		t.Fatal(err)
	}
	e := &Entry{Request: Request{Op: logical.Read, Path: "secret/data/a", ClientToken: "s3cr3t-token"}}
	if err := d.log(context.Background(), e, typeRequest); err != nil {
		t.Fatal(err)
	}
	line := <-p.lines
	if !strings.HasPrefix(line, `@cee: {"time":`) || strings.Contains(line, "s3cr3t-token") {
		t.Errorf("got %s", line)
	}
}

func TestAProbeTellsThatNobodyIsThere(t *testing.T) {
	d, err := Open(Declared{Type: "socket", Options: map[string]string{"address": unixPath(t), "socket_type": "unix"}}, secret.Text(testSalt))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Probe(); !errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), "sanity check failed") {
		t.Errorf("got %v", err)
	}
}
