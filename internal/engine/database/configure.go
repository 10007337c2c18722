package database

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

func (*engine) listConfigs(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	names, err := r.Part.Children(ctx, storage.Plain(configs))
	return list(names, err)
}

func (*engine) configExists(ctx context.Context, r *logical.Request) (bool, error) {
	c, err := loadConfig(ctx, r.Part, r.Text("name"))
	return c != nil, err
}

func (e *engine) readConfig(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	c, err := loadConfig(ctx, r.Part, r.Text("name"))
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, logical.ErrNotFound
	}
	_, cfg, err := c.parse(e.systems)
	if err != nil {
		return nil, err
	}
	data, err := c.answer(cfg)
	return &logical.Response{Data: data}, err
}

// writeConfig tries the connection as it would be, and stores it if nobody else has
// changed it meanwhile.
func (e *engine) writeConfig(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	name := r.Text("name")
	c, err := e.viewConfig(ctx, r, name)
	if err != nil {
		return nil, err
	}
	if c == nil {
		c = &config{Name: name, ID: rand.Text()}
	}
	before := c.Generation
	outside, err := e.takeConfig(ctx, r, c)
	if err != nil {
		return nil, err
	}
	_, cfg, err := c.parse(e.systems)
	if err != nil {
		return nil, err
	}
	if c.on() {
		if err := rotatable(c, cfg); err != nil {
			return nil, err
		}
	}
	if !c.Unverified {
		if err := e.verify(ctx, c); err != nil {
			return nil, logical.Invalid("error creating database object: error verifying connection: %s", said(err))
		}
	}
	resp := &logical.Response{Finish: func(ctx context.Context, r *logical.Request) error {
		return c.replace(ctx, r, before, outside)
	}}
	if cfg.DisplayURL() != cfg.URL.RevealText() {
		resp.Warnings = append(resp.Warnings, "Password found in connection_url, use a templated url to enable root rotation and prevent read access to password information.")
	}
	return resp, nil
}

// takeConfig changes c as r wants it, and says whether that changes where or as
// whom coffer logs in.
func (e *engine) takeConfig(ctx context.Context, r *logical.Request, c *config) (outside bool, err error) {
	if r.Has("plugin_name") {
		c.Plugin = r.Text("plugin_name")
	}
	if c.Plugin == "" {
		return false, logical.Invalid("empty plugin name")
	}
	kind, ok := e.systems.Find(c.Plugin)
	switch {
	case !ok:
		return false, logical.Invalid("unknown database plugin %q, there are: %s", c.Plugin, strings.Join(e.systems.Names(), ", "))
	case r.Text("plugin_version") != "":
		return false, logical.Invalid("plugin_version must be empty: database plugins are built in")
	}
	if outside, err = c.takeDetails(r, kind); err != nil {
		return false, err
	}
	if r.Has("verify_connection") {
		c.Unverified = !r.Bool("verify_connection")
	}
	if r.Has("allowed_roles") {
		c.AllowedRoles = r.Texts("allowed_roles")
	}
	if r.Has("skip_static_role_import_rotation") {
		c.SkipImport = r.Bool("skip_static_role_import_rotation")
	}
	if r.Has("password_policy") {
		c.PasswordPolicy = r.Text("password_policy")
		if _, err := e.policy(ctx, c.PasswordPolicy); err != nil {
			return false, err
		}
	}
	if err := takeStatements(r, "root_rotation_statements", &c.RootStatements); err != nil {
		return false, err
	}
	if err := c.automatic.take(r); err != nil {
		return false, err
	}
	return outside, refuseStatements(kind, statementsOf(c))
}

// verify reaches the system on a connection of its own.
func (e *engine) verify(ctx context.Context, c *config) error {
	kind, cfg, err := c.parse(e.systems)
	if err != nil {
		return err
	}
	conn, err := kind.Open(cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, done := e.within(ctx)
	defer done()
	return conn.Ping(ctx)
}

// replace stores c in the place of the record of the generation before. An attempt
// to rotate the old password is over if the operator has said how to log in.
func (c *config) replace(ctx context.Context, r *logical.Request, before string, outside bool) error {
	now, err := loadConfig(ctx, r.Part, c.Name)
	if err != nil {
		return err
	}
	if now == nil && before != "" || now != nil && now.Generation != before {
		return logical.Errorf(logical.ErrConflict, "the connection was changed by another request, try again")
	}
	own := *c // the commit may be tried again
	own.Generation, own.Leaving = rand.Text(), false
	if own.Next = (time.Time{}); now != nil {
		own.Next = now.Next
	}
	if now == nil || !own.sameTimes(&now.automatic) {
		if err := own.planFrom(r, r.Now); err != nil {
			return err
		}
	}
	switch {
	case now == nil || now.Attempt == nil:
		own.Attempt = nil
	case outside:
		r.Cancel(now.Attempt.task(now))
		own.Attempt = nil
	default:
		own.Attempt = now.Attempt
	}
	if err := save(r.Part, errandForm, errandKey(c.ID), &errand{Config: c.Name}); err != nil {
		return err
	}
	emit(r, "config-write", "config/"+c.Name, c.Name)
	return own.save(r.Part)
}

// deleteConfig marks the connection first, so that nobody begins to depend on it
// while it is looked who does.
func (e *engine) deleteConfig(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	name, gone := r.Text("name"), false
	err := r.Step(ctx, func(r *logical.Request) error {
		c, err := loadConfig(ctx, r.Part, name)
		if gone = c == nil; gone || err != nil {
			return err
		}
		c.Leaving = true
		return c.save(r.Part)
	})
	if err != nil || gone {
		return nil, err
	}
	if err := e.forget(ctx, r, name, r.Bool("force")); err != nil {
		return nil, e.keepConfig(ctx, r, name, err)
	}
	e.pools.drop(name)
	return nil, nil
}

// keepConfig takes back the mark of a connection that is not deleted, because of
// cause.
func (*engine) keepConfig(ctx context.Context, r *logical.Request, name string, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := r.Step(ctx, func(r *logical.Request) error {
		c, err := loadConfig(ctx, r.Part, name)
		if err != nil || c == nil {
			return err
		}
		c.Leaving = false
		return c.save(r.Part)
	})
	if err != nil {
		return err
	}
	return cause
}

// forget deletes the record of a connection, if nothing depends on it or all that
// is to be forgotten too.
func (e *engine) forget(ctx context.Context, r *logical.Request, name string, force bool) error {
	for more := true; more; {
		err := r.Step(ctx, func(r *logical.Request) error {
			var err error
			if more, err = forgetDependents(ctx, r, name, force); err != nil || more {
				return err
			}
			c, err := loadConfig(ctx, r.Part, name)
			if err != nil || c == nil {
				return err
			}
			if c.Attempt != nil {
				r.Cancel(c.Attempt.task(c))
			}
			c.plan(r, time.Time{})
			r.Part.Delete(errandKey(c.ID))
			r.Part.Delete(named(configs, name))
			emit(r, "config-delete", "config/"+name, name)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetDependents refuses if there is anything that needs the connection, or
// deletes, if force is set, what fits into the commit and says whether there is more.
func forgetDependents(ctx context.Context, r *logical.Request, name string, force bool) (more bool, err error) {
	refs, err := pendingOf(ctx, r.Part, name)
	if err != nil {
		return false, err
	}
	if len(refs) > 0 && !force {
		return false, inUse("a user that could not be made, or was made just now, is still to be dropped")
	}
	const room = 8 // for what else the commit does
	for _, ref := range refs {
		if r.Part.Room() < room {
			return true, nil
		}
		r.Part.Delete(pendingKey(ref))
	}
	for row, err := range r.Part.Scan(ctx, named(lives, name), "") {
		switch {
		case err != nil:
			return false, err
		case !force:
			return false, inUse("there are leases of its users")
		case r.Part.Room() < room:
			return true, nil
		}
		r.Part.Delete(row.Key)
	}
	for row, err := range r.Part.Range(ctx, named(owners, name), "") {
		switch {
		case err != nil:
			return false, err
		case !force:
			return false, inUse("there are static roles of it")
		case r.Part.Room() < room:
			return true, nil
		}
		var o owner
		if err := ownerForm.Decode(row.Value, &o); err != nil {
			return false, err
		}
		if err := removeStatic(ctx, r, o.Role); err != nil {
			return false, err
		}
	}
	return false, nil
}

func inUse(why string) error {
	return logical.Invalid("the connection is in use: %s", why).
		WithHint("revoke the leases and delete the static roles first; force=true forgets them, and leaves their users in the database")
}
