package server

import (
	"log/slog"

	"github.com/cofferhq/coffer/internal/audit"
	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/metrics"
)

// shownDevices is how the audit devices fare, for the metrics.
func shownDevices(c *core.Core) []metrics.AuditDevice {
	var all []metrics.AuditDevice
	for _, s := range c.Devices().States() {
		d := metrics.AuditDevice{Path: s.Path, Away: s.Away}
		if s.Space != nil {
			d.HasDisk, d.Free, d.LowSpace = true, s.Space.Free, s.Space.Low
		}
		all = append(all, d)
	}
	return all
}

// tellSpace logs that the disk of an audit device is filling, before nothing can be
// recorded and so nothing answered, or that it has room again.
func tellSpace(log *slog.Logger, path string, s audit.Space) {
	if s.Low {
		log.Warn("the disk of an audit device is almost full: when it is, requests are refused",
			"device", path, "free_bytes", s.Free, "warn_free_bytes", s.Warn)
		return
	}
	log.Info("the disk of an audit device has room again", "device", path, "free_bytes", s.Free)
}
