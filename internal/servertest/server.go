package servertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// Config says how a server is run. The zero value is a server on Pebble in a
// folder of the test, which one key share unseals.
type Config struct {
	Build Build
	// Dir is the home of the process, with its configuration and log. Empty: a
	// temporary folder. Servers that live at once need different ones.
	Dir string
	// Data is the data folder. Empty: data in Dir.
	Data string
	// KeyFile is the unseal key of a server that unseals itself. Empty: people
	// unseal it.
	KeyFile string
	// Listen is the address of the listener. Empty: any free port of 127.0.0.1.
	Listen string
	// More is HCL that is added to the configuration.
	More string
	// Env is added to the environment of the process, which has HOME and PATH
	// only.
	Env []string
	// Under is a command that becomes the program that its last arguments name,
	// such as setpriv or prlimit with their options. Empty: the program is started
	// itself.
	Under []string
	// Args start the program in another way than with the configuration that the
	// fields above make. Empty: server -config=….
	Args []string
}

// Server is a server through all lives of its process. Its methods fail the
// test, from whose goroutine they are called, when something goes wrong that was
// not asked for. What still runs when the test ends is killed.
type Server struct {
	Dir, Data, ConfigFile string

	// Share and RootToken open the server. [Process.Open] sets them when it
	// initialises; whoever takes a server over sets them.
	Share, RootToken string

	t       testing.TB
	config  Config
	program string
	process *Process // the newest; nil: none was started
	starts  int
}

const configuration = `storage "pebble" { path = %q }
listener "tcp" {
  address     = %q
  tls_disable = true
}
disable_mlock = true
`

// New builds the program, if that was not done, and writes the configuration. It
// starts nothing.
func New(t testing.TB, c Config) *Server {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	if c.Data == "" {
		c.Data = filepath.Join(c.Dir, "data")
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	s := &Server{
		Dir: c.Dir, Data: c.Data, ConfigFile: filepath.Join(c.Dir, "coffer.hcl"),
		t: t, config: c, program: Program(t, c.Build),
	}
	text := fmt.Sprintf(configuration, c.Data, c.Listen)
	if c.KeyFile != "" {
		text += fmt.Sprintf("seal \"keyfile\" { path = %q }\n", c.KeyFile)
	}
	if err := os.WriteFile(s.ConfigFile, []byte(text+c.More), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.process != nil {
			s.process.end()
		}
	})
	return s
}

// Program is the path of the program that runs.
func (s *Server) Program() string { return s.program }

// Process is the newest process, or nil if none was started.
func (s *Server) Process() *Process { return s.process }

// Starts is how often the process was started.
func (s *Server) Starts() int { return s.starts }

// Open waits until the process serves, initialises the server the first time,
// unseals it and returns a client with the root token, which never retries.
func (p *Process) Open() *client.Client {
	s := p.server
	s.t.Helper()
	c, err := client.New(client.Config{
		Address: p.URL(), Token: s.RootToken, MaxRetries: client.NoRetries, Timeout: StartTime,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if s.RootToken == "" {
		s.initialise(c)
		c.SetToken(s.RootToken)
	}
	var status api.SealStatus
	if s.config.KeyFile != "" {
		s.bare(c, http.MethodGet, "sys/seal-status", nil, &status)
	} else {
		s.bare(c, http.MethodPut, "sys/unseal", api.UnsealRequest{Key: s.Share}, &status)
	}
	if status.Sealed {
		s.t.Fatalf("the server stays sealed\n%s", p.LastWords())
	}
	return c
}

func (s *Server) initialise(c *client.Client) {
	s.t.Helper()
	ask := api.InitRequest{SecretShares: 1, SecretThreshold: 1}
	if s.config.KeyFile != "" {
		ask = api.InitRequest{RecoveryShares: 1, RecoveryThreshold: 1}
	}
	var first api.InitResponse
	s.bare(c, http.MethodPut, "sys/init", ask, &first)
	s.RootToken = first.RootToken
	if len(first.KeysBase64) > 0 {
		s.Share = first.KeysBase64[0]
	}
}

// bare calls one of the paths that answer without Vault's envelope.
func (s *Server) bare(c *client.Client, method, path string, in, out any) {
	s.t.Helper()
	a, err := c.Raw(s.t.Context(), client.Request{Method: method, Path: path, Body: in})
	if err == nil && a.Status != http.StatusOK {
		err = client.Refusal(a, method, path)
	}
	if err == nil {
		err = json.Unmarshal(a.Body, out)
	}
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.process.LastWords())
	}
}

// Write writes to a path of the server, which must take it, and returns the data of
// the answer; nil: there was none.
func Write(t testing.TB, c *client.Client, path string, body map[string]any) map[string]any {
	t.Helper()
	s, err := c.Write(t.Context(), path, body)
	if err != nil {
		t.Fatal(err)
	}
	if s == nil {
		return nil
	}
	return s.Data
}
