package delivery

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/secrets"
)

// The figures that count are those that are reported: from the answer to a write to
// the new value in the applications that follow it, of a thousand that are connected
// to one server process; and how long the same reads take when nothing is pushed.
func BenchmarkPush(b *testing.B) {
	for _, tt := range []struct {
		name     string
		matching int
		opts     []secrets.Option
	}{
		{"10 of 1000 follow", 10, nil},
		{"1000 of 1000 follow", 1000, []secrets.Option{secrets.WithoutAcknowledgement()}},
		{"1000 of 1000 follow and acknowledge", 1000, nil},
	} {
		b.Run(tt.name, func(b *testing.B) { benchmarkPush(b, 1000, tt.matching, tt.opts) })
	}
}

// crowd is applications that are connected to one server.
type crowd struct {
	clients []*client.Client // of those that follow secret/mine
	told    chan time.Time   // when each of them has its new value
}

func benchmarkPush(b *testing.B, connected, matching int, opts []secrets.Option) {
	h := newHouse(b)
	h.put("mine", "0")
	h.put("other", "0")
	crowd := gather(b, h, connected, matching, opts)
	var each, all, reads []time.Duration
	n := 0
	for b.Loop() {
		n++
		h.put("mine", fmt.Sprint(n))
		answered := time.Now()
		var last time.Duration
		for range matching {
			took := max(0, (<-crowd.told).Sub(answered))
			each = append(each, took)
			last = max(last, took)
		}
		all = append(all, last)
		b.StopTimer()
		reads = append(reads, crowd.read(b))
		b.StartTimer()
	}
	slices.Sort(each)
	b.ReportMetric(milliseconds(each[len(each)/2]), "ms-median")
	b.ReportMetric(milliseconds(each[len(each)*99/100]), "ms-p99")
	b.ReportMetric(milliseconds(median(all)), "ms-all")
	b.ReportMetric(milliseconds(median(reads)), "ms-reads")
	b.ReportMetric(median(all).Seconds()/median(reads).Seconds(), "all/reads")
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

func median(all []time.Duration) time.Duration { return slices.Sorted(slices.Values(all))[len(all)/2] }

// gather opens the applications, each with connections of its own.
func gather(b *testing.B, h *house, connected, matching int, opts []secrets.Option) *crowd {
	b.Helper()
	c := &crowd{clients: make([]*client.Client, matching), told: make(chan time.Time, connected)}
	var opening sync.WaitGroup
	places := make(chan struct{}, 16)
	for i := range connected {
		places <- struct{}{}
		opening.Go(func() {
			defer func() { <-places }()
			own, reference := h.client(h.root.Token()), "vault:secret/other#key"
			if i < matching {
				reference, c.clients[i] = "vault:secret/mine#key", own
			}
			s, err := secrets.Open(b.Context(), reference, append(opts[:len(opts):len(opts)], secrets.WithClient(own))...)
			if err != nil {
				b.Error(err)
				return
			}
			s.OnChange(func(context.Context, secrets.Value) error {
				c.told <- time.Now()
				return nil
			})
			await(b, "push", s.Pushed)
			b.Cleanup(func() { _ = s.Close() })
		})
	}
	opening.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return c
}

// read has all who follow read once, at once, and says how long that takes.
func (c *crowd) read(b *testing.B) time.Duration {
	var all sync.WaitGroup
	begin := time.Now()
	for _, one := range c.clients {
		all.Go(func() {
			if _, err := one.Read(b.Context(), "secret/data/mine"); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
	return time.Since(begin)
}
