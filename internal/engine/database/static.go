package database

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/schedule"
	"github.com/cofferhq/coffer/internal/storage"
)

// static is a role of a user that is there already, and whose password is changed
// from time to time. It is the stored record, too.
type static struct {
	Name string `json:"-"`
	ID   string `json:"id"` // random, of its errand

	DB         string        `json:"db"`
	User       string        `json:"user"`
	Statements []string      `json:"rotate,omitempty"`
	Period     time.Duration `json:"period,omitempty"` // else Cron
	Cron       string        `json:"cron,omitempty"`
	Window     time.Duration `json:"window,omitempty"` // of Cron
	SkipImport bool          `json:"skip,omitempty"`
	credential
	account

	Next time.Time `json:"next"` // when the task comes that rotates
}

// minPeriod is the least time between rotations, as in Vault.
const minPeriod = 5 * time.Second

func loadStatic(ctx context.Context, p storage.Part, name string) (*static, error) {
	s, err := load(ctx, p, staticForm, named(statics, name))
	if s != nil {
		s.Name = name
	}
	return s, err
}

func stepStatic(ctx context.Context, r *logical.Request, name string) (s *static, err error) {
	err = r.Step(ctx, func(r *logical.Request) error {
		s, err = loadStatic(ctx, r.Part, name)
		return err
	})
	return s, err
}

func (s *static) keeps() *account { return &s.account }
func (s *static) errand() string  { return staticErrand + s.ID }

func (s *static) save(p storage.Part) error { return save(p, staticForm, named(statics, s.Name), s) }

// when is the role's schedule.
func (s *static) when() (schedule.Schedule, error) {
	if s.Cron != "" {
		return schedule.Parse(s.Cron, s.Window, minPeriod)
	}
	return schedule.Parse(s.Period.String(), 0, minPeriod)
}

func (s *static) task() logical.Task { return logical.Task{At: s.Next, Ref: s.errand()} }

// settled puts the next rotation into the queue.
func (s *static) settled(r *logical.Request) error {
	when, err := s.when()
	if err != nil {
		return err
	}
	s.plan(r, when.Next(s.Rotated))
	path := "static-roles/" + s.Name
	e := logical.Event{Type: "database/rotate", Path: path, Metadata: map[string]string{
		"path": r.Mount.Path + path, "operation": "rotate", "name": s.Name, "modified": "true",
	}}
	if e.Secret, err = secretOf(s); err != nil {
		return err
	}
	r.Emit(e)
	return nil
}

// plan puts the task that rotates off to at, in the request's commit.
func (s *static) plan(r *logical.Request, at time.Time) {
	if !s.Next.IsZero() {
		r.Cancel(s.task())
	}
	s.Next = at
	r.Schedule(s.task())
}

// state is how the role is, for answers.
func (s *static) state() string {
	switch {
	case s.Attempt != nil:
		return stateUnsettled
	case s.Password.Empty():
		return stateUnknown
	}
	return stateSettled
}

// tellSchedule adds to an answer when the role rotates.
func (s *static) tellSchedule(data object) {
	if s.Cron == "" {
		data["rotation_period"] = seconds(s.Period)
		return
	}
	data["rotation_schedule"] = s.Cron
	if s.Window > 0 {
		data["rotation_window"] = seconds(s.Window)
	}
}

func (*engine) listStatics(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	names, err := r.Part.Children(ctx, storage.Plain(statics))
	return list(names, err)
}

func (*engine) staticExists(ctx context.Context, r *logical.Request) (bool, error) {
	s, err := loadStatic(ctx, r.Part, r.Text("name"))
	return s != nil, err
}

func (*engine) readStatic(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	s, err := loadStatic(ctx, r.Part, r.Text("name"))
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, logical.ErrNotFound
	}
	data := object{
		"db_name": s.DB, "username": s.User, "rotation_statements": texts(s.Statements),
		"skip_import_rotation": s.SkipImport, "rotation_state": s.state(),
	}
	if !s.Rotated.IsZero() {
		data["last_vault_rotation"] = rotatedAt(s.Rotated)
	}
	s.tellSchedule(data)
	s.tell(data)
	return &logical.Response{Data: data}, nil
}

// deleteStatic leaves the user with the password that was last published, or tried.
func (*engine) deleteStatic(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return nil, removeStatic(ctx, r, r.Text("name"))
}

// removeStatic deletes a static role and all that belongs to it, in a commit.
func removeStatic(ctx context.Context, r *logical.Request, name string) error {
	s, err := loadStatic(ctx, r.Part, name)
	if err != nil || s == nil {
		return err
	}
	r.Cancel(s.task())
	if s.Attempt != nil {
		r.Cancel(s.Attempt.task(s))
	}
	r.Part.Delete(named(statics, name))
	r.Part.Delete(ownerKey(s.DB, s.User))
	r.Part.Delete(errandKey(s.ID))
	emit(r, "static-role-delete", "static-roles/"+name, name)
	return nil
}

// add stores a new static role with all that belongs to it, in a commit. What rotates
// it first is the request; the task is there in case that this ends half-way.
func (s *static) add(ctx context.Context, r *logical.Request) error {
	switch other, err := load(ctx, r.Part, ownerForm, ownerKey(s.DB, s.User)); {
	case err != nil:
		return err
	case other != nil && other.Role != s.Name:
		return logical.Invalid("the database user %q has the static role %q already", s.User, other.Role)
	}
	if o, err := loadRole(ctx, r.Part, s.Name); o != nil || err != nil {
		return orBoth(err)
	}
	s.ID = rand.Text()
	if err := save(r.Part, ownerForm, ownerKey(s.DB, s.User), &owner{Role: s.Name}); err != nil {
		return err
	}
	if err := save(r.Part, errandForm, errandKey(s.ID), &errand{Static: s.Name}); err != nil {
		return err
	}
	emit(r, "static-role-create", "static-roles/"+s.Name, s.Name)
	s.plan(r, r.Now.Add(settleAfter))
	return s.save(r.Part)
}
