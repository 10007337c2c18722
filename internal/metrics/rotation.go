package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Rotation is what is told of one rotation.
type Rotation struct {
	Name        string
	Next        time.Time // when the next attempt is to begin, or has begun; zero: there is none planned
	LastSuccess time.Time // zero: there was none
	Failures    int       // of steps, since the last success
}

// Outcome is how an attempt of a rotation has ended.
type Outcome string

// The outcomes.
const (
	Succeeded    Outcome = "success"
	StillAlive   Outcome = "alive"        // the retired secret still works
	Inconclusive Outcome = "inconclusive" // nobody knows whether it does
	Abandoned    Outcome = "abandoned"
)

var outcomes = []Outcome{Succeeded, StillAlive, Inconclusive, Abandoned}

// rotations are the metrics of the rotations that there are at each reading: those
// that are deleted leave no series behind.
type rotations struct {
	list func() []Rotation
	now  func() time.Time

	mu    sync.Mutex // guards the field below
	ended map[string]map[Outcome]int

	untilNext, lastSuccess, failures, attempts *prometheus.Desc
}

var _ prometheus.Collector = (*rotations)(nil)

// ShowRotations shows what list returns at each reading: it must be quick, and
// returns nothing while the server is sealed. It is called once, before the first
// reading.
func (m *Metrics) ShowRotations(list func() []Rotation, now func() time.Time) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("coffer_rotation_"+name, help, append([]string{"name"}, labels...), nil)
	}
	m.rotations = &rotations{
		list: list, now: now, ended: map[string]map[Outcome]int{},
		untilNext:   desc("seconds_until_next", "Time until the next attempt; below zero: one is late, or under way for so long."),
		lastSuccess: desc("last_success_timestamp_seconds", "Unix time at which the secret was last replaced; 0: never."),
		failures:    desc("failures", "Steps that have failed since the last success."),
		attempts:    desc("attempts_total", "Attempts that have ended since this server was started.", "outcome"),
	}
	m.registry.MustRegister(m.rotations)
}

// Rotated counts an attempt that has ended.
func (m *Metrics) Rotated(name string, o Outcome) {
	r := m.rotations
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended[name] == nil {
		r.ended[name] = map[Outcome]int{}
	}
	r.ended[name][o]++
}

// Describe implements [prometheus.Collector].
func (r *rotations) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{r.untilNext, r.lastSuccess, r.failures, r.attempts} {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (r *rotations) Collect(to chan<- prometheus.Metric) {
	all := r.list()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range all {
		gauge := func(d *prometheus.Desc, value float64) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, one.Name)
		}
		if !one.Next.IsZero() {
			gauge(r.untilNext, one.Next.Sub(r.now()).Seconds())
		}
		last := 0.0
		if !one.LastSuccess.IsZero() {
			last = float64(one.LastSuccess.UnixMilli()) / 1000
		}
		gauge(r.lastSuccess, last)
		gauge(r.failures, float64(one.Failures))
		for _, o := range outcomes {
			to <- prometheus.MustNewConstMetric(r.attempts, prometheus.CounterValue, float64(r.ended[one.Name][o]), one.Name, string(o))
		}
	}
}
