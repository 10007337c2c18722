package audit

import (
	"errors"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// logger is a system's logger that listens for datagrams.
func logger(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func message(t *testing.T, from *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, err := from.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// local1Info is 17<<3 | 6.
var local1Info = regexp.MustCompile(`^<142>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d coffer\[\d+\]: one$`)

func TestSyslogGetsAMessageForEachLine(t *testing.T) {
	path := unixPath(t)
	l := logger(t, path)
	s := openSyslog([]string{path + "-none", path}, facilities["LOCAL1"], "coffer")
	defer s.Close()
	mustWrite(t, s, "one\n")
	if got := message(t, l); !local1Info.MatchString(got) {
		t.Errorf("got %q", got)
	}
}

func TestSyslogOverAStreamEndsItsLines(t *testing.T) {
	path := unixPath(t)
	p := listen(t, "unix", path)
	s := openSyslog([]string{path}, facilities["LOCAL1"], "coffer")
	defer s.Close()
	mustWrite(t, s, "one\n")
	mustWrite(t, s, "one\n")
	for range 2 {
		if got := <-p.lines; !local1Info.MatchString(got) {
			t.Errorf("got %q", got)
		}
	}
}

func TestALineThatIsTooLongForSyslogFailsAlone(t *testing.T) {
	path := unixPath(t)
	l := logger(t, path)
	s := openSyslog([]string{path}, facilities["AUTH"], "vault")
	defer s.Close()
	mustWrite(t, s, "one\n")
	message(t, l)
	err := write(s, strings.Repeat("x", 8<<20)+"\n")
	if !errors.Is(err, syscall.EMSGSIZE) || strings.Contains(err.Error(), "xx") {
		t.Fatalf("got %v", err)
	}
	mustWrite(t, s, "two\n")
	if got := message(t, l); !strings.HasSuffix(got, ": two") {
		t.Errorf("got %q", got)
	}
}

func TestALineAfterARestartReachesTheNewLogger(t *testing.T) {
	path := unixPath(t)
	old := logger(t, path)
	s := openSyslog([]string{path}, facilities["AUTH"], "vault")
	defer s.Close()
	mustWrite(t, s, "one\n")
	message(t, old)
	old.Close()
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	next := logger(t, path)
	mustWrite(t, s, "two\n")
	if got := message(t, next); !strings.HasSuffix(got, ": two") {
		t.Errorf("got %q", got)
	}
}

func TestALoggerThatIsAwayFailsTheLine(t *testing.T) {
	path := unixPath(t)
	logger(t, path).Close()
	s := openSyslog([]string{path}, facilities["AUTH"], "vault")
	defer s.Close()
	if err := write(s, "one\n"); err == nil {
		t.Error("nobody has it")
	}
}
