package server

import (
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/config"
)

func TestStateTellsNothingSecret(t *testing.T) {
	c := configured(config.Pebble, "/hidden")
	c.Seal = config.Seal{Kind: config.KeyFile, Path: "/hidden/key"}
	c.PIDFile, c.ClusterName = "", "c"
	c.Listeners[0].TLS = config.TLS{CertFile: "/hidden/cert", KeyFile: "/hidden/tls-key"}
	c.Audits = []config.Audit{{Type: "file", Path: "file", Options: map[string]string{"file_path": "/hidden/log"}}}
	log := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn}))
	text, err := json.Marshal(state(Options{Config: c, Log: log}))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hidden") {
		t.Errorf("it tells where things lie: %s", text)
	}
	for _, want := range []string{
		`"log_level":"warn"`, `"cluster_name":"c"`, `"seals":[{"disabled":false,"type":"keyfile"}]`, `"storage":{"type":"pebble"}`,
		`"listeners":[{"config":{"address":"127.0.0.1:0","tls_disable":false},"type":"tcp"}]`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}
