package metrics_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/metrics"
)

func TestRotationsAreShown(t *testing.T) {
	now := time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	list := []metrics.Rotation{
		{Name: "db", Next: now.Add(time.Hour), LastSuccess: now.Add(-23 * time.Hour), Failures: 2},
		{Name: "late", Next: now.Add(-time.Minute)},
		{Name: "paused", LastSuccess: now},
	}
	m := metrics.New(func() bool { return false })
	m.ShowRotations(func() []metrics.Rotation { return list }, func() time.Time { return now })
	m.Rotated("db", metrics.Succeeded)
	m.Rotated("db", metrics.Succeeded)
	m.Rotated("late", metrics.Abandoned)
	m.Rotated("deleted", metrics.StillAlive)
	read := func(format string) string {
		t.Helper()
		_, body, err := m.Render(format)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	text := read("prometheus")
	for _, want := range []string{
		`coffer_rotation_seconds_until_next{name="db"} 3600`,
		`coffer_rotation_seconds_until_next{name="late"} -60`,
		`coffer_rotation_last_success_timestamp_seconds{name="db"} 1.774962e+09`,
		`coffer_rotation_last_success_timestamp_seconds{name="late"} 0`,
		`coffer_rotation_failures{name="db"} 2`,
		`coffer_rotation_attempts_total{name="db",outcome="success"} 2`,
		`coffer_rotation_attempts_total{name="db",outcome="abandoned"} 0`,
		`coffer_rotation_attempts_total{name="late",outcome="abandoned"} 1`,
		`coffer_rotation_attempts_total{name="paused",outcome="success"} 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	for _, never := range []string{`until_next{name="paused"`, "deleted"} {
		if strings.Contains(text, never) {
			t.Errorf("%s is shown", never)
		}
	}
	if text := read("json"); !strings.Contains(text, `{"Name":"coffer_rotation_failures","Value":2,"Labels":{"name":"db"}}`) {
		t.Errorf("JSON: %s", text)
	}
	list = nil // sealed
	if text := read("prometheus"); strings.Contains(text, "coffer_rotation") || !strings.Contains(text, "vault_core_unsealed") {
		t.Error("a sealed server")
	}
}
