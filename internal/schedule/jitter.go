package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"time"
)

// Jitter returns how long what is called name waits after its time, so that not all
// run at once: from zero to less than bound, always the same for a name, and spread
// evenly over names. Where there is a window, bound is to be well within it. A bound
// of zero or less makes no jitter.
func Jitter(name string, bound time.Duration) time.Duration {
	if bound <= 0 {
		return 0
	}
	sum := sha256.Sum256([]byte(name))
	// The high half of the product is the hash, scaled to bound.
	spread, _ := bits.Mul64(binary.BigEndian.Uint64(sum[:]), uint64(bound))
	return time.Duration(spread)
}
