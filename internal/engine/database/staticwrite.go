package database

import (
	"context"
	"errors"
	"time"

	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/schedule"
)

// writeStatic creates a static role, and changes the password of its user in doing
// so, or changes the settings of one.
func (e *engine) writeStatic(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	name := r.Text("name")
	s, err := stepStatic(ctx, r, name)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, e.createStatic(ctx, r, &static{Name: name})
	}
	err = r.Step(ctx, func(r *logical.Request) error {
		if s, err = loadStatic(ctx, r.Part, name); err == nil && s == nil {
			return errGone
		}
		if err != nil {
			return err
		}
		return e.updateStatic(ctx, r, s)
	})
	if err != nil {
		return nil, err
	}
	if s.Password.Empty() && !s.SkipImport { // its creation came to no end
		return nil, e.rotateStatic(ctx, r, s.Name, onRequest)
	}
	return nil, nil
}

// updateStatic changes the settings of a role in a step.
func (e *engine) updateStatic(ctx context.Context, r *logical.Request, s *static) error {
	switch {
	case r.Has("username") && r.Text("username") != s.User:
		return logical.Invalid("cannot update static account username")
	case r.Has("db_name") && r.Text("db_name") != s.DB:
		return logical.Invalid("cannot update the database of a static account")
	case r.Has(passwordField):
		return logical.Invalid("the password of a static account is given when it is created: call rotate-role")
	}
	if err := e.takeStatic(ctx, r, s); err != nil {
		return err
	}
	c, err := needConfig(ctx, r.Part, s.DB)
	if err != nil {
		return err
	}
	if err := e.refuseStatic(s, c); err != nil {
		return err
	}
	when, err := s.when()
	if err != nil {
		return err
	}
	if !s.Rotated.IsZero() {
		s.plan(r, when.Next(s.Rotated))
	}
	emit(r, "static-role-update", "static-roles/"+s.Name, s.Name)
	return s.save(r.Part)
}

func (e *engine) createStatic(ctx context.Context, r *logical.Request, s *static) error {
	s.User, s.DB = r.Text("username"), r.Text("db_name")
	switch {
	case s.User == "":
		return logical.Invalid("username is a required field to create a static account")
	case s.DB == "":
		return logical.Invalid("database name is a required field to create a static account")
	}
	a, err := e.reach(ctx, r, s.DB)
	if err != nil {
		return err
	}
	defer a.letGo()
	s.SkipImport = a.SkipImport
	if err := e.takeStatic(ctx, r, s); err != nil {
		return err
	}
	switch {
	case s.User == a.parsed.Username:
		return logical.Invalid("%q is the connection's own user: its password is changed by rotate-root", s.User)
	case r.Has(passwordField) && !s.SkipImport:
		return logical.Invalid("a password is only given with skip_import_rotation: else it is changed at once")
	}
	if err := e.refuseStatic(s, a.config); err != nil {
		return err
	}
	if s.SkipImport {
		return e.importStatic(ctx, r, s, a)
	}
	err = r.Step(ctx, func(r *logical.Request) error {
		own := *s // the commit may be tried again
		return own.addTo(ctx, r)
	})
	if err != nil {
		return err
	}
	err = e.rotateStatic(ctx, r, s.Name, onRequest)
	if errors.Is(err, errNoEffect) {
		return errors.Join(err, e.uncreate(ctx, r, s.Name))
	}
	return err
}

// importStatic adds a role whose user keeps the password.
func (e *engine) importStatic(ctx context.Context, r *logical.Request, s *static, a *access) error {
	if s.Password = keepText(r.Text(passwordField)); !s.Password.Empty() {
		outside, done := e.within(ctx)
		defer done()
		if err := a.conn.Login(outside, s.User, s.Password.Bytes); errors.Is(err, dbms.ErrRefused) {
			return logical.Invalid("the database does not accept the password that was given")
		} else if err != nil {
			return upstream("try the password", err)
		}
	}
	return r.Step(ctx, func(r *logical.Request) error {
		own := *s
		if err := own.addTo(ctx, r); err != nil {
			return err
		}
		own.Rotated = r.Now // the next one is counted from here
		when, err := own.when()
		if err != nil {
			return err
		}
		own.plan(r, when.Next(r.Now))
		return own.save(r.Part)
	})
}

// addTo adds the role to a connection that is there and stays.
func (s *static) addTo(ctx context.Context, r *logical.Request) error {
	c, err := needConfig(ctx, r.Part, s.DB)
	switch {
	case err != nil:
		return err
	case c.Leaving:
		return logical.Invalid("the connection %q is being deleted", s.DB)
	}
	switch other, err := loadStatic(ctx, r.Part, s.Name); {
	case err != nil:
		return err
	case other != nil:
		return logical.Errorf(logical.ErrConflict, "the static role was created by another request, try again")
	}
	return s.add(ctx, r)
}

// uncreate removes a role whose first rotation certainly had no effect.
func (*engine) uncreate(ctx context.Context, r *logical.Request, name string) error {
	return r.Step(ctx, func(r *logical.Request) error { return removeStatic(ctx, r, name) })
}

// takeStatic reads the settings that can be changed.
func (e *engine) takeStatic(ctx context.Context, r *logical.Request, s *static) error {
	if r.Text("self_managed_password") != "" {
		return logical.Invalid("self_managed_password is not supported: passwords are changed by the connection's own user")
	}
	if err := s.takeSchedule(r); err != nil {
		return err
	}
	if r.Has("skip_import_rotation") {
		s.SkipImport = r.Bool("skip_import_rotation")
	}
	if err := takeStatements(r, "rotation_statements", &s.Statements); err != nil {
		return err
	}
	return s.take(ctx, r, e)
}

// refuseStatic refuses a role that does not go with its connection.
func (e *engine) refuseStatic(s *static, c *config) error {
	if err := c.allows(s.Name); err != nil {
		return err
	}
	kind, _, err := c.parse(e.systems)
	if err != nil {
		return err
	}
	return refuseStatements(kind, dbms.Statements{Rotate: s.Statements})
}

func (s *static) takeSchedule(r *logical.Request) error {
	period, cron := r.Has("rotation_period"), r.Text("rotation_schedule") != ""
	switch {
	case period && cron:
		return logical.Invalid("mutually exclusive fields rotation_period and rotation_schedule were both specified; only one of them can be provided")
	case period:
		s.Period, s.Cron, s.Window = r.Duration("rotation_period"), "", 0
	case cron:
		s.Cron, s.Period = r.Text("rotation_schedule"), 0
	case s.Period == 0 && s.Cron == "":
		return logical.Invalid("one of rotation_schedule or rotation_period must be provided to create a static account")
	}
	if r.Has("rotation_window") {
		s.Window = r.Duration("rotation_window")
	}
	if s.Cron != "" {
		return checkCron(s.Window, s.when)
	}
	switch {
	case s.Window > 0:
		return logical.Invalid("rotation_window is invalid with use of rotation_period")
	case s.Period < minPeriod:
		return logical.Invalid("rotation_period must be %d seconds or more", seconds(minPeriod))
	}
	return nil
}

// checkCron reports what is wrong with a cron line and its window.
func checkCron(window time.Duration, parse func() (schedule.Schedule, error)) error {
	if window > 0 && window < schedule.MinWindow {
		return logical.Invalid("rotation_window must be %d seconds or more", seconds(schedule.MinWindow))
	}
	when, err := parse()
	if err != nil {
		return logical.Invalid("could not parse rotation_schedule: %s", err)
	}
	if when.Period() > 0 {
		return logical.Invalid("could not parse rotation_schedule: it is a period, for which there is rotation_period")
	}
	return nil
}
