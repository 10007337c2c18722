package schedule

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// fiveFields reads cron lines as Vault does. Zones and words are not its business:
// all is UTC, and words have their lines in presets.
var fiveFields = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// reference is where lines are tried out: far from a century without a leap day.
var reference = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// parseLine reads a cron line of five fields.
func (s *Schedule) parseLine(line string, least time.Duration) error {
	// The parser panics on some texts that begin with a zone.
	if strings.Contains(line, "=") {
		return fmt.Errorf("a cron line has no time zone: it is read in UTC")
	}
	parsed, err := fiveFields.Parse(line)
	if err != nil {
		return fmt.Errorf("cron line: %w", err)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		panic(fmt.Sprintf("schedule: internal error: cron line of type %T", parsed)) // five fields make no other
	}
	spec.Location = time.UTC
	if s.window != 0 && s.window < MinWindow {
		return fmt.Errorf("the window is shorter than %s, the least allowed", MinWindow)
	}
	if nextOf(spec, reference).IsZero() {
		return fmt.Errorf("the cron line never comes: no month of it has such a day")
	}
	if closest := smallestGap(spec, least); closest < least {
		return fmt.Errorf("the cron line has runs %s apart; %s is the least allowed", closest, least)
	}
	s.line = spec
	return nil
}

// nextOf returns the first time of line after after, which is in UTC, or the zero
// time if none comes within ten years. Only the 29th of February is more than
// four years apart: eight, if a century without a leap day lies between.
func nextOf(line *cron.SpecSchedule, after time.Time) time.Time {
	if next := line.Next(after); !next.IsZero() {
		return next
	}
	// That looked to the end of the fifth year from here.
	searched := time.Date(after.Year()+6, time.January, 1, 0, 0, 0, 0, time.UTC)
	return line.Next(searched.Add(-1))
}

// smallestGap returns the shortest time between two runs of line. It may return
// less if that is enough: most lines need no look at the calendar then.
func smallestGap(line *cron.SpecSchedule, enough time.Duration) time.Duration {
	first, last, within := dayOf(line)
	gap := func(days int) time.Duration {
		overnight := time.Duration(days)*24*time.Hour - (last - first)
		if within > 0 {
			return min(within, overnight)
		}
		return overnight
	}
	if daily := gap(1); daily >= enough {
		return daily
	}
	return gap(smallestDays(line))
}

// dayOf returns when on its days a line runs first and last, and the shortest time
// between two runs of a day; zero if there is one only.
func dayOf(line *cron.SpecSchedule) (first, last, gap time.Duration) {
	first = -1
	for at := time.Duration(0); at < 24*time.Hour; at += time.Minute {
		hour, minute := at/time.Hour, at%time.Hour/time.Minute
		if line.Hour&(1<<hour) == 0 || line.Minute&(1<<minute) == 0 {
			continue
		}
		if first < 0 {
			first = at
		} else if gap == 0 || at-last < gap {
			gap = at - last
		}
		last = at
	}
	return first, last, gap
}

// smallestDays returns the shortest distance in days between two days of a line that
// has some. In 28 years every date falls on every day of the week, in years with and
// without a leap day.
func smallestDays(line *cron.SpecSchedule) int {
	days := *line
	days.Hour, days.Minute = 1, 1 // at midnight
	at := nextOf(&days, reference)
	end, smallest := at.AddDate(28, 0, 0), 0
	for smallest != 1 && at.Before(end) {
		next := nextOf(&days, at)
		if n := int(next.Sub(at) / (24 * time.Hour)); smallest == 0 || n < smallest {
			smallest = n
		}
		at = next
	}
	return smallest
}
