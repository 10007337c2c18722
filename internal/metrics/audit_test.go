package metrics_test

import (
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/metrics"
)

func TestAuditDevicesAreShown(t *testing.T) {
	m := metrics.New(func() bool { return false })
	m.ShowAudit(func() []metrics.AuditDevice {
		return []metrics.AuditDevice{{Path: "file/", HasDisk: true, Free: 4096, LowSpace: true}, {Path: "socket/", Away: true}}
	})
	_, body, err := m.Render("prometheus")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`coffer_audit_disk_free_bytes{device="file/"} 4096`, `coffer_audit_disk_low{device="file/"} 1`,
		`coffer_audit_device_away{device="file/"} 0`, `coffer_audit_device_away{device="socket/"} 1`,
	} {
		if !strings.Contains(string(body), want+"\n") {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(string(body), `free_bytes{device="socket/"}`) {
		t.Error("a socket has a disk")
	}
}
