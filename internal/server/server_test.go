package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/config"
)

// run starts a server on a free loopback address and returns what it tells, and
// how to stop it.
func run(t *testing.T, o Options) (Started, func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan Started, 1), make(chan error, 1)
	o.Ready = func(s Started) { ready <- s }
	go func() { done <- Run(ctx, o) }()
	select {
	case s := <-ready:
		return s, func() error { cancel(); return <-done }
	case err := <-done:
		cancel()
		t.Fatalf("the server ended: %v", err)
		return Started{}, nil
	}
}

func configured(kind config.StorageKind, dir string) *config.Config {
	return &config.Config{
		Storage:   config.Storage{Kind: kind, Path: filepath.Join(dir, "data")},
		Listeners: []config.Listener{{Network: config.TCP, Address: "127.0.0.1:0", TLS: config.TLS{Disabled: true}}},
		PIDFile:   filepath.Join(dir, "pid"), DisableMlock: true,
	}
}

func get(t *testing.T, url, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestADevServerServesAtOnce(t *testing.T) {
	var log bytes.Buffer
	dir := t.TempDir()
	s, stop := run(t, Options{
		Config: configured(config.Inmem, dir), Log: slog.New(slog.NewTextHandler(&log, nil)), Dev: true, RootToken: "chosen",
	})
	if s.First == nil || s.First.RootToken.RevealText() != "chosen" {
		t.Error("it does not tell its root token")
	}
	if code, body := get(t, s.URLs[0]+"/v1/sys/internal/ui/mounts/secret", "chosen"); code != 200 || !strings.Contains(body, `"version":"2"`) {
		t.Errorf("secret/: %d %s", code, body)
	}
	if _, err := os.Stat(filepath.Join(dir, "pid")); err != nil {
		t.Errorf("pid file: %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "pid")); !os.IsNotExist(err) {
		t.Errorf("the pid file is left: %v", err)
	}
	if strings.Contains(log.String(), "chosen") {
		t.Error("the log holds the root token")
	}
}

func TestAConfiguredServerWaitsForItsOperator(t *testing.T) {
	s, stop := run(t, Options{Config: configured(config.Inmem, t.TempDir()), Log: slog.New(slog.DiscardHandler)})
	if s.First != nil {
		t.Error("it has initialized itself")
	}
	if code, _ := get(t, s.URLs[0]+"/v1/sys/health", ""); code != http.StatusNotImplemented {
		t.Errorf("health: %d", code)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestHostInfo(t *testing.T) {
	info, err := hostInfo(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	var shape struct {
		Timestamp      string
		Host           struct{ Hostname, OS string }
		Memory         map[string]uint64
		CPU, Disk      []map[string]any
		ProcessorTimes []map[string]any `json:"cpu_times"`
	}
	if err := json.Unmarshal(raw, &shape); err != nil {
		t.Fatal(err)
	}
	if shape.Timestamp == "" || shape.Host.OS != "linux" || shape.Memory["total"] == 0 || len(shape.Disk) != 1 || len(shape.ProcessorTimes) == 0 {
		t.Errorf("%s", raw)
	}
}

func TestReloadReopensTheLog(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "coffer.log")
	file, err := OpenLogFile(path, Rotation{}, time.Now, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reload := make(chan os.Signal)
	_, stop := run(t, Options{
		Config: configured(config.Inmem, dir), Log: slog.New(slog.NewTextHandler(file, nil)), LogFile: file, Reload: reload,
	})
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	reload <- os.Interrupt
	if err := stop(); err != nil { // the reload has ended by then
		t.Error(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), "reloaded") {
		t.Errorf("%q: %v", text, err)
	}
}

func TestWhatTheConfigurationSaysOfAnswers(t *testing.T) {
	cfg := configured(config.Inmem, t.TempDir())
	cfg.ResponseHeaderHostname, cfg.Telemetry.NoPrometheus = true, true
	cfg.Listeners[0].UnauthenticatedMetrics, cfg.Listeners[0].DisableUnauthedGenerateRoot = true, true
	s, stop := run(t, Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Dev: true})
	for _, tt := range []struct {
		path string
		code int
	}{
		{"/v1/sys/metrics?format=prometheus", http.StatusBadRequest},
		{"/v1/sys/metrics", http.StatusOK},
		{"/v1/sys/generate-root/attempt", http.StatusForbidden},
		{"/v1/sys/rekey/init", http.StatusOK},
	} {
		if code, body := get(t, s.URLs[0]+tt.path, ""); code != tt.code {
			t.Errorf("%s: %d %s, want %d", tt.path, code, body, tt.code)
		}
	}
	resp, err := http.Get(s.URLs[0] + "/v1/sys/health")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if want, err := os.Hostname(); err != nil || resp.Header.Get("X-Vault-Hostname") != want {
		t.Errorf("the host is %q: %v", resp.Header.Get("X-Vault-Hostname"), err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
