package schedule

import (
	"testing"
	"time"
)

func TestMissedRuns(t *testing.T) {
	for _, tt := range []struct {
		name, schedule string
		window         time.Duration
		last, now      string
		policy         Policy
		want           string
	}{
		{"what is not due yet keeps its time", "daily", 0, "2026-03-05 00:00", "2026-03-05 10:00", CatchUp, "2026-03-06 00:00"},
		{"what is due this moment is not missed", "daily", time.Hour, "2026-03-05 00:00", "2026-03-06 00:00", Skip, "2026-03-06 00:00"},
		{"a period that went by is caught up at once", "24h", 0, "2026-03-05 10:20", "2026-03-06 11:00", CatchUp, "2026-03-06 11:00"},
		{"many periods are caught up by one run", "1h", 0, "2026-03-05 10:20", "2026-03-09 11:00", CatchUp, "2026-03-09 11:00"},
		{"skipped periods go on as they were", "1h", 0, "2026-03-05 10:20", "2026-03-09 11:00", Skip, "2026-03-09 11:20"},
		{"a skipped period that ends now is due", "1h", 0, "2026-03-05 10:20", "2026-03-09 11:20", Skip, "2026-03-09 11:20"},
		{"a line without a window is caught up at once", "monthly", 0, "2026-02-01 00:00", "2026-03-25 11:00", CatchUp, "2026-03-25 11:00"},
		{"a skipped line waits for its next time", "monthly", 0, "2026-02-01 00:00", "2026-03-25 11:00", Skip, "2026-04-01 00:00"},
		{"a skipped line whose next time is now", "monthly", 0, "2026-02-01 00:00", "2026-04-01 00:00", Skip, "2026-04-01 00:00"},
		{"within the window", "0 2 * * SAT", 4 * time.Hour, "2026-02-28 02:00", "2026-03-07 05:59:59", CatchUp, "2026-03-07 05:59:59"},
		{"when the window has closed", "0 2 * * SAT", 4 * time.Hour, "2026-02-28 02:00", "2026-03-07 06:00", CatchUp, "2026-03-14 02:00"},
		{"within the window, but skipped", "0 2 * * SAT", 4 * time.Hour, "2026-02-28 02:00", "2026-03-07 05:00", Skip, "2026-03-14 02:00"},
		{"many runs missed, the latest within its window", "0 2 * * *", 2 * time.Hour, "2026-03-01 02:00", "2026-03-07 03:00", CatchUp, "2026-03-07 03:00"},
		{"many runs missed, none within its window", "0 2 * * *", 2 * time.Hour, "2026-03-01 02:00", "2026-03-07 04:30", CatchUp, "2026-03-08 02:00"},
		{"a run late in the window was that of the window", "0 2 * * *", 4 * time.Hour, "2026-03-07 03:00", "2026-03-07 05:00", CatchUp, "2026-03-08 02:00"},
		{"a clock that was set back", "daily", time.Hour, "2026-03-07 00:00", "2026-03-05 00:10", CatchUp, "2026-03-08 00:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := mustParse(t, tt.schedule, tt.window)
			got := s.Missed(at(t, tt.last), at(t, tt.now), tt.policy)
			if want := at(t, tt.want); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestPoliciesAreRead(t *testing.T) {
	for _, p := range []Policy{CatchUp, Skip} {
		if got, err := ParsePolicy(p.String()); got != p || err != nil {
			t.Errorf("%q: %v, %v", p, got, err)
		}
	}
	if p, err := ParsePolicy(""); p != CatchUp || err != nil {
		t.Errorf("nothing: %v, %v", p, err)
	}
	if _, err := ParsePolicy("both"); err == nil {
		t.Error("an unknown policy is read")
	}
}

// checkMissed reports where s breaks a law of missed runs.
func checkMissed(t *testing.T, s Schedule, last, now time.Time) {
	t.Helper()
	next := s.Next(last)
	for _, p := range []Policy{CatchUp, Skip} {
		got := s.Missed(last, now, p)
		switch {
		case !next.Before(now):
			if got != next {
				t.Errorf("%q, last %s, now %s, %s: %s, but the next run is not missed", s, last, now, p, got)
			}
		case got.Before(now):
			t.Errorf("%q, last %s, now %s, %s: %s is past", s, last, now, p, got)
		case got.After(now) && s.period == 0 && s.Next(now.Add(-1)) != got:
			t.Errorf("%q, last %s, now %s, %s: %s is not the next time", s, last, now, p, got)
		case got.After(now) && p == CatchUp && s.window == 0:
			t.Errorf("%q, last %s, now %s: caught up as late as %s", s, last, now, got)
		case got.Equal(now) && p == CatchUp && s.window > 0 && s.Next(now.Add(-s.window)).After(now):
			t.Errorf("%q, last %s, now %s: caught up beyond the window of %s", s, last, now, s.window)
		case p == Skip && s.period > 0 && got.Sub(last)%s.period != 0:
			t.Errorf("%q, last %s, now %s: %s is out of step", s, last, now, got)
		}
	}
}
