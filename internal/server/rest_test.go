package server

import "testing"

func TestMemoryIsGivenBackWhenABurstIsOver(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		name      string
		allocated []uint64 // at each look
		want      []bool
	}{
		{"nothing has happened", []uint64{mib, mib}, []bool{false, false}},
		{"the start is worth it", []uint64{20 * mib, 20 * mib}, []bool{false, true}},
		{"not while it is busy", []uint64{50 * mib, 100 * mib, 150 * mib}, []bool{false, false, false}},
		{"once it is over, and once only", []uint64{50 * mib, 51 * mib, 52 * mib}, []bool{false, true, false}},
		{"after each burst", []uint64{50 * mib, 51 * mib, 99 * mib, 100 * mib}, []bool{false, true, false, true}},
		{"what trickles adds up", []uint64{20 * mib, 21 * mib, 22 * mib, 36 * mib, 38*mib - 1}, []bool{false, true, false, false, true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r rest
			for i, n := range tt.allocated {
				if got := r.look(n); got != tt.want[i] {
					t.Errorf("look %d: %v", i+1, got)
				}
			}
		})
	}
}
