package httpapi_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// The figures that count are the two that are reported: from the answer to a write
// to its event at the last of those who want it.
func BenchmarkEvents(b *testing.B) {
	for _, matching := range []int{10, 1000} {
		b.Run(fmt.Sprintf("%d of 1000 subscribers match", matching), func(b *testing.B) { benchmarkEvents(b, 1000, matching) })
	}
}

func benchmarkEvents(b *testing.B, subscribers, matching int) {
	s := newServer(b)
	ctx, cancel := context.WithCancel(b.Context())
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	received := make(chan time.Time, subscribers)
	for i := range subscribers {
		path := "secret/data/mine"
		if i >= matching {
			path = fmt.Sprintf("secret/data/other-%d", i)
		}
		sub := s.listen("kv-v2%2F*?json=true&filter=" + `data_path%20%3D%3D%20%22` + path + `%22`)
		readers.Go(func() { takeTimes(ctx, sub.Conn, received) })
	}
	var took []time.Duration
	for b.Loop() {
		s.put("mine")
		answered := time.Now()
		for range matching {
			took = append(took, max(0, (<-received).Sub(answered)))
		}
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1e3, "ms-median")
	b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "ms-p99")
}

// takeTimes tells when each event has come.
func takeTimes(ctx context.Context, conn *websocket.Conn, received chan<- time.Time) {
	for {
		if _, _, err := conn.Read(ctx); err != nil {
			return
		}
		received <- time.Now()
	}
}
