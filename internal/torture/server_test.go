package torture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

const (
	startTime = 60 * time.Second // within which a server must serve, on a busy machine
	lookEvery = 2 * time.Millisecond
)

const configuration = `storage "pebble" { path = %q }
listener "tcp" {
  address     = "127.0.0.1:0"
  tls_disable = true
}
disable_mlock = true
`

var serves = regexp.MustCompile(`serves at (http://\S+)`)

// build builds the program and returns its path.
func build(t *testing.T) string {
	t.Helper()
	program := path(t.TempDir(), "coffer")
	args, cgo := []string{"build", "-o", program}, "CGO_ENABLED=0"
	if *raced {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.CommandContext(t.Context(), "go", append(args, "../../cmd/coffer")...)
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// process is one life of the server.
type process struct {
	cmd    *exec.Cmd
	log    string        // path
	exited chan struct{} // closed when the process is gone
}

// start starts the server and does not wait for it.
func (w *world) start() *process {
	w.t.Helper()
	w.starts++
	p := &process{log: path(w.dir, "server.log"), exited: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		w.t.Fatal(err)
	}
	defer out.Close()
	p.cmd = exec.Command(w.program, "server", "-config="+path(w.dir, "coffer.hcl"))
	// A race ends the process, which is found out as an end that nobody wanted.
	p.cmd.Env = []string{"HOME=" + w.dir, "PATH=" + os.Getenv("PATH"), "GORACE=halt_on_error=1"}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		p.cmd.Wait() // how it ended is known: it is always killed
		close(p.exited)
	}()
	w.process = p
	return p
}

// kill ends the process after a while, as a crash does. That it has ended by
// itself is a failure.
func (w *world) kill(p *process, after time.Duration) {
	w.t.Helper()
	select {
	case <-p.exited:
		w.t.Fatalf("the server has ended by itself:\n%s", w.lastWords())
	case <-time.After(after):
	}
	w.killed.Store(true)
	if err := p.cmd.Process.Kill(); err != nil {
		w.t.Fatalf("kill: %v\n%s", err, w.lastWords())
	}
	<-p.exited
}

// address waits until the server serves and returns where.
func (w *world) address(p *process) string {
	w.t.Helper()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	limit := time.After(startTime)
	for {
		text, err := os.ReadFile(p.log)
		if err != nil {
			w.t.Fatal(err)
		}
		if found := serves.FindSubmatch(text); found != nil {
			return string(found[1])
		}
		select {
		case <-tick.C:
		case <-p.exited:
			w.t.Fatalf("the server does not start:\n%s", text)
		case <-limit:
			w.t.Fatalf("the server does not serve in time:\n%s", text)
		}
	}
}

// open unseals the server and makes clients for it.
func (w *world) open(p *process) {
	w.t.Helper()
	var err error
	w.root, err = client.New(client.Config{
		Address: w.address(p), Token: w.rootToken, MaxRetries: client.NoRetries, Timeout: startTime,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.share == "" {
		var first api.InitResponse
		w.bare("sys/init", api.InitRequest{SecretShares: 1, SecretThreshold: 1}, &first)
		w.share, w.rootToken = first.KeysBase64[0], first.RootToken
		w.root.SetToken(w.rootToken)
	}
	var status api.SealStatus
	w.bare("sys/unseal", api.UnsealRequest{Key: w.share}, &status)
	if status.Sealed {
		w.t.Fatal("the server stays sealed")
	}
	w.killed.Store(false)
}

// bare calls one of the paths that answer without Vault's envelope.
func (w *world) bare(path string, in, out any) {
	w.t.Helper()
	a, err := w.root.Raw(w.t.Context(), client.Request{Method: http.MethodPut, Path: path, Body: in})
	if err == nil && a.Status != http.StatusOK {
		err = client.Refusal(a, http.MethodPut, path)
	}
	if err == nil {
		err = json.Unmarshal(a.Body, out)
	}
	if err != nil {
		w.t.Fatalf("%v\n%s", err, w.lastWords())
	}
}

// lastWords is the end of the server's log.
func (w *world) lastWords() []byte {
	const enough = 4000 // bytes
	text, err := os.ReadFile(w.process.log)
	if errors.Is(err, os.ErrNotExist) || len(bytes.TrimSpace(text)) == 0 {
		return []byte("(none)")
	}
	return text[max(0, len(text)-enough):]
}

func (w *world) configure() {
	w.t.Helper()
	text := fmt.Sprintf(configuration, path(w.dir, "data"))
	if err := os.WriteFile(path(w.dir, "coffer.hcl"), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}
