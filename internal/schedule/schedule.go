// Package schedule says when something runs next: after a period, or at the times
// of a cron line. It reads no clock, keeps no state and runs nothing; all its times
// are UTC, so that no hour comes twice or not at all.
//
// Start reading at [Parse], then [Schedule].
package schedule

import (
	"fmt"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/robfig/cron/v3"
)

// MinWindow is the shortest window, as in Vault.
const MinWindow = time.Hour

// maxTextBytes bounds what is parsed. The longest cron line without repetition has
// some 400 bytes.
const maxTextBytes = 512

// Schedule says when something runs. Make one with [Parse]; the zero value never
// runs. It is immutable and safe for concurrent use.
type Schedule struct {
	text   string
	period time.Duration      // zero: a cron line
	line   *cron.SpecSchedule // nil: a period
	window time.Duration      // zero: none
}

// presets are words for cron lines; an @ may stand before each.
var presets = map[string]string{
	"hourly":   "0 * * * *",
	"daily":    "0 0 * * *",
	"midnight": "0 0 * * *",
	"weekly":   "0 0 * * 0",
	"monthly":  "0 0 1 * *",
	"yearly":   "0 0 1 1 *",
	"annually": "0 0 1 1 *",
}

// Parse reads a schedule:
//
//	24h, 90d, 3600          a period, as logical.ParseDuration reads durations
//	daily, @daily           hourly, daily, midnight, weekly (Sunday), monthly, yearly
//	                        or annually, at the beginning of each in UTC
//	30 2 * * MON-FRI        a cron line of five fields: minute, hour, day of the
//	                        month, month, day of the week from 0 (Sunday) to 6; with
//	                        lists, ranges, steps and the names of months and days
//
// If a cron line restricts both the day of the month and that of the week, it means
// the days that are either, as cron does; a step, "*/2", restricts.
//
// window is how long after its time a run may still begin: zero is for ever, else it
// is MinWindow or more. A period has none. Runs must be least or more apart, also
// where the line has them closest; a second is the least in any case.
//
// Errors are texts for who wrote the schedule.
func Parse(text string, window, least time.Duration) (Schedule, error) {
	if len(text) > maxTextBytes {
		return Schedule{}, fmt.Errorf("the schedule is longer than %d bytes", maxTextBytes)
	}
	fields := strings.Fields(text)
	s := Schedule{text: strings.Join(fields, " "), window: window}
	line, named := presets[strings.ToLower(strings.TrimPrefix(s.text, "@"))]
	var err error
	switch {
	case named:
		err = s.parseLine(line, least)
	case len(fields) == 5:
		err = s.parseLine(s.text, least)
	case len(fields) == 1 && '0' <= s.text[0] && s.text[0] <= '9':
		err = s.parsePeriod(least)
	default:
		err = fmt.Errorf("expected a period such as \"90d\", a word such as \"daily\", or a cron line of five fields")
	}
	if err != nil {
		return Schedule{}, err
	}
	return s, nil
}

func (s *Schedule) parsePeriod(least time.Duration) error {
	var err error
	if s.period, err = logical.ParseDuration(s.text); err != nil {
		return err
	}
	if least = max(least, time.Second); s.period < least {
		return fmt.Errorf("the period is shorter than %s, the least allowed", least)
	}
	if s.window != 0 {
		return fmt.Errorf("a period has no window: that is for cron lines")
	}
	return nil
}

// String returns the text that was parsed, without needless spaces: Parse makes the
// same schedule of it, with the same window.
func (s Schedule) String() string { return s.text }

// Period returns the period; zero if it is a cron line.
func (s Schedule) Period() time.Duration { return s.period }

// Window returns how long after its time a run may begin; zero if for ever.
func (s Schedule) Window() time.Duration { return s.window }

// IsZero says whether s is the zero value, which never runs.
func (s Schedule) IsZero() bool { return s.period == 0 && s.line == nil }

// Next returns the time of the first run after after: always later than it. Of a
// period, after is when the run before was. It is the zero time if s is the zero
// value.
func (s Schedule) Next(after time.Time) time.Time {
	after = after.UTC()
	switch {
	case s.period > 0:
		return after.Add(s.period)
	case s.line != nil:
		return nextOf(s.line, after)
	}
	return time.Time{}
}
