package server

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/config"
	"github.com/cofferhq/coffer/internal/parts"
)

// lookTime is how often these tests look, and waitTime how long.
const (
	lookTime = 20 * time.Millisecond
	waitTime = 60 * time.Second
)

// attempt rotates now and returns what is known of the attempt when it has ended.
func (e *engineTest) attempt(rotation string, settings any) map[string]any {
	e.t.Helper()
	number := e.must("POST", "sys/coffer/rotation/"+rotation+"/rotate", settings).Data["attempt"]
	tick, limit := time.NewTicker(lookTime), time.After(waitTime)
	defer tick.Stop()
	for {
		for _, one := range e.must("GET", "sys/coffer/rotation/"+rotation+"/attempts", nil).Data["attempts"].([]any) {
			if ended := one.(map[string]any); ended["number"] == number {
				return ended
			}
		}
		select {
		case <-tick.C:
		case <-limit:
			e.t.Fatalf("no end: %v", e.must("GET", "sys/coffer/rotation/"+rotation, nil).Data)
		}
	}
}

// secret reads a secret of the KV mount.
func (e *engineTest) secret(path string) answered {
	e.t.Helper()
	data, _ := e.must("GET", "secret/data/"+path, nil).Data["data"].(map[string]any)
	if p, ok := data["password"].(string); ok {
		e.seen = append(e.seen, p)
	}
	return answered{Data: data}
}

// Users of real databases, from end to end: two in turn, and one alone.
func TestRotationOfDatabaseUsers(t *testing.T) {
	for _, system := range systems {
		t.Run(system.plugin, func(t *testing.T) {
			server := system.start(t)
			var log guarded
			dir := t.TempDir()
			started, stop := run(t, Options{
				Config: configured(config.Pebble, dir), Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				Dev: true, RootToken: "chosen",
			})
			e := &engineTest{t: t, url: started.URLs[0], system: admin(t, system.plugin, system.fields(server), server)}
			for _, name := range []string{"turn_a", "turn_b", "alone"} {
				e.addUser(name, "first of "+name, system.create)
			}
			settings := func(users ...string) map[string]any {
				fields := system.fields(server)
				fields["plugin_name"], fields["users"] = system.plugin, users
				fields["username"], fields["password"] = server.User, server.Password
				return fields
			}
			e.must("POST", "sys/coffer/rotation/turns", map[string]any{
				"target": "secret/turns", "source": "database", "strategy": "alternate", "schedule": "90d", "config": settings("turn_a", "turn_b"),
			})
			e.must("POST", "sys/coffer/rotation/alone", map[string]any{
				"target": "secret/alone", "source": "database", "schedule": "90d", "config": settings("alone"),
			})
			for _, name := range []string{"turns", "alone"} {
				if first := e.attempt(name, nil); first["tested"] != "worked" || first["old"] != "skipped" {
					t.Errorf("%s: %v", name, first)
				}
				old := e.secret(name)
				for range 2 {
					e.wantIn(old)
					if next := e.attempt(name, nil); next["tested"] != "worked" || next["old"] != "dead" {
						t.Errorf("%s: %v", name, next)
					}
					e.wantOut(old)
					old = e.secret(name)
				}
			}
			shown := e.must("GET", "sys/coffer/rotation/turns", nil)
			if text := fmt.Sprint(shown.Data); strings.Contains(text, server.Password) {
				t.Error("the connection's password is shown")
			}
			e.seen = append(e.seen, server.Password)
			if err := stop(); err != nil {
				t.Error(err)
			}
			e.search(dir, log.String())
		})
	}
}

// An attempt whose answers are lost, and whose database is away for a while, ends well.
func TestRotationWhileTheNetworkFails(t *testing.T) {
	server := parts.PostgreSQL(t)
	proxy := parts.NewProxy(t, server.Address())
	started, stop := run(t, Options{
		Config: configured(config.Inmem, t.TempDir()), Log: slog.New(slog.DiscardHandler), Dev: true, RootToken: "chosen",
	})
	postgres := systems[0]
	e := &engineTest{t: t, url: started.URLs[0], system: admin(t, postgres.plugin, postgres.fields(server), server)}
	e.addUser("lost_a", "first", postgres.create)
	e.addUser("lost_b", "first", postgres.create)
	e.must("POST", "sys/coffer/rotation/lost", map[string]any{
		"target": "secret/lost", "source": "database", "strategy": "alternate", "schedule": "90d", "config": map[string]any{
			"plugin_name": postgres.plugin, "users": []string{"lost_a", "lost_b"}, "username": server.User, "password": server.Password,
			"connection_url": fmt.Sprintf("postgresql://{{username}}:{{password}}@127.0.0.1:%d/postgres", proxy.Port()),
		},
	})
	e.attempt("lost", nil)
	before := e.secret("lost")
	proxy.CutAfter("commit")
	if ended := e.attempt("lost", nil); ended["old"] != "dead" {
		t.Errorf("%v", ended)
	}
	after := e.secret("lost")
	e.wantIn(after)
	e.wantOut(before)

	proxy.Refuse()
	proxy.Cut()
	e.must("POST", "sys/coffer/rotation/lost/rotate", nil)
	e.until("sys/coffer/rotation/lost", "failures", func(v any) bool { return v != 0.0 })
	e.wantIn(after)
	proxy.Pass()
	if ended := e.attempt("lost", map[string]any{"now": true}); ended["old"] != "dead" || ended["number"] != 3.0 {
		t.Errorf("%v", ended)
	}
	e.wantOut(after)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// until reads path until what it says of field is as wanted.
func (e *engineTest) until(path, field string, ok func(v any) bool) {
	e.t.Helper()
	tick, limit := time.NewTicker(lookTime), time.After(waitTime)
	defer tick.Stop()
	for !ok(e.must("GET", path, nil).Data[field]) {
		select {
		case <-tick.C:
		case <-limit:
			e.t.Fatalf("%s of %s never", field, path)
		}
	}
}

// The program in docs/rotation.md does what is said there.
func TestTheDocumentedProgramRotates(t *testing.T) {
	doc, err := os.ReadFile("../../docs/rotation.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```python\n(.*?)```").FindSubmatch(doc)
	if found == nil {
		t.Fatal("no program")
	}
	dir := t.TempDir()
	program, keys := filepath.Join(dir, "rotate-gateway-key"), filepath.Join(dir, "keys.json")
	if err := os.WriteFile(program, found[1], 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := configured(config.Inmem, t.TempDir())
	cfg.RotationPrograms = []string{program}
	started, stop := run(t, Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Dev: true, RootToken: "chosen"})
	e := &engineTest{t: t, url: started.URLs[0]}
	e.must("POST", "sys/coffer/rotation/gateway", map[string]any{
		"target": "secret/gateway", "source": "exec", "strategy": "alternate", "schedule": "30d", "grace": "1h",
		"config": map[string]any{"program": program, "fields": []string{"key"}, "settings": map[string]any{"file": keys}},
	})
	if first := e.attempt("gateway", nil); first["tested"] != "worked" {
		t.Errorf("%v", first)
	}
	old := e.secret("gateway").Data["key"]
	if second := e.attempt("gateway", nil); second["tested"] != "worked" || second["old"] != "dead" {
		t.Errorf("%v", second)
	}
	taken, err := os.ReadFile(keys)
	if want := fmt.Sprintf("[%q]", e.secret("gateway").Data["key"]); err != nil || string(taken) != want || strings.Contains(want, old.(string)) {
		t.Errorf("the gateway takes %s, not %s: %v", taken, want, err)
	}
	if text := e.metrics(); !strings.Contains(text, `coffer_rotation_attempts_total{name="gateway",outcome="success"} 2`) ||
		!strings.Contains(text, `coffer_rotation_failures{name="gateway"} 0`) {
		t.Errorf("metrics: %s", text)
	}
	e.must("PUT", "sys/seal", nil)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func (e *engineTest) metrics() string {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, e.url+"/v1/sys/metrics?format=prometheus", nil)
	if err != nil {
		e.t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", "chosen")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return string(text)
}
