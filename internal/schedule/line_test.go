package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// naive is a cron line as sets of numbers, read in the dullest way.
type naive struct {
	sets  [5][]int
	stars [5]bool
}

// ranges is what the fields may be.
var ranges = [5][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 6}}

// randomLine returns a cron line, and what it means.
func randomLine(r *rand.Rand) (string, naive) {
	var n naive
	texts := make([]string, 5)
	for i, bounds := range ranges {
		texts[i], n.sets[i], n.stars[i] = randomField(r, bounds[0], bounds[1])
	}
	return strings.Join(texts, " "), n
}

func randomField(r *rand.Rand, low, high int) (text string, set []int, star bool) {
	every := func(from, to, step int) {
		for i := from; i <= to; i += step {
			set = append(set, i)
		}
	}
	switch from := low + r.IntN(high-low+1); r.IntN(6) {
	case 0, 1:
		every(low, high, 1)
		return "*", set, true
	case 2:
		step := 2 + r.IntN(high)
		every(low, high, step)
		return fmt.Sprintf("*/%d", step), set, false
	case 3:
		to, step := from+r.IntN(high-from+1), 1+r.IntN(4)
		every(from, to, step)
		return fmt.Sprintf("%d-%d/%d", from, to, step), set, false
	case 4:
		other := low + r.IntN(high-low+1)
		return fmt.Sprintf("%d,%d", from, other), []int{from, other}, false
	default:
		return fmt.Sprint(from), []int{from}, false
	}
}

func (n naive) matches(t time.Time) bool {
	has := func(field, value int) bool { return slices.Contains(n.sets[field], value) }
	month, week := has(2, t.Day()), has(4, int(t.Weekday()))
	day := month || week
	if n.stars[2] || n.stars[4] {
		day = month && week
	}
	return day && has(3, int(t.Month())) && has(1, t.Hour()) && has(0, t.Minute())
}

// next looks at each minute, of those days that can be, for some years.
func (n naive) next(after time.Time) time.Time {
	at := after.Truncate(time.Minute).Add(time.Minute)
	for at.Year() <= after.Year()+9 {
		switch {
		case n.matches(at):
			return at
		case !slices.Contains(n.sets[3], int(at.Month())):
			at = time.Date(at.Year(), at.Month()+1, 1, 0, 0, 0, 0, time.UTC)
		case len(n.sets[1]) < 24 && !slices.Contains(n.sets[1], at.Hour()):
			at = at.Truncate(time.Hour).Add(time.Hour)
		default:
			at = at.Add(time.Minute)
		}
	}
	return time.Time{}
}

func TestLinesMeanWhatADullReadingSays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		line, meaning := randomLine(r)
		after := time.Date(2000+r.IntN(100), time.Month(1+r.IntN(12)), 1+r.IntN(31), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1e9), time.UTC)
		want := meaning.next(after)
		s, err := Parse(line, 0, 0)
		if err != nil {
			if !want.IsZero() {
				t.Errorf("%q comes at %s, but: %v", line, want, err)
			}
			continue
		}
		if got := s.Next(after); got != want {
			t.Errorf("%q after %s: got %s, want %s", line, after, got, want)
		}
	}
}

// The least that is allowed must hold for every two runs, over the end of months
// and years.
func TestTheSmallestGapIsThatOfTheRuns(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		line, _ := randomLine(r)
		s, err := Parse(line, 0, 0)
		if err != nil {
			continue
		}
		gap := smallestGap(s.line, 1<<62)
		smallest := time.Duration(0)
		at := s.Next(time.Date(2023, time.December, 1, 0, 0, 0, 0, time.UTC))
		for range 2000 {
			next := s.Next(at)
			if d := next.Sub(at); smallest == 0 || d < smallest {
				smallest = d
			}
			at = next
		}
		if gap > smallest || gap <= 0 {
			t.Errorf("%q: the gap is %s, but runs are %s apart", line, gap, smallest)
		}
	}
}

// Whatever the text, there is a reason to refuse it, or a schedule that goes on for
// ever and can be read back.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "24h", "90d", "1e3", "daily", "@monthly", "* * * * *", "*/15 0-6/2 1,15 jan-mar MON", "0 0 29 2 *", "0 0 30 2 *",
		"TZ=0", "CRON_TZ= 0 0 * *", "0 0 ? * ?", "@every 1s", "*/99999999999999999999 * * * *", "0 0 */2 * */7", "0x1p9", "5/7,*/3 * * * *",
	} {
		f.Add(seed, uint16(0), int64(1_772_705_000), uint32(100_000))
		f.Add(seed, uint16(6), int64(1_772_705_000), uint32(10_000_000))
	}
	f.Fuzz(func(t *testing.T, text string, windowHours uint16, unix int64, later uint32) {
		window := time.Duration(windowHours) * time.Hour
		s, err := Parse(text, window, 0)
		if err != nil {
			return
		}
		again, err := Parse(s.String(), s.Window(), 0)
		if err != nil || again.String() != s.String() {
			t.Fatalf("%q is read back as %q: %v", s, again, err)
		}
		last := time.Unix(unix%(1<<33), 0).UTC()
		next := s.Next(last)
		if !next.After(last) || again.Next(last) != next {
			t.Fatalf("%q after %s: %s, and read back %s", s, last, next, again.Next(last))
		}
		if s.line != nil && (next.Second() != 0 || s.Next(next.Add(-1)) != next) {
			t.Errorf("%q: %s is no time of it", s, next)
		}
		now := last.Add(time.Duration(later) * time.Second)
		checkMissed(t, s, last, now)
	})
}
