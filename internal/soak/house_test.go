package soak

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/servertest"
)

// house is a server with all its doors.
type house struct {
	*servertest.Server
	root *client.Client

	plain  string // host and port of the listener without TLS
	secure string // of the one with
	door   string // URL of a listener on which nobody but the test is

	doorClient *http.Client
}

// moreListeners are beside the one that every server of servertest has. No two
// may have one address, though the port is any.
const moreListeners = `
listener "tcp" {
  address             = "localhost:0"
  tls_self_signed_dir = %q
}
listener "tcp" {
  address     = "127.0.0.2:0"
  tls_disable = true
  telemetry { unauthenticated_metrics_access = true }
}
log_level = "warn"
`

var servesAt = regexp.MustCompile(`serves at http://(\S+) https://(\S+) (http://\S+)`)

// open starts a server in dir and furnishes it with nothing.
func open(t *testing.T, build servertest.Build, dir string) *house {
	t.Helper()
	h := &house{
		Server:     servertest.New(t, servertest.Config{Build: build, Dir: dir, More: fmt.Sprintf(moreListeners, dir+"/tls")}),
		doorClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 4 * patience},
	}
	h.begin(t)
	return h
}

// begin starts a process and finds its doors.
func (h *house) begin(t *testing.T) {
	t.Helper()
	h.root = h.Start().Open()
	at := servesAt.FindStringSubmatch(h.Process().Log())
	if at == nil {
		t.Fatalf("the server does not say where it serves:\n%s", h.Process().LastWords())
	}
	h.plain, h.secure, h.door = at[1], at[2], at[3]
}

func (h *house) write(t *testing.T, path string, body map[string]any) map[string]any {
	t.Helper()
	s, err := h.root.Write(t.Context(), path, body)
	if err != nil {
		t.Fatal(err)
	}
	if s == nil {
		return nil
	}
	return s.Data
}

// noRace fails the test if the server has told of a race or a panic.
func (h *house) noRace(t *testing.T) {
	t.Helper()
	log := h.Process().Log()
	for _, bad := range []string{"DATA RACE", "panic", "fatal error"} {
		if at := strings.Index(log, bad); at >= 0 {
			t.Errorf("the server says:\n%s", log[at:min(len(log), at+4000)])
		}
	}
}

// patience is how long an ordinary client waits for an answer.
const patience = 5 * time.Second

// until runs do again and again until ctx ends.
func until(ctx context.Context, do func()) {
	for ctx.Err() == nil {
		do()
	}
}

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }
