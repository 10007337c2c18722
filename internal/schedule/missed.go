package schedule

import (
	"fmt"
	"time"
)

// Policy says what becomes of runs whose time went by while nobody could carry them
// out, because the server was down or sealed.
type Policy uint8

// The policies for missed runs.
const (
	CatchUp Policy = iota // one run makes up for all, at once
	Skip                  // the next one is awaited
)

// policyTexts are the policies as users write them.
var policyTexts = map[Policy]string{CatchUp: "catch-up", Skip: "skip"}

// ParsePolicy reads "catch-up" or "skip". The empty text is catch-up.
func ParsePolicy(text string) (Policy, error) {
	if text == "" {
		return CatchUp, nil
	}
	for p, t := range policyTexts {
		if t == text {
			return p, nil
		}
	}
	return 0, fmt.Errorf("expected \"catch-up\" or \"skip\" for missed runs")
}

// String returns the policy as ParsePolicy reads it.
func (p Policy) String() string { return policyTexts[p] }

// Missed returns when the run is due that follows the one at last, if now it is
// found to be undone: at its own time if that is not past; now, if p is CatchUp and
// a run after last still is within its window; else at the first time from now on.
// What was missed before counts as one run with it.
//
// A runner asks after a time in which it did not run, or could not. A run that is a
// little late for its place in a queue is not missed.
func (s Schedule) Missed(last, now time.Time, p Policy) time.Time {
	last, now = last.UTC(), now.UTC()
	next := s.Next(last)
	switch {
	case next.IsZero() || !next.Before(now):
		return next
	case p == CatchUp && s.open(last, now):
		return now
	case s.line != nil:
		return s.Next(now.Add(-1)) // now itself is a time like any other
	}
	// The periods go on from last, however many went by.
	if late := now.Sub(last) % s.period; late > 0 {
		return now.Add(s.period - late)
	}
	return now
}

// open says whether the window is open of a run after last, whose time is not after
// now. A window ends before the time that it is long has gone by.
func (s Schedule) open(last, now time.Time) bool {
	if s.window == 0 {
		return true
	}
	begin := now.Add(-s.window)
	if begin.Before(last) {
		begin = last
	}
	return !s.Next(begin).After(now)
}
