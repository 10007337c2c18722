package canary_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cofferhq/coffer/internal/canary"
	"github.com/cofferhq/coffer/internal/servertest"
)

// place is where secrets are looked for.
type place string

const (
	answers   place = "answers that are to show nothing" // errors, and those of requests that tell about secrets
	logs      place = "the server's output"
	records   place = "audit files"
	metrics   place = "metrics"
	state     place = "pages about the server"
	disk      place = "files" // all that any process has made or holds open, but the audit and the log
	addresses place = "addresses that our clients ask for"
	arguments place = "arguments of processes"
	variables place = "environments of processes"
	output    place = "output of commands"
)

var places = []place{answers, logs, records, metrics, state, disk, addresses, arguments, variables, output}

// smallBody is what one of the server's listeners takes at most.
const smallBody = 1024

// moreConfiguration is a listener with TLS, and one that takes small requests.
const moreConfiguration = `
log_level = "trace"
listener "tcp" {
  address             = "127.0.0.2:0"
  tls_self_signed_dir = %q
}
listener "tcp" {
  address          = "127.0.0.3:0"
  tls_disable      = true
  max_request_size = %d
}
`

// world is the real server with all that is around it, and everything that was
// planted and seen.
type world struct {
	t       *testing.T
	root    string // all files lie below it
	home    string // of the server
	server  *servertest.Server
	process *servertest.Process

	url, tls, small string // of the listeners
	http            *http.Client

	proxy  *proxy // the commands' way to the server
	shm    string // folder in memory that commands may use
	inputs string // folder of files that the tests themselves write

	doors   map[string]*door // by the name of the secret
	secrets []canary.Secret  // what was planted
	at      *door            // the one that is used now
	used    []*door

	mu   sync.Mutex   // guards the fields below
	wire bytes.Buffer // what went through the door in use, both ways
	seen []sight
}

// sight is something that was at a place.
type sight struct {
	place   place
	in      string // which file, page, request
	content []byte
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, root: t.TempDir(), doors: map[string]*door{},
		http: &http.Client{
			Transport:     &http.Transport{DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	w.home, w.inputs = w.folder("server"), t.TempDir()
	for _, dir := range []string{"tmp", "audit", "home", "work"} {
		w.folder(dir)
	}
	w.shm = memoryFolder(t)
	w.server = servertest.New(t, servertest.Config{
		Dir: w.home, Data: w.path("data"), Env: []string{"TMPDIR=" + w.path("tmp")},
		More: fmt.Sprintf(moreConfiguration, w.path("tls"), smallBody),
	})
	w.start()
	w.proxy = newProxy(w)
	t.Cleanup(w.http.CloseIdleConnections)
	return w
}

// memoryFolder makes a folder on a tmpfs.
func memoryFolder(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "canary-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (w *world) path(name string) string { return filepath.Join(w.root, name) }

func (w *world) folder(name string) string {
	w.t.Helper()
	if err := os.MkdirAll(w.path(name), 0o700); err != nil {
		w.t.Fatal(err)
	}
	return w.path(name)
}

// start starts the server and opens it.
func (w *world) start() {
	w.t.Helper()
	w.process = w.server.Start()
	w.process.Open()
	_, line, _ := strings.Cut(w.process.Log(), "serves at ")
	line, _, _ = strings.Cut(line, "\n")
	urls := strings.Fields(line)
	if len(urls) != 3 {
		w.t.Fatalf("the server has %d addresses, want 3: %q", len(urls), line)
	}
	w.url, w.tls, w.small = urls[0], urls[1], urls[2]
}

// use goes through a door with a secret, and looks whether it has been there.
func (w *world) use(d *door) {
	w.t.Helper()
	w.at, w.used = d, append(w.used, d)
	w.wire.Reset()
	secret := canary.New()
	before := len(w.secrets)
	if !d.madeByServer {
		w.watch(d.name, secret)
	}
	d.plant(w, secret)
	if len(w.secrets) == before {
		w.t.Errorf("%s: nothing was planted", d.name)
	}
	// Who looks for what was never there finds nothing.
	found := map[string]bool{}
	for _, h := range canary.NewSearcher(w.secrets[before:]...).Search(w.wire.Bytes()) {
		found[h.Secret] = true
	}
	for _, s := range w.secrets[before:] {
		if !found[s.Name] {
			w.t.Errorf("%s: %q never went through the door", d.name, s.Name)
		}
	}
}

// watch has a secret looked for, that came through the door in use.
func (w *world) watch(name, text string) {
	w.t.Helper()
	if w.doors[name] != nil {
		w.t.Fatalf("two secrets have the name %q", name)
	}
	w.doors[name] = w.at
	w.secrets = append(w.secrets, canary.Secret{Name: name, Text: text})
}

// saw notes what is at a place, and in what.
func (w *world) saw(p place, in string, content []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, sight{p, in, content})
}

// answer is what the server said.
type answer struct {
	w      *world
	status int
	body   []byte
}

// do makes a request whose answer must show no secret.
func (w *world) do(method, path, body string, header ...string) *answer {
	w.t.Helper()
	return w.ask(w.url, method, path, body, false, header...)
}

// reveal makes a request whose answer may show the secret, if it is one of
// success.
func (w *world) reveal(method, path, body string, header ...string) *answer {
	w.t.Helper()
	return w.ask(w.url, method, path, body, true, header...)
}

// must makes a request, whose answer may show a secret, that has to succeed.
func (w *world) must(method, path, body string, header ...string) *answer {
	w.t.Helper()
	a := w.ask(w.url, method, path, body, true, header...)
	if a.status >= http.StatusMultipleChoices {
		w.t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a
}

func (w *world) ask(url, method, path, body string, mayShow bool, header ...string) *answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, url+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", w.server.RootToken)
	for i := 0; i < len(header); i += 2 {
		if req.Header.Set(header[i], header[i+1]); header[i+1] == "" {
			req.Header.Del(header[i])
		}
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	w.note("%s %s\n%v\n%s\n", method, path, header, body)
	resp, err := w.http.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	w.note("%d %v\n%s\n", resp.StatusCode, resp.Header, got)
	if !mayShow || resp.StatusCode >= http.StatusBadRequest {
		w.saw(answers, method+" "+path, fmt.Appendf(nil, "%v\n%s", resp.Header, got))
	}
	return &answer{w: w, status: resp.StatusCode, body: got}
}

// note writes down what went through the door in use.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(&w.wire, format, args...)
}

// refused fails the test unless the answer is a refusal.
func (a *answer) refused() {
	a.w.t.Helper()
	if a.status < http.StatusBadRequest {
		a.w.t.Errorf("%s: the answer is %d %s, want a refusal", a.w.at.name, a.status, a.body)
	}
}

// shows fails the test unless the answer has the secret.
func (a *answer) shows(secret string) {
	a.w.t.Helper()
	if len(canary.NewSearcher(canary.Secret{Name: "it", Text: secret}).Search(a.body)) == 0 {
		a.w.t.Errorf("%s: the answer does not show what was planted: %d %s", a.w.at.name, a.status, a.body)
	}
}

// text is a text of the answer: "auth.client_token".
func (a *answer) text(path string) string {
	a.w.t.Helper()
	var at any
	if err := json.Unmarshal(a.body, &at); err != nil {
		a.w.t.Fatalf("%s: %v in %s", a.w.at.name, err, a.body)
	}
	for name := range strings.SplitSeq(path, ".") {
		switch inner := at.(type) {
		case map[string]any:
			at = inner[name]
		case []any:
			at = inner[0]
		}
	}
	text, ok := at.(string)
	if !ok {
		a.w.t.Fatalf("%s: no %s in %s", a.w.at.name, path, a.body)
	}
	return text
}

// send writes text to a listener as it is, and returns the connection.
func (w *world) send(url, text string) net.Conn {
	w.t.Helper()
	_, address, _ := strings.Cut(url, "://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.note("%s", text)
	if _, err := io.WriteString(conn, text); err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// refusal reads an answer that is to show nothing off a connection, to its end,
// and closes it.
func (w *world) refusal(conn net.Conn) {
	defer conn.Close()
	got, _ := io.ReadAll(conn) // a broken connection has said what it has said
	w.note("%s", got)
	w.saw(answers, w.at.name, got)
}
