package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/secrets"
)

var serves = regexp.MustCompile(`serves at (\S+)`)

// devServer builds the program and starts a server for trying out. It returns a
// client of its root token.
func devServer(t *testing.T) *client.Client {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "coffer")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/coffer")
	build.Dir = "../../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := exec.CommandContext(t.Context(), program, "server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token", "-dev-listen-address=127.0.0.1:0")
	server.Env = []string{"HOME=" + dir}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	server.Stderr = server.Stdout
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if found := serves.FindStringSubmatch(lines.Text()); found != nil {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			c, err := client.New(client.Config{Address: found[1], Token: "root"})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
	}
	t.Fatal("the server does not start")
	return nil
}

func write(t *testing.T, c *client.Client, path string, body map[string]any) map[string]any {
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

const policy = `
path "secret/data/app/api" {
  capabilities          = ["read", "subscribe"]
  subscribe_event_types = ["kv-v2/*"]
}
path "sys/events/subscribe/kv-v2/*" { capabilities = ["read"] }
path "sys/coffer/acknowledge" { capabilities = ["update"] }`

// setUp makes the secret, and a role that may read it, and sets the environment.
func setUp(t *testing.T, c *client.Client) {
	write(t, c, "secret/data/app/api", map[string]any{"data": map[string]any{"key": "first"}})
	write(t, c, "sys/policies/acl/app", map[string]any{"policy": policy})
	write(t, c, "sys/auth/approle", map[string]any{"type": "approle"})
	write(t, c, "auth/approle/role/app", map[string]any{"token_policies": "app", "token_ttl": "1m"})
	role, err := c.Read(t.Context(), "auth/approle/role/app/role-id")
	if err != nil {
		t.Fatal(err)
	}
	id := write(t, c, "auth/approle/role/app/secret-id", nil)
	t.Setenv("COFFER_TOKEN", "")
	t.Setenv("VAULT_TOKEN", "")
	t.Setenv("COFFER_ADDR", strings.TrimSuffix(c.URL("", nil).String(), "/v1/"))
	t.Setenv("COFFER_ROLE_ID", role.Data["role_id"].(string))
	t.Setenv("COFFER_SECRET_ID", id["secret_id"].(string))
}

// until asks again and again.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); {
		if time.Now().After(end) {
			t.Fatalf("%s: it does not happen", what)
		}
	}
}

func TestItGoesOnWithTheNewKey(t *testing.T) {
	c := devServer(t)
	setUp(t, c)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, l, secrets.WithInterval(time.Hour)) }() // the server tells
	answer := func() string {
		resp, err := http.Get(fmt.Sprintf("http://%s/?text=hello", l.Addr()))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v", resp.Status, err)
		}
		return string(body)
	}
	if got, want := answer(), "1 "+sign("first", "hello")+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	write(t, c, "secret/data/app/api", map[string]any{"data": map[string]any{"key": "second"}})
	until(t, "the new key", func() bool { return answer() == "2 "+sign("second", "hello")+"\n" })
	until(t, "the acknowledgement", func() bool { return state(t, c) == "moved 2" })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := state(t, c); got != "left 2" {
		t.Errorf("at the end: %s", got)
	}
}

// state is what the server knows of the application.
func state(t *testing.T, c *client.Client) string {
	t.Helper()
	s, err := c.Read(t.Context(), "sys/coffer/consumers/secret/app/api")
	if err != nil {
		t.Fatal(err)
	}
	all, _ := s.Data["consumers"].([]any)
	if len(all) != 1 {
		return fmt.Sprintf("%d consumers", len(all))
	}
	one := all[0].(map[string]any)
	return fmt.Sprintf("%v %v", one["state"], one["version_in_use"])
}
