package due

import (
	"fmt"
	"sync"
	"time"

	"github.com/cofferhq/coffer/internal/storage"
)

// Bounds of how far a clock may go wrong before it counts as one that jumped.
const (
	// Leap is how far the clock may go forward against time that cannot be set.
	Leap = time.Hour
	// Absence is how far it may go forward while nobody ran: how long that was
	// can't be known, so that only what is out of all proportion counts.
	Absence = 30 * 24 * time.Hour
	// Setback is how far it may go back.
	Setback = 5 * time.Minute
)

// Jump is a change of the clock that time does not explain.
type Jump struct {
	At     time.Time     // by the clock, afterwards
	By     time.Duration // below zero: it went back
	Absent bool          // it was noticed at a start, against what was stored before
	Holds  bool          // what it has made due is held back
}

// String tells of the jump, for people.
func (j Jump) String() string {
	text, by := "the clock went forward by %s", j.By.Round(time.Second)
	if by < 0 {
		text, by = "the clock went back by %s", -by
	}
	text = fmt.Sprintf(text, by)
	if j.Absent {
		text += " since the server was last seen to run"
	}
	return text
}

// Hold says that the clock went forward and nobody has confirmed it: what fell due
// by that alone waits until it would have been due without the jump.
type Hold struct {
	Since time.Time `json:"since"` // when it was noticed, by the clock
	Until time.Time `json:"until"` // what was planned for later than this is not held
	Line  time.Time `json:"line"`  // what time it would be without the jump
	Why   string    `json:"why"`
}

// watch is the stored record of the clock: when a runner was last here.
type watch struct {
	Here time.Time `json:"here"`
	Hold *Hold     `json:"hold,omitempty"`
}

var watchForm = storage.Form[watch]{Name: "due clock", Version: 1}

func watchKey() string { return storage.Plain("dueclock") }

// clock holds the machine's clock against time that cannot be set.
type clock struct {
	now    func() time.Time
	steady func() time.Duration

	mu   sync.Mutex    // guards the fields below
	wall time.Time     // by the clock, at the last look
	at   time.Duration // the steady time then
	hold *Hold         // nil: nothing is held back; else its Line is that of the last look
}

// newClock returns a clock. Without steady, the readings of now tell, if they have
// a monotonic part.
func newClock(now func() time.Time, steady func() time.Duration) *clock {
	if steady == nil {
		began := now()
		steady = func() time.Duration { return now().Sub(began) }
	}
	c := &clock{now: now, steady: steady}
	c.wall, c.at = c.read(), steady() // what changes from here on is noticed
	return c
}

// read returns the time by the clock, without a monotonic part.
func (c *clock) read() time.Time { return c.now().Round(0).UTC() }

// setback is what is to be put back: all that was planned for after a time.
type setback struct {
	after time.Time
	by    time.Duration
}

// begin takes up where a runner was last seen, as of when the clock was made, and
// returns as look does.
func (c *clock) begin(last watch) (*Jump, []setback) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last.Here.IsZero() {
		return nil, nil
	}
	c.hold = last.Hold
	here, away := last.Here, c.wall.Sub(last.Here)
	if away > 0 && away <= Absence {
		// As far as is known, so much time has passed.
		c.passLocked(away)
		return nil, nil
	}
	jump, back := c.judgeLocked(here, Absence)
	if jump != nil {
		jump.Absent = true
		if jump.Holds {
			c.hold.Why = jump.String()
		}
	}
	return jump, back
}

// look compares the clocks. It returns the jump that has happened since the last
// look, if one has, and what is to be put back for it.
func (c *clock) look() (*Jump, []setback) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, at := c.read(), c.steady()
	expected := c.wall.Add(at - c.at)
	c.passLocked(at - c.at)
	c.wall, c.at = wall, at
	return c.judgeLocked(expected, Leap)
}

// passLocked lets time pass on the line of a hold, which ends when all it held is
// due without the jump.
func (c *clock) passLocked(d time.Duration) {
	if c.hold == nil || d <= 0 {
		return
	}
	next := *c.hold
	next.Line = next.Line.Add(d)
	if c.hold = &next; !next.Line.Before(next.Until) {
		c.hold = nil
	}
}

// judgeLocked compares the clock with the time that was expected.
func (c *clock) judgeLocked(expected time.Time, forward time.Duration) (*Jump, []setback) {
	by := c.wall.Sub(expected)
	switch {
	case by > forward:
		return c.forwardLocked(expected, by), nil
	case by < -Setback:
		return c.backLocked(expected, -by)
	}
	return nil, nil
}

func (c *clock) forwardLocked(expected time.Time, by time.Duration) *Jump {
	jump := &Jump{At: c.wall, By: by, Holds: true}
	next := &Hold{Since: c.wall, Until: c.wall, Line: expected, Why: jump.String()}
	if c.hold != nil {
		next.Since, next.Line = c.hold.Since, c.hold.Line
	}
	c.hold = next
	return jump
}

// backLocked is for a clock that went back, perhaps to where it came from.
func (c *clock) backLocked(expected time.Time, by time.Duration) (*Jump, []setback) {
	back := []setback{{after: expected, by: by}}
	if c.hold != nil {
		next := *c.hold
		line := next.Line
		// What is planned from here on is not held.
		if next.Until.After(c.wall) {
			next.Until = c.wall
		}
		if c.hold = &next; !c.wall.After(line.Add(Leap)) {
			c.hold = nil
		}
		if past := line.Sub(c.wall); past > Setback {
			back = append(back, setback{after: line, by: past})
		}
	}
	return &Jump{At: c.wall, By: -by, Holds: c.hold != nil}, back
}

// line is the time without a jump that is not confirmed.
func (c *clock) line() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.read()
	if c.hold != nil {
		now = now.Add(-c.wall.Sub(c.hold.Line))
	}
	return now
}

// held returns what is held back, nil if nothing is.
func (c *clock) held() *Hold {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hold
}

// state is what is to be stored.
func (c *clock) state() watch {
	c.mu.Lock()
	defer c.mu.Unlock()
	return watch{Here: c.wall, Hold: c.hold}
}

// release ends the hold, if it is still that one, and says whether it was.
func (c *clock) release(h *Hold) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hold == nil || !c.hold.Until.Equal(h.Until) {
		return false
	}
	c.hold = nil
	return true
}

// span is a piece of the queue that may be worked off: what comes after a key, up to
// a time. ahead is how far the clock is ahead of that time.
type span struct {
	after string
	until time.Time
	ahead time.Duration
}

// spans returns what may be worked off as of the last look.
func (c *clock) spans() []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hold == nil {
		return []span{{until: c.wall}}
	}
	return []span{
		{until: c.hold.Line, ahead: c.wall.Sub(c.hold.Line)},
		{after: afterTime(c.hold.Until), until: c.wall},
	}
}
