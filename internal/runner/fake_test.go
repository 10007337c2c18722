package runner

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cofferhq/coffer/client"
)

// canary stands in every secret that must not be seen.
const canary = "c4n4ry"

// fakeServer speaks as much of the API as a run needs. Its secrets are at
// secret/db (KV version 2).
type fakeServer struct {
	mu      sync.Mutex    // guards the fields below
	seen    []string      // "METHOD PATH TOKEN", preflight left out
	version int           // of secret/changing, whose password is c4n4ry-VERSION
	used    int           // version of it that was acknowledged last
	told    chan struct{} // gets a value at each acknowledgement; nil: nobody waits
}

// publish makes another version of secret/changing.
func (s *fakeServer) publish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
}

func (s *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	if strings.HasPrefix(path, "sys/internal/ui/mounts/") {
		fmt.Fprint(w, `{"request_id":"r","data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`)
		return
	}
	token := r.Header.Get("X-Vault-Token")
	s.mu.Lock()
	s.seen = append(s.seen, r.Method+" "+path+" "+token)
	version := s.version
	s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	switch path {
	case "sys/health":
		fmt.Fprint(w, `{"version":"1.19.0+coffer.test"}`)
		return
	case "secret/data/changing":
		fmt.Fprintf(w, `{"request_id":"r","data":{"data":{"password":"c4n4ry-%d"},"metadata":{"version":%[1]d,"created_time":"t"}}}`, version)
		return
	case "sys/coffer/acknowledge":
		var ack struct{ Version int }
		_ = json.Unmarshal(body, &ack)
		s.mu.Lock()
		s.used = ack.Version
		s.mu.Unlock()
		if s.told != nil {
			s.told <- struct{}{}
		}
		w.WriteHeader(204)
		return
	}
	var fields map[string]string
	_ = json.Unmarshal(body, &fields)
	status, text := s.answer(path, token, fields)
	w.WriteHeader(status)
	fmt.Fprint(w, text)
}

func (s *fakeServer) answer(path, token string, body map[string]string) (int, string) {
	known := map[string]bool{"given": true, "earned": true, "unwrapped": true, "helped": true}
	switch {
	case path == "auth/approle/login" || path == "auth/other/login":
		if body["role_id"] != "role" || body["secret_id"] != "sid" {
			return 400, `{"errors":["invalid role or secret ID"]}`
		}
		return 200, `{"request_id":"r","auth":{"client_token":"earned","lease_duration":3600,"renewable":true}}`
	case path == "sys/wrapping/unwrap" && token == "wrap-token":
		return 200, `{"request_id":"r","auth":{"client_token":"unwrapped","lease_duration":3600,"renewable":true}}`
	case path == "sys/wrapping/unwrap" && token == "wrap-sid":
		return 200, `{"request_id":"r","data":{"secret_id":"sid"}}`
	case path == "sys/wrapping/unwrap":
		return 400, `{"errors":["wrapping token is not valid or does not exist"]}`
	case !known[token]:
		return 403, `{"errors":["permission denied"]}`
	case path == "auth/token/lookup-self":
		return 200, `{"request_id":"r","data":{"ttl":0,"renewable":false}}`
	case path == "auth/token/revoke-self":
		return 204, ""
	case path == "secret/data/db":
		return 200, `{"request_id":"r","data":{"data":{"user":"app","password":"c4n4ry-pw","zero":"c4n4ry\u0000","n":{"port":5432}},"metadata":{"version":3,"created_time":"t"}}}`
	case path == "secret/data/denied":
		return 403, `{"errors":["permission denied"]}`
	}
	return 404, `{"errors":[]}`
}

// requests returns what was asked, and forgets it.
func (s *fakeServer) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = nil
	return seen
}

func startFake(t *testing.T) (*fakeServer, string) {
	t.Helper()
	s := &fakeServer{}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return s, h.URL
}

// connect is what the command line does, less the flags.
func connect(getenv func(string) string) (*client.Client, error) {
	cfg, err := client.ConfigFromEnv(getenv)
	if err != nil {
		return nil, err
	}
	cfg.MaxRetries = client.NoRetries
	return client.New(cfg)
}

// asProgram makes the test binary a program. The race detector would have it
// sleep for a second at its end.
func asProgram() []string {
	return []string{"RUNNER_TEST_PROGRAM=1", "GORACE=atexit_sleep_ms=0"}
}

// The test binary is also the program that is run, and the one that runs it, as
// the first argument says.
func TestMain(m *testing.M) {
	if os.Getenv("RUNNER_TEST_PROGRAM") == "" || len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	switch os.Args[1] {
	case "env":
		for _, entry := range os.Environ() {
			fmt.Println(entry)
		}
	case "exit":
		var code int
		fmt.Sscan(os.Args[2], &code)
		os.Exit(code)
	case "die":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "cat":
		cat(os.Args[2])
	case "signals":
		tellSignals()
	case "follow":
		tellValue(os.Args[2:])
	case "talk":
		talk()
	case "orphan":
		leaveOrphan()
	case "run":
		os.Exit(runAsProcess(os.Args[2:]))
	}
	os.Exit(0)
}

// cat prints a file, and who can read it.
func cat(path string) {
	path = strings.TrimPrefix(path, "--config=")
	content, err := os.ReadFile(path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	file, _ := os.Stat(path)
	dir, _ := os.Stat(path[:strings.LastIndex(path, "/")])
	fmt.Printf("%s\n%v %v\n%s", path, file.Mode(), dir.Mode(), content)
}

// tellSignals prints the signals that it gets and ends, with code 7, at SIGTERM.
func tellSignals() {
	received := make(chan os.Signal, 16)
	signal.Notify(received, syscall.SIGHUP, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGTERM)
	fmt.Println(strings.TrimSpace("ready " + strings.Join(os.Args[2:], " ")))
	for sig := range received {
		fmt.Println(sig)
		if sig == syscall.SIGTERM {
			os.Exit(7)
		}
	}
}

// tellValue prints the variable A, or a file, at the start and after a SIGHUP. It
// ends, with code 7, at the first SIGTERM; if it is stubborn, at the second.
func tellValue(args []string) {
	received := make(chan os.Signal, 16)
	signal.Notify(received, syscall.SIGHUP, syscall.SIGTERM)
	tell := func() {
		text := os.Getenv("A")
		if len(args) > 0 && args[0] == "both" {
			text += " c4n4ry-1"
		} else if len(args) > 0 && args[0] != "stubborn" {
			content, _ := os.ReadFile(os.ExpandEnv(args[0]))
			text = string(content)
		}
		fmt.Println("value", text)
	}
	tell()
	stubborn := len(args) > 0 && args[0] == "stubborn"
	for sig := range received {
		fmt.Println(sig)
		switch {
		case sig == syscall.SIGHUP:
			tell()
		case stubborn:
			stubborn = false
		default:
			os.Exit(7)
		}
	}
}

// leaveOrphan has a process lose its parent, end, and be reaped, and tells of it.
func leaveOrphan() {
	in, hold, err := os.Pipe()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	cmd := exec.Command("sh", "-c", "cat <&3 >/dev/null 2>&1 & echo $!")
	cmd.ExtraFiles = []*os.File{in}
	out, err := cmd.Output()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var orphan int
	fmt.Sscan(string(out), &orphan)
	fmt.Println("orphan", orphan, os.Getpid() != 1 && os.Getppid() != 1)
	hold.Close()
	for !errors.Is(syscall.Kill(orphan, 0), syscall.ESRCH) { // it is there until it is reaped
		runtime.Gosched()
	}
	fmt.Println("reaped")
	received := bufio.NewScanner(os.Stdin)
	received.Scan()
	os.Exit(5)
}

func runAsProcess(command []string) int {
	if code, ok := Helper(os.Environ(), command[min(1, len(command)):]); ok {
		return code // behind "--"
	}
	onChange, err := ParseOnChange(os.Getenv("RUNNER_TEST_ON_CHANGE"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	patience, _ := time.ParseDuration(os.Getenv("RUNNER_TEST_STOP_TIMEOUT"))
	o := Options{
		OnChange: onChange, StopTimeout: patience, Interval: 20 * time.Millisecond, Debounce: time.Millisecond,
		Command: command, Env: os.Environ(), ConfigFile: os.Getenv("RUNNER_TEST_CONFIG"), AllowDisk: true,
		Scrub: os.Getenv("RUNNER_TEST_SCRUB") != "", Credentials: os.Getenv("RUNNER_TEST_CREDENTIALS") != "",
		Connect: connect, HelperToken: func() (string, error) { return "", nil },
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Warn: func(text string) { fmt.Fprintln(os.Stderr, text) },
	}
	if dir := os.Getenv("RUNNER_TEST_OFFLINE"); dir != "" {
		o.Offline = &Offline{File: dir + "/values", KeyFile: dir + "/keys/key"}
	}
	for _, text := range strings.Fields(os.Getenv("RUNNER_TEST_FILES")) {
		f, err := ParseFile(text)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		o.Files = append(o.Files, f)
	}
	code, err := Run(context.Background(), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}
