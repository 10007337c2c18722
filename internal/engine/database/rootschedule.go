package database

import (
	"context"
	"time"

	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/schedule"
)

// automatic is when a connection's own password is changed without being asked for.
// It is part of the connection's record, with the names of Vault's fields.
type automatic struct {
	Period   time.Duration `json:"rotation_period,omitempty"` // else Cron
	Cron     string        `json:"rotation_schedule,omitempty"`
	Window   time.Duration `json:"rotation_window,omitempty"` // of Cron
	Disabled bool          `json:"disable_automated_rotation,omitempty"`

	Next time.Time `json:"next_rotation,omitzero"` // when the task comes that rotates; zero: none does
}

// minRootPeriod is the least time between rotations of a connection's own password,
// as in Vault.
const minRootPeriod = 10 * time.Second

// on says whether there are rotations.
func (a *automatic) on() bool { return !a.Disabled && (a.Period > 0 || a.Cron != "") }

// when is the schedule.
func (a *automatic) when() (schedule.Schedule, error) {
	if a.Cron != "" {
		return schedule.Parse(a.Cron, a.Window, minRootPeriod)
	}
	return schedule.Parse(a.Period.String(), 0, minRootPeriod)
}

// take reads the settings. What is not there stays as it is; a period takes the place
// of a cron line, and the other way round.
func (a *automatic) take(r *logical.Request) error {
	period, cron := r.Duration("rotation_period"), r.Text("rotation_schedule")
	if period > 0 && cron != "" {
		return logical.Invalid("mutually exclusive fields rotation_period and rotation_schedule were both specified; only one of them can be provided")
	}
	if r.Has("rotation_period") {
		if a.Period = period; period > 0 {
			a.Cron, a.Window = "", 0
		}
	}
	if r.Has("rotation_schedule") {
		if a.Cron = cron; cron != "" {
			a.Period = 0
		}
	}
	if r.Has("rotation_window") {
		a.Window = r.Duration("rotation_window")
	}
	if r.Has("disable_automated_rotation") {
		a.Disabled = r.Bool("disable_automated_rotation")
	}
	return a.check()
}

func (a *automatic) check() error {
	switch {
	case a.Cron != "":
		return checkCron(a.Window, a.when)
	case a.Window > 0 && a.Period > 0:
		return logical.Invalid("rotation_window is invalid with use of rotation_period")
	case a.Window > 0:
		return logical.Invalid("rotation_window needs a rotation_schedule")
	case a.Period > 0 && a.Period < minRootPeriod:
		return logical.Invalid("rotation_period must be %d seconds or more", seconds(minRootPeriod))
	}
	return nil
}

// sameTimes says whether a and b rotate at the same times.
func (a *automatic) sameTimes(b *automatic) bool {
	return a.on() == b.on() && a.Period == b.Period && a.Cron == b.Cron && a.Window == b.Window
}

// tell adds the settings to an answer, as Vault has them: always.
func (a *automatic) tell(data object) {
	data["rotation_period"], data["rotation_schedule"] = seconds(a.Period), a.Cron
	data["rotation_window"], data["disable_automated_rotation"] = seconds(a.Window), a.Disabled
}

// task is the one that rotates. It is another than that of an attempt, though both
// are about the same connection.
func (c *config) task() logical.Task { return logical.Task{At: c.Next, Ref: c.errand()} }

// plan puts the task that rotates to at, in the request's commit; zero: takes it off.
func (c *config) plan(r *logical.Request, at time.Time) {
	if !c.Next.IsZero() {
		r.Cancel(c.task())
	}
	if c.Next = at; !at.IsZero() {
		r.Schedule(c.task())
	}
}

// planFrom puts the next rotation where the schedule has it, counted from a time.
func (c *config) planFrom(r *logical.Request, from time.Time) error {
	if !c.on() {
		c.plan(r, time.Time{})
		return nil
	}
	when, err := c.when()
	if err != nil {
		return err
	}
	c.plan(r, when.Next(from))
	return nil
}

// rotatable refuses a connection whose own password can't be changed.
func rotatable(c *config, parsed dbms.Config) error {
	switch {
	case parsed.Username == "":
		return logical.Invalid("unable to rotate root credentials: no username in configuration")
	case c.Password.Empty():
		return logical.Invalid("unable to rotate root credentials: no password in configuration")
	case !parsed.Templated():
		return logical.Invalid("unable to rotate root credentials: connection_url does not take the password from its field, {{password}} is missing")
	}
	return nil
}

// postponeRoot says whether there is nothing to do now about a connection without an
// attempt. A rotation that is not due yet, because the clock was put back, or not any
// more, because its window has closed, it plans anew.
func (*engine) postponeRoot(ctx context.Context, r *logical.Request, name string) (postponed bool, err error) {
	err = r.Step(ctx, func(r *logical.Request) error {
		c, err := loadConfig(ctx, r.Part, name)
		if postponed = c == nil || c.Next.IsZero() || !c.on(); err != nil || postponed {
			return err
		}
		when, err := c.when()
		if err != nil {
			return err
		}
		at := dueAt(when, c.Next, r.Now)
		if postponed = at.After(r.Now); !postponed {
			return nil
		}
		c.plan(r, at)
		return c.save(r.Part)
	})
	return postponed, err
}

// dueAt is when a rotation is due that was planned for next, seen at now, after
// which it is not later than the schedule has it.
func dueAt(when schedule.Schedule, next, now time.Time) time.Time {
	if next.After(now) {
		if soonest := when.Next(now); soonest.Before(next) {
			return soonest
		}
		return next
	}
	// Of a period, the run before counts.
	last := next.Add(-max(when.Period(), time.Nanosecond))
	return when.Missed(last, now, schedule.CatchUp)
}
