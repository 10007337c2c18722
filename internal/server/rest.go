package server

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// restPause is between two looks at how much is going on.
	restPause = 2 * time.Second
	// quietBytes is the most that is allocated between two looks while nothing goes
	// on but what the server does by itself.
	quietBytes = 2 << 20
	// busyBytes is how much must have been allocated since memory was last given
	// back for that to be worth a collection.
	busyBytes = 16 << 20
)

// rest gives memory back to the system each time the server has come to rest. The
// collector itself runs when the heap has doubled, so after a burst it would leave as
// much garbage as there is data, for minutes; and a tighter one would cost every
// request. A server that is always busy never gets here.
type rest struct {
	collected uint64 // bytes allocated up to the last collection
	seen      uint64 // bytes allocated up to the last look
}

// look says whether it is time to give memory back, allocated being the bytes that
// were allocated since the process began.
func (r *rest) look(allocated uint64) bool {
	quiet := allocated-r.seen < quietBytes
	r.seen = allocated
	if !quiet || allocated-r.collected < busyBytes {
		return false
	}
	r.collected = allocated
	return true
}

// giveBack returns memory to the system if it is time for that.
func (r *rest) giveBack() {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	if r.look(sample[0].Value.Uint64()) {
		debug.FreeOSMemory()
	}
}
