package metrics

import "github.com/prometheus/client_golang/prometheus"

// ShowDue shows whether a jump of the clock holds back what is due. held is asked at
// each reading.
func (m *Metrics) ShowDue(held func() bool) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "coffer_due_held", Help: "1 if what fell due by a jump of the clock is held back until somebody confirms the time.",
	}, func() float64 {
		if held() {
			return 1
		}
		return 0
	}))
}
