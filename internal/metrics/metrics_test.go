package metrics_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/metrics"
)

func TestRender(t *testing.T) {
	sealed := true
	m := metrics.New(func() bool { return sealed })
	m.Observe("read", "kv", 200, 3*time.Millisecond)
	m.Observe("read", "kv", 204, time.Millisecond)
	m.Observe("update", "", 403, time.Millisecond)
	m.AuditFailed()
	for _, tt := range []struct{ name, format, kind, want string }{
		{"a sealed server", "prometheus", "text/plain", "vault_core_unsealed 0"},
		{"requests by class of status", "prometheus", "text/plain",
			`coffer_request_duration_seconds_count{mount_type="kv",operation="read",status="2xx"} 2`},
		{"refusals", "prometheus", "text/plain",
			`coffer_request_duration_seconds_count{mount_type="",operation="update",status="4xx"} 1`},
		{"failures of the audit", "prometheus", "text/plain", "vault_audit_log_request_failure 1"},
		{"JSON if asked for", "json", "application/json", `"vault_core_unsealed"`},
		{"JSON if nothing is asked for", "", "application/json", `"vault_audit_log_request_failure"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kind, body, err := m.Render(tt.format)
			if err != nil || !strings.HasPrefix(kind, tt.kind) || !strings.Contains(string(body), tt.want) {
				t.Errorf("%q %v\n%s", kind, err, body)
			}
			if tt.kind == "application/json" && !json.Valid(body) {
				t.Error("no JSON")
			}
		})
	}
	sealed = false
	if _, body, err := m.Render("prometheus"); err != nil || !strings.Contains(string(body), "vault_core_unsealed 1") {
		t.Errorf("unsealed: %v", err)
	}
	if _, _, err := m.Render("xml"); !errors.Is(err, logical.ErrInvalid) {
		t.Errorf("an unknown format: %v", err)
	}
}
