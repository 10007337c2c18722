package agent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cofferhq/coffer/client"
)

const canary = "hunter2-c4n4ry"

// fake is a server that knows AppRole, one secret of KV version 2 and credentials
// with a lease.
type fake struct {
	mu      sync.Mutex // guards the fields below
	value   string
	version int
	logins  int
	made    int // credentials
	refuse  bool
	dead    string // a token that was revoked
	ttl     int    // of tokens, in seconds
	seen    []string
	headers map[string]http.Header // path → of its last request
	hold    chan struct{}          // not nil: credentials wait for it
	held    chan struct{}          // not nil: gets something when one does
}

func (f *fake) change(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

// count returns how many requests began so.
func (f *fake) count(begin string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.seen {
		if strings.HasPrefix(s, begin) {
			n++
		}
	}
	return n
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	f.mu.Lock()
	f.seen = append(f.seen, fmt.Sprintf("%s %s %s", r.Method, path, body))
	f.headers[path] = r.Header.Clone()
	hold, held := f.hold, f.held
	f.mu.Unlock()
	if strings.HasPrefix(path, "db/creds/") && hold != nil {
		held <- struct{}{}
		<-hold
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	status, answer := f.answer(r, path, string(body))
	w.WriteHeader(status)
	fmt.Fprint(w, answer)
}

func (f *fake) answer(r *http.Request, path, body string) (int, string) {
	token := r.Header.Get("X-Vault-Token")
	switch {
	case path == "sys/health":
		return 200, `{"version":"1.19.0+coffer.0.1.0"}`
	case path == "auth/approle/login" && (f.refuse || !strings.Contains(body, "the-secret-id")):
		return 400, `{"errors":["invalid role or secret ID"]}`
	case path == "auth/approle/login":
		f.logins++
		return 200, fmt.Sprintf(`{"request_id":"r","auth":{"client_token":"token-%d","accessor":"a%d","lease_duration":%d,"renewable":true}}`, f.logins, f.logins, f.ttl)
	case token == "" || token == f.dead:
		return 403, `{"errors":["permission denied"]}`
	case path == "sys/internal/ui/mounts/secret/app":
		return 200, `{"request_id":"r","data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`
	case path == "secret/data/app" && r.Method == http.MethodGet:
		return 200, fmt.Sprintf(`{"request_id":"r","data":{"data":{"x":%q},"metadata":{"version":%d,"created_time":"t"}}}`, f.value, f.version)
	case strings.HasPrefix(path, "db/creds/"):
		f.made++
		return 200, fmt.Sprintf(`{"request_id":"r","lease_id":"%s/%d","lease_duration":600,"renewable":true,"data":{"username":"u%d"}}`, path, f.made, f.made)
	case path == "auth/token/renew-self" || path == "auth/token/lookup-self":
		return 200, fmt.Sprintf(`{"request_id":"r","data":{"ttl":%d},"auth":{"client_token":%q,"lease_duration":%d,"renewable":true}}`, f.ttl, token, f.ttl)
	case path == "fails":
		return 500, `{"lease_id":"x","lease_duration":600,"errors":["no"]}`
	case path == "echo":
		return 200, body
	}
	return 204, ""
}

func newFake(t *testing.T) (*fake, string) {
	t.Helper()
	f := &fake{value: canary, version: 1, ttl: 3600, headers: map[string]http.Header{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return f, server.URL
}

// logBuffer is a log that several goroutines write.
type logBuffer struct {
	mu   sync.Mutex // guards the field below
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// running is an agent under test.
type running struct {
	dir  string
	log  *logBuffer
	out  *logBuffer
	urls chan string
	stop context.CancelFunc
	over chan struct{} // closed when Run has returned
	code int
	err  error
}

// start runs an agent with a configuration in which $DIR is a folder with role-id
// and secret-id, and $SERVER the server's address.
func start(t *testing.T, server, text string) *running {
	t.Helper()
	r := &running{dir: t.TempDir(), log: &logBuffer{}, out: &logBuffer{}, urls: make(chan string, 8), over: make(chan struct{})}
	for name, content := range map[string]string{"role-id": "the-role-id\n", "secret-id": "the-secret-id\n"} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text = strings.NewReplacer("$DIR", r.dir, "$SERVER", server).Replace(text)
	cfg, _, err := Parse("agent.hcl", []byte(text), ParseOptions{ReadFile: os.ReadFile})
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	go func() {
		defer close(r.over)
		r.code, r.err = Run(ctx, Options{
			Config: cfg, Client: client.Config{MaxRetries: client.NoRetries}, Stdout: r.out, Stderr: r.out,
			Env: []string{"PATH=" + os.Getenv("PATH"), "VAULT_TOKEN=mine"},
			Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Listening: func(url string) { r.urls <- url },
		})
	}()
	t.Cleanup(func() {
		r.end()
		if text := r.log.String(); strings.Contains(text, canary) || strings.Contains(text, "the-secret-id") || strings.Contains(text, "token-1") {
			t.Errorf("a secret is in the log:\n%s", text)
		}
	})
	return r
}

// end stops the agent and waits for that.
func (r *running) end() {
	r.stop()
	<-r.over
}

// eventually waits until ok says so.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: not in time", what)
		}
	}
}

func (r *running) read(name string) string {
	content, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		return ""
	}
	return string(content)
}

const login = `
vault { address = "$SERVER" }
auto_auth {
  method "approle" {
    config = {
      role_id_file_path   = "$DIR/role-id"
      secret_id_file_path = "$DIR/secret-id"
    }
  }
`

func (f *fake) creds() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.made
}
