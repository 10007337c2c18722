// Package metrics counts what the server does, in Prometheus's terms, under the
// names that dashboards for Vault know where there is such a name.
package metrics

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"github.com/cofferhq/coffer/internal/logical"
)

// Metrics is the registry of one server. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	audits   prometheus.Counter

	rotations *rotations // nil until ShowRotations
}

// New returns a registry. sealed is asked at each reading.
func New(sealed func() bool) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "coffer_request_duration_seconds", Help: "Time from a request's header to its answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}, []string{"operation", "mount_type", "status"}),
		audits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "vault_audit_log_request_failure", Help: "Entries that an audit device could not record.",
		}),
	}
	unsealed := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "vault_core_unsealed", Help: "1 if the server is unsealed.",
	}, func() float64 {
		if sealed() {
			return 0
		}
		return 1
	})
	m.registry.MustRegister(m.requests, m.audits, unsealed,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Observe counts one request that was answered.
func (m *Metrics) Observe(op, mountType string, status int, took time.Duration) {
	m.requests.WithLabelValues(op, mountType, statusClass(status)).Observe(took.Seconds())
}

// statusClass keeps the number of series small.
func statusClass(status int) string { return string(rune('0'+status/100)) + "xx" }

// AuditFailed counts an entry that a device could not record.
func (m *Metrics) AuditFailed() { m.audits.Inc() }

// Render returns all metrics in a format, "prometheus" or (also if it is empty)
// "json", with its content type.
func (m *Metrics) Render(format string) (contentType string, body []byte, err error) {
	switch format {
	case "prometheus":
		return m.prometheus()
	case "", "json":
		body, err = m.json()
		return "application/json", body, err
	}
	return "", nil, logical.Invalid("metric response format %q unknown: use prometheus or json", format)
}

func (m *Metrics) prometheus() (string, []byte, error) {
	families, err := m.registry.Gather()
	if err != nil {
		return "", nil, fmt.Errorf("gather metrics: %w", err)
	}
	var buf bytes.Buffer
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	enc := expfmt.NewEncoder(&buf, format)
	for _, f := range families {
		if err := enc.Encode(f); err != nil {
			return "", nil, fmt.Errorf("encode metrics: %w", err)
		}
	}
	return string(format), buf.Bytes(), nil
}

// json is the shape of Vault's own format, with what clients read of it.
func (m *Metrics) json() ([]byte, error) {
	families, err := m.registry.Gather()
	if err != nil {
		return nil, fmt.Errorf("gather metrics: %w", err)
	}
	type sample struct {
		Name   string            `json:"Name"`
		Value  float64           `json:"Value"`
		Labels map[string]string `json:"Labels"`
	}
	gauges, counters := []sample{}, []sample{}
	for _, f := range families {
		for _, s := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range s.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			switch {
			case s.GetGauge() != nil:
				gauges = append(gauges, sample{f.GetName(), s.GetGauge().GetValue(), labels})
			case s.GetCounter() != nil:
				counters = append(counters, sample{f.GetName(), s.GetCounter().GetValue(), labels})
			case s.GetHistogram() != nil:
				counters = append(counters, sample{f.GetName() + "_count", float64(s.GetHistogram().GetSampleCount()), labels})
			}
		}
	}
	return json.Marshal(map[string]any{
		"Timestamp": time.Now().UTC().Format(time.DateTime) + " +0000 UTC",
		"Gauges":    gauges, "Counters": counters, "Points": []any{}, "Samples": []any{},
	})
}
