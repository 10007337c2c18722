package audit

import (
	"sync"
	"sync/atomic"
	"time"
)

// State is how a device fares.
type State struct {
	Path, Type       string
	Recorded, Failed uint64    // lines, since it was enabled here
	LastError        string    // why the last line failed that did; empty: none
	LastFailure      time.Time // zero: none
	Away             bool      // the peer can't be reached, so lines fail at once
	Space            *Space    // of the disk; nil: there is none
}

// Space is what is left of the disk that a device writes to.
type Space struct {
	Free int64 // bytes
	Warn int64 // below so many it is low; zero: never
	Low  bool
}

// tally counts what becomes of a device's lines. The zero value is ready.
type tally struct {
	recorded, failed atomic.Uint64
	toldLow          atomic.Bool // OnSpace was told that space is low

	mu   sync.Mutex // guards the fields below
	last string     // text of the last failure
	at   time.Time
}

func (t *tally) count(err error) {
	if err == nil {
		t.recorded.Add(1)
		return
	}
	t.failed.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last, t.at = err.Error(), time.Now().UTC()
}

// State tells how the device fares, but not its path.
func (d *Device) State() State {
	s := State{Type: d.typ, Recorded: d.tally.recorded.Load(), Failed: d.tally.failed.Load()}
	switch sink := d.sink.(type) {
	case *remote:
		s.Away = sink.away.Load()
	case *file:
		s.Space = sink.disk.look(time.Now())
	}
	d.tally.mu.Lock()
	defer d.tally.mu.Unlock()
	s.LastError, s.LastFailure = d.tally.last, d.tally.at
	return s
}

// spaceNews returns the space of the device's disk if it has become low, or is no
// longer, since that was last asked; else nil.
func (d *Device) spaceNews(now time.Time) *Space {
	f, ok := d.sink.(*file)
	if !ok {
		return nil
	}
	s := f.disk.look(now)
	if s == nil || s.Low == d.tally.toldLow.Load() || !d.tally.toldLow.CompareAndSwap(!s.Low, s.Low) {
		return nil
	}
	return s
}

// States tells how the devices fare that are enabled, in the order in which they
// were.
func (b *Broker) States() []State {
	var all []State
	for _, e := range *b.list.Load() {
		s := e.device.State()
		s.Path = e.path
		all = append(all, s)
	}
	return all
}
