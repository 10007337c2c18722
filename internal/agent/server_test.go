package agent_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

// house is a real server with a role, and a folder for an agent.
type house struct {
	t       *testing.T
	root    *client.Client
	program string
	dir     string
	log     string // path

	interval string // of looking for changes
}

func newHouse(t *testing.T) *house {
	t.Helper()
	s := servertest.New(t, servertest.Config{})
	h := &house{t: t, root: s.Start().Open(), program: s.Program(), dir: t.TempDir(), interval: "1s"}
	h.log = filepath.Join(h.dir, "log")
	h.write("sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}})
	h.write("sys/auth/approle", map[string]any{"type": "approle"})
	h.write("sys/policies/acl/app", map[string]any{"policy": `
path "secret/data/*" {
  capabilities          = ["read", "subscribe"]
  subscribe_event_types = ["*"]
}
path "sys/events/subscribe/*" { capabilities = ["read"] }`})
	h.write("auth/approle/role/app", map[string]any{"token_policies": "app", "token_ttl": "1h"})
	role, err := h.root.Read(t.Context(), "auth/approle/role/app/role-id")
	if err != nil {
		t.Fatal(err)
	}
	h.file("role-id", role.Data["role_id"].(string))
	return h
}

func (h *house) write(path string, body map[string]any) map[string]any {
	h.t.Helper()
	return servertest.Write(h.t, h.root, path, body)
}

func (h *house) put(value string) {
	h.t.Helper()
	h.write("secret/data/app", map[string]any{"data": map[string]any{"x": value}})
}

func (h *house) file(name, content string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) read(name string) string {
	content, err := os.ReadFile(filepath.Join(h.dir, name))
	if err != nil {
		return ""
	}
	return string(content)
}

// agent starts the program with a new secret id.
func (h *house) agent(more string) *exec.Cmd {
	h.t.Helper()
	h.file("secret-id", h.write("auth/approle/role/app/secret-id", nil)["secret_id"].(string))
	h.file("agent.hcl", strings.ReplaceAll(`
log_level = "debug"
vault { address = "`+strings.TrimSuffix(h.root.URL("", nil).String(), "/v1/")+`" }
auto_auth {
  method "approle" {
    config = {
      role_id_file_path   = "$DIR/role-id"
      secret_id_file_path = "$DIR/secret-id"
    }
  }
}
template_config { static_secret_render_interval = "`+h.interval+`" }
`+more, "$DIR", h.dir))
	cmd := exec.Command(h.program, "agent", "-config="+filepath.Join(h.dir, "agent.hcl"))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir}
	log, err := os.OpenFile(h.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { cmd.Process.Kill() })
	return cmd
}

func (h *house) eventually(what string, ok func() bool) {
	h.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(servertest.StartTime)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			h.t.Fatalf("%s: not in time\n%s", what, h.read("log"))
		}
	}
}

const bigTemplate = `
template {
  contents    = "{{ with secret \"secret/app\" }}{{ $x := .Data.data.x }}{{ range loop 20000 }}{{ $x }}\n{{ end }}end{{ end }}"
  destination = "$DIR/app"
}
`

// whole matches what a complete file is.
var whole = regexp.MustCompile(`^((?:canary-[ab]\n)+)end$`)

// A secret changes while agents are killed and started: whoever reads the file finds
// one version of it, whole.
func TestKilledAgentsLeaveWholeFiles(t *testing.T) {
	h := newHouse(t)
	h.put("canary-a")
	check := func() {
		t.Helper()
		content := h.read("app")
		if content == "" {
			return
		}
		found := whole.FindStringSubmatch(content)
		if found == nil || strings.Contains(content, "-a") && strings.Contains(content, "-b") || strings.Count(content, "\n") != 20000 {
			t.Fatalf("a part of a file: %d bytes, %d lines", len(content), strings.Count(content, "\n"))
		}
	}
	for i := range 8 {
		cmd := h.agent(bigTemplate)
		want := "canary-" + string("ab"[i%2])
		h.put(want)
		if i%3 == 0 {
			h.eventually("the file", func() bool { check(); return strings.HasPrefix(h.read("app"), want) })
		} else {
			h.eventually("a login", func() bool { return strings.Count(h.read("log"), "logged in") > i })
		}
		check()
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		check()
	}
	cmd := h.agent(bigTemplate)
	h.eventually("the last login", func() bool { return strings.Count(h.read("log"), "logged in") > 8 })
	h.eventually("the file", func() bool { return strings.HasPrefix(h.read("app"), "canary-b") })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, h.read("log"))
	}
	if left, _ := filepath.Glob(filepath.Join(h.dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if strings.Contains(h.read("log"), "canary-") {
		t.Error("the secret is in the log")
	}
}

// A change is told, not found: the next look would be in an hour.
func TestAChangeIsPushed(t *testing.T) {
	h := newHouse(t)
	h.put("canary-a")
	text := strings.ReplaceAll(`
template {
  contents    = "${vault:secret/app#x}"
  destination = "$DIR/app"
}`, "$DIR", h.dir)
	h.interval = "1h"
	cmd := h.agent(text)
	h.eventually("the file", func() bool { return h.read("app") == "canary-a" })
	h.put("canary-b")
	h.eventually("the change", func() bool { return h.read("app") == "canary-b" })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, h.read("log"))
	}
}

// The server knows of the agent and its clients apart, and hears of those that end.
func TestTheServerKnowsTheClientsOfAnAgent(t *testing.T) {
	h := newHouse(t)
	h.put("canary-a")
	cmd := h.agent(`
template {
  contents    = "${vault:secret/app#x}"
  destination = "$DIR/app"
}
cache {}
api_proxy { use_auto_auth_token = true }
listener "unix" { address = "$DIR/s" }
`)
	h.eventually("the file", func() bool { return h.read("app") == "canary-a" })
	c := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(h.dir, "s"))
		},
	}}
	resp, err := c.Get("http://localhost/v1/secret/data/app")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "canary-a") {
		t.Fatalf("%v: %s", err, body)
	}
	h.eventually("the consumers", func() bool {
		s, err := h.root.Read(t.Context(), "sys/coffer/consumers/secret/app")
		if err != nil || s == nil {
			return false
		}
		all, _ := s.Data["consumers"].([]any)
		instances, moved := map[string]bool{}, 0
		for _, one := range all {
			fields, _ := one.(map[string]any)
			name, _ := fields["instance"].(string)
			instances[name] = true
			if fields["state"] == "moved" {
				moved++
			}
		}
		return len(instances) == 2 && moved > 0
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || strings.Contains(h.read("log"), "canary-") {
		t.Errorf("%v\n%s", err, h.read("log"))
	}
}
