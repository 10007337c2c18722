package quota

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	noon  = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	alice = netip.MustParseAddr("192.0.2.1")
	bob   = netip.MustParseAddr("192.0.2.2")
)

func limitOf(rate float64, interval, block time.Duration) *Limit {
	return newLimit(Rule{Name: "r", Rate: rate, Interval: interval, Block: block}, newClients(1000))
}

func TestLimitsLetThroughWhatTheySay(t *testing.T) {
	type ask struct {
		after     time.Duration // since noon
		who       netip.Addr
		refused   bool
		remaining int64
		reset     time.Duration
	}
	tests := []struct {
		name            string
		rate            float64
		interval, block time.Duration
		asks            []ask
	}{
		{"so many at once, and no more", 2, time.Second, 0, []ask{
			{0, alice, false, 1, 500 * time.Millisecond}, {0, alice, false, 0, time.Second}, {0, alice, true, 0, 500 * time.Millisecond},
		}},
		{"they come back evenly", 2, time.Second, 0, []ask{
			{0, alice, false, 1, 500 * time.Millisecond}, {0, alice, false, 0, time.Second},
			{499 * time.Millisecond, alice, true, 0, time.Millisecond},
			{500 * time.Millisecond, alice, false, 0, time.Second},
			{500 * time.Millisecond, alice, true, 0, 500 * time.Millisecond},
		}},
		{"and never more than at first", 1, time.Second, 0, []ask{
			{time.Hour, alice, false, 0, time.Second}, {time.Hour, alice, true, 0, time.Second},
		}},
		{"every client has its own", 1, time.Second, 0, []ask{
			{0, alice, false, 0, time.Second}, {0, bob, false, 0, time.Second}, {0, alice, true, 0, time.Second},
		}},
		{"an address is the same in both its forms", 1, time.Second, 0, []ask{
			{0, alice, false, 0, time.Second}, {0, netip.AddrFrom16(alice.As16()), true, 0, time.Second},
		}},
		{"clients without an address are one", 1, time.Second, 0, []ask{
			{0, netip.Addr{}, false, 0, time.Second}, {0, netip.Addr{}, true, 0, time.Second},
		}},
		{"less than one an interval", .5, time.Second, 0, []ask{
			{0, alice, false, 0, 2 * time.Second}, {time.Second, alice, true, 0, time.Second}, {2 * time.Second, alice, false, 0, 2 * time.Second},
		}},
		{"a fraction does not allow one more at once", 1.9, time.Minute, 0, []ask{
			{0, alice, false, 0, 31578947368}, {0, alice, true, 0, 31578947368},
		}},
		{"who was over the limit is blocked", 1, time.Second, time.Minute, []ask{
			{0, alice, false, 0, time.Second}, {0, alice, true, 0, time.Minute},
			{59 * time.Second, alice, true, 0, time.Second}, {59 * time.Second, bob, false, 0, time.Second},
			{time.Minute, alice, false, 0, time.Second},
		}},
		{"a clock that is set back locks nobody out", 1, time.Second, time.Minute, []ask{
			{time.Hour, alice, false, 0, time.Second}, {time.Hour, alice, true, 0, time.Minute},
			{0, alice, true, 0, time.Minute}, {time.Minute, alice, false, 0, time.Second},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := limitOf(tt.rate, tt.interval, tt.block)
			for i, a := range tt.asks {
				want := Standing{Limit: l.burst(), Remaining: a.remaining, Reset: a.reset, Refused: a.refused}
				if got := l.Take(a.who, noon.Add(a.after)); got != want {
					t.Fatalf("request %d: %+v, want %+v", i, got, want)
				}
			}
		})
	}
}

// Whenever the requests come, no more of them are let through in a time than the
// bucket holds and what the time adds, and an obedient client is never refused.
func TestLimitsHoldForAnySchedule(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		l := limitOf(.1+50*rnd.Float64(), time.Duration(1+rnd.IntN(100))*time.Second, 0)
		var granted int64
		var at time.Duration
		for range 500 {
			at += time.Duration(rnd.Int64N(2 * int64(l.step())))
			s := l.Take(alice, noon.Add(at))
			if !s.Refused {
				granted++
			}
			if most := l.burst() + int64(at/l.step()); granted > most {
				t.Fatalf("seed %d: %d requests in %v of rate %v in %v, want at most %d", seed, granted, at, l.Rate, l.Interval, most)
			}
			if !s.Refused {
				continue
			}
			at += s.Reset
			if l.Take(alice, noon.Add(at)).Refused {
				t.Fatalf("seed %d: refused after waiting as told", seed)
			}
			granted++
		}
	}
}

func TestManyAtOnceGetNoMoreThanOne(t *testing.T) {
	const allowed = 100
	l := limitOf(allowed, time.Hour, 0)
	var granted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2 * allowed {
				if !l.Take(alice, noon).Refused {
					granted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := granted.Load(); got != allowed {
		t.Errorf("%d requests let through, want %d", got, allowed)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	l := limitOf(1, time.Second, 0)
	for i := range 5000 {
		l.Take(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), noon)
	}
	if n := l.clients.buckets.EstimatedSize(); n > 1000 {
		t.Errorf("%d clients are remembered, want at most 1000", n)
	}
}
