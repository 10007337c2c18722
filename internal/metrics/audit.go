package metrics

import "github.com/prometheus/client_golang/prometheus"

// AuditDevice is what is shown of an audit device.
type AuditDevice struct {
	Path     string
	Away     bool  // its peer can't be reached
	HasDisk  bool  // the fields below say something
	Free     int64 // bytes left of its disk
	LowSpace bool  // fewer than it should have
}

// audits collects what devices tells at each reading.
type audits struct {
	devices         func() []AuditDevice
	away, free, low *prometheus.Desc
}

var _ prometheus.Collector = (*audits)(nil)

// ShowAudit shows how the audit devices fare. devices is asked at each reading.
func (m *Metrics) ShowAudit(devices func() []AuditDevice) {
	of := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"device"}, nil)
	}
	m.registry.MustRegister(&audits{
		devices: devices,
		away:    of("coffer_audit_device_away", "1 if the peer of an audit device can't be reached."),
		free:    of("coffer_audit_disk_free_bytes", "What is left of the disk that an audit device writes to."),
		low:     of("coffer_audit_disk_low", "1 if less is left of the disk than the device's warn_free."),
	})
}

// Describe implements [prometheus.Collector].
func (a *audits) Describe(to chan<- *prometheus.Desc) {
	to <- a.away
	to <- a.free
	to <- a.low
}

// Collect implements [prometheus.Collector].
func (a *audits) Collect(to chan<- prometheus.Metric) {
	for _, d := range a.devices() {
		to <- prometheus.MustNewConstMetric(a.away, prometheus.GaugeValue, oneIf(d.Away), d.Path)
		if d.HasDisk {
			to <- prometheus.MustNewConstMetric(a.free, prometheus.GaugeValue, float64(d.Free), d.Path)
			to <- prometheus.MustNewConstMetric(a.low, prometheus.GaugeValue, oneIf(d.LowSpace), d.Path)
		}
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
