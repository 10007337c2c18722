package schedule

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func mustParse(t testing.TB, text string, window time.Duration) Schedule {
	t.Helper()
	s, err := Parse(text, window, 0)
	if err != nil {
		t.Fatalf("Parse(%q, %s): %v", text, window, err)
	}
	return s
}

// at reads a time of tests, to the minute, or to the second.
func at(t testing.TB, text string) time.Time {
	t.Helper()
	layout := "2006-01-02 15:04:05"
	if len(text) < len(layout) {
		text += ":00"
	}
	when, err := time.Parse(layout, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestNextIsTheFirstTimeAfter(t *testing.T) {
	for _, tt := range []struct{ name, schedule, after, want string }{
		{"a period goes on from the run before", "24h", "2026-03-05 10:20:30", "2026-03-06 10:20:30"},
		{"a period of days", "90d", "2026-12-01 00:00", "2027-03-01 00:00"},
		{"a period of seconds", "3600", "2026-03-05 10:20", "2026-03-05 11:20"},
		{"a period over a leap day", "1d", "2028-02-28 12:00", "2028-02-29 12:00"},
		{"hourly", "hourly", "2026-03-05 10:00", "2026-03-05 11:00"},
		{"daily", "daily", "2026-03-05 10:20", "2026-03-06 00:00"},
		{"daily with an at sign, in capitals", "@Daily", "2026-12-31 23:59:59", "2027-01-01 00:00"},
		{"weekly is on Sunday", "weekly", "2026-03-05 10:20", "2026-03-08 00:00"},
		{"monthly", "monthly", "2026-12-05 10:20", "2027-01-01 00:00"},
		{"yearly", "@annually", "2026-01-01 00:00", "2027-01-01 00:00"},
		{"a line whose time it is right now", "30 2 * * *", "2026-03-05 02:30", "2026-03-06 02:30"},
		{"a line a moment before its time", "30 2 * * *", "2026-03-05 02:29:59", "2026-03-05 02:30"},
		{"every 15 minutes", "*/15 * * * *", "2026-03-05 10:45", "2026-03-05 11:00"},
		{"steps from a number", "5/20 * * * *", "2026-03-05 10:06", "2026-03-05 10:25"},
		{"a step in a range", "0 8-18/5 * * *", "2026-03-05 13:00", "2026-03-05 18:00"},
		{"lists", "0,30 1,13 * * *", "2026-03-05 01:30", "2026-03-05 13:00"},
		{"names of days", "0 0 * * SAT", "2026-03-05 00:00", "2026-03-07 00:00"},
		{"a range of days over a weekend", "0 9 * * mon-fri", "2026-03-06 09:00", "2026-03-09 09:00"},
		{"names of months", "0 0 1 jan,JUL *", "2026-03-05 00:00", "2026-07-01 00:00"},
		{"a question mark is a star", "0 0 ? * 1", "2026-03-05 00:00", "2026-03-09 00:00"},
		{"day of the month or day of the week", "0 0 13 * FRI", "2026-03-05 00:00", "2026-03-06 00:00"},
		{"day of the month or day of the week, the other", "0 0 10 * FRI", "2026-03-06 00:00", "2026-03-10 00:00"},
		{"a step restricts, as a list does", "0 0 */20 * FRI", "2026-03-06 00:00", "2026-03-13 00:00"},
		{"a month without a 31st is passed over", "0 0 31 * *", "2026-03-31 00:00", "2026-05-31 00:00"},
		{"the 30th is passed over in February", "0 0 30 * *", "2026-01-30 00:00", "2026-03-30 00:00"},
		{"the last of February without a leap day", "0 0 28 2 *", "2027-02-28 00:00", "2028-02-28 00:00"},
		{"a leap day", "0 0 29 2 *", "2026-03-05 00:00", "2028-02-29 00:00"},
		{"a leap day over a century that has none", "0 0 29 2 *", "2096-02-29 00:00", "2104-02-29 00:00"},
		{"a leap day in a century that has one", "0 0 29 2 *", "2396-02-29 00:00", "2400-02-29 00:00"},
		{"the end of the year", "59 23 31 12 *", "2026-12-31 23:59", "2027-12-31 23:59"},
		{"an hour that summer time leaves out in places", "30 2 29 3 *", "2026-03-05 00:00", "2026-03-29 02:30"},
		{"more spaces than needed", "  0  0\t* * SAT ", "2026-03-05 00:00", "2026-03-07 00:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, after := mustParse(t, tt.schedule, 0), at(t, tt.after)
			if got, want := s.Next(after), at(t, tt.want); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			// Where on earth the question is asked does not matter.
			if got, want := s.Next(after.In(time.FixedZone("", 9*3600+1800))), at(t, tt.want); got != want {
				t.Errorf("asked elsewhere: got %s, want %s", got, want)
			}
		})
	}
}

func TestParseRefusesWhatCannotBeMeant(t *testing.T) {
	const kinds = `expected a period such as "90d", a word such as "daily", or a cron line of five fields`
	for _, tt := range []struct {
		name, text    string
		window, least time.Duration
		want          string // begins the error
	}{
		{"nothing", " ", 0, 0, kinds},
		{"an unknown word", "fortnightly", 0, 0, kinds},
		{"every, which cron libraries know", "@every 1h", 0, 0, kinds},
		{"four fields", "0 0 * *", 0, 0, kinds},
		{"seconds before the five fields", "0 0 0 * * *", 0, 0, kinds},
		{"a negative period", "-1h", 0, 0, kinds},
		{"a period of no length", "0", 0, 0, "the period is shorter than 1s, the least allowed"},
		{"a period of part of a second", "0.5", 0, 0, "the period is shorter than 1s, the least allowed"},
		{"a period below the least", "59m", 0, time.Hour, "the period is shorter than 1h0m0s, the least allowed"},
		{"a period in an unknown unit", "2y", 0, 0, "expected a duration such as"},
		{"a period beyond all measure", "1000000d", 0, 0, "duration is out of range"},
		{"a period with a window", "24h", time.Hour, 0, "a period has no window"},
		{"a window that is too short", "daily", time.Hour - 1, 0, "the window is shorter than 1h0m0s, the least allowed"},
		{"a negative window", "daily", -time.Hour, 0, "the window is shorter than 1h0m0s, the least allowed"},
		{"the 30th of February", "0 0 30 2 *", 0, 0, "the cron line never comes"},
		{"31st days of months with 30", "0 0 31 4,6,9,11 *", 0, 0, "the cron line never comes"},
		{"a minute out of range", "60 * * * *", 0, 0, "cron line: "},
		{"the seventh day, which Vault does not know", "0 0 * * 7", 0, 0, "cron line: "},
		{"a range from high to low", "0 0 * * 5-1", 0, 0, "cron line: "},
		{"a step of zero", "*/0 * * * *", 0, 0, "cron line: "},
		{"a word for a number", "x * * * *", 0, 0, "cron line: "},
		{"a zone", "TZ=UTC 0 0 * *", 0, 0, "a cron line has no time zone"},
		{"a zone in the last field", "0 0 * * TZ=", 0, 0, "a cron line has no time zone"},
		{"a line below the least", "*/15 * * * *", 0, time.Hour, "the cron line has runs 15m0s apart; 1h0m0s is the least allowed"},
		{"a line whose runs are close once a day", "0 0,12,13 * * *", 0, 2 * time.Hour, "the cron line has runs 1h0m0s apart"},
		{"a line whose runs are close over midnight", "0 1,23 * * *", 0, 3 * time.Hour, "the cron line has runs 2h0m0s apart"},
		{"a line whose days are close at a month's end", "0 0 */30 * *", 0, 48 * time.Hour, "the cron line has runs 24h0m0s apart"},
		{"days of month and week that meet sometimes", "0 0 13 * FRI", 0, 48 * time.Hour, "the cron line has runs 24h0m0s apart"},
		{"a word below the least", "daily", 0, 25 * time.Hour, "the cron line has runs 24h0m0s apart"},
		{"a text that is too long", strings.Repeat("0,", 300) + "0 0 * * *", 0, 0, "the schedule is longer than 512 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Parse(tt.text, tt.window, tt.least)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if !s.IsZero() {
				t.Errorf("a schedule comes with the error: %v", s)
			}
		})
	}
}

func TestTheLeastThatIsAllowedIsAllowed(t *testing.T) {
	for _, tt := range []struct {
		text  string
		least time.Duration
	}{
		{"1h", time.Hour}, {"hourly", time.Hour}, {"* * * * *", time.Minute}, {"0,15 * * * *", 15 * time.Minute},
		{"0 1,23 * * *", 2 * time.Hour}, {"0 0 * * MON,WED", 48 * time.Hour}, {"weekly", 7 * 24 * time.Hour},
		{"monthly", 28 * 24 * time.Hour}, {"yearly", 365 * 24 * time.Hour}, {"0 0 29 2 *", 4 * 365 * 24 * time.Hour},
	} {
		if _, err := Parse(tt.text, 0, tt.least); err != nil {
			t.Errorf("%q, least %s: %v", tt.text, tt.least, err)
		}
		closest := tt.least + time.Minute
		if tt.text != "0 0 29 2 *" { // whose leap year has a day more
			if _, err := Parse(tt.text, 0, closest); err == nil {
				t.Errorf("%q is allowed where %s is the least", tt.text, closest)
			}
		}
	}
}

func TestAScheduleTellsWhatItWasMadeOf(t *testing.T) {
	for _, tt := range []struct {
		text, want     string
		window, period time.Duration
	}{
		{" 24h ", "24h", 0, 24 * time.Hour},
		{"90d", "90d", 0, 90 * 24 * time.Hour},
		{"@Weekly", "@Weekly", 2 * time.Hour, 0},
		{"0  0 * *\tSAT", "0 0 * * SAT", time.Hour, 0},
	} {
		s := mustParse(t, tt.text, tt.window)
		if s.String() != tt.want || s.Window() != tt.window || s.Period() != tt.period || s.IsZero() {
			t.Errorf("%q is %q, window %s, period %s", tt.text, s, s.Window(), s.Period())
		}
		if text := fmt.Sprint(s); text != tt.want {
			t.Errorf("%q is printed as %q", tt.text, text)
		}
	}
}

func TestTheZeroScheduleNeverRuns(t *testing.T) {
	var s Schedule
	now := at(t, "2026-03-05 10:20")
	if !s.IsZero() || !s.Next(now).IsZero() || !s.Missed(now, now.Add(time.Hour), CatchUp).IsZero() {
		t.Error("it does")
	}
}

func TestJitterIsSteadyBoundedAndSpread(t *testing.T) {
	const names, parts, bound = 8000, 8, time.Hour
	counts := make([]int, parts)
	for i := range names {
		name := fmt.Sprintf("role-%d", i)
		j := Jitter(name, bound)
		if j < 0 || j >= bound || j != Jitter(name, bound) {
			t.Fatalf("%s: %s", name, j)
		}
		counts[j/(bound/parts)]++
	}
	for i, n := range counts {
		if n < names/parts*9/10 || n > names/parts*11/10 {
			t.Errorf("part %d of the hour has %d of %d names", i, n, names)
		}
	}
	if Jitter("x", 0) != 0 || Jitter("x", -time.Hour) != 0 || Jitter("x", 1) != 0 {
		t.Error("there is jitter without a bound")
	}
}
