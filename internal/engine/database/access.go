package database

import (
	"context"
	"errors"

	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// access is a connection in use.
type access struct {
	*config
	parsed dbms.Config
	conn   dbms.Conn
	letGo  func()
}

// reach returns the named connection, ready for use. Its letGo must be called.
func (e *engine) reach(ctx context.Context, r *logical.Request, name string) (*access, error) {
	for {
		c, err := e.viewConfig(ctx, r, name)
		if err != nil {
			return nil, err
		}
		if c == nil {
			return nil, unknownConnection(name)
		}
		a, err := e.use(c)
		if err != nil {
			return nil, err
		}
		// A rotation that has begun before it saw us as a user does not wait for us.
		now, err := stepConfig(ctx, r, name)
		if err == nil && now.as(c) {
			return a, nil
		}
		a.letGo()
		if err != nil {
			return nil, err
		}
	}
}

// as says whether a connection is as it was, c, and no attempt has begun since.
func (now *config) as(c *config) bool {
	switch {
	case now == nil || now.Generation != c.Generation:
		return false
	case now.Attempt == nil || c.Attempt == nil:
		return now.Attempt == nil
	}
	return now.Attempt.ID == c.Attempt.ID && now.Attempt.Sent.Equal(c.Attempt.Sent)
}

func (e *engine) use(c *config) (*access, error) {
	kind, parsed, err := c.parse(e.systems)
	if err != nil {
		return nil, err
	}
	conn, letGo, err := e.pools.take(c.Name, c.Generation, func() (dbms.Conn, error) { return kind.Open(parsed) })
	if err != nil {
		return nil, err
	}
	return &access{config: c, parsed: parsed, conn: conn, letGo: letGo}, nil
}

// viewConfig reads a connection; nil if there is none. If an attempt to rotate its
// own password was left open, that is looked into first: else what is stored might
// not work any more.
func (e *engine) viewConfig(ctx context.Context, r *logical.Request, name string) (*config, error) {
	c, err := stepConfig(ctx, r, name)
	if err != nil || c == nil || c.Attempt == nil {
		return c, err
	}
	if err := e.settleRoot(ctx, r, c); err != nil {
		return nil, err
	}
	return stepConfig(ctx, r, name)
}

func stepConfig(ctx context.Context, r *logical.Request, name string) (c *config, err error) {
	err = r.Step(ctx, func(r *logical.Request) error {
		c, err = loadConfig(ctx, r.Part, name)
		return err
	})
	return c, err
}

// settleRoot publishes the candidate of an attempt if it is in force. That this can't
// be found out is no error: what needs the connection will find that too.
func (e *engine) settleRoot(ctx context.Context, r *logical.Request, c *config) error {
	a, end, err := e.reachRoot(ctx, r, c)
	if err != nil {
		return err
	}
	defer end()
	ctx, done := e.within(ctx)
	defer done()
	err = e.rootRotation(r, a).settle(ctx)
	if errors.Is(err, errUnsettled) {
		return nil
	}
	return err
}

// reachRoot waits for the turn of a connection's own user and returns the connection
// as it is then, and what ends both.
func (e *engine) reachRoot(ctx context.Context, r *logical.Request, c *config) (a *access, end func(), err error) {
	_, parsed, err := c.parse(e.systems)
	if err != nil {
		return nil, nil, err
	}
	// Without holding the connection, whose users a rotation waits for.
	turn, err := e.turn(ctx, c.Name, parsed.Username)
	if err != nil {
		return nil, nil, err
	}
	now, err := stepConfig(ctx, r, c.Name)
	if err == nil && now == nil {
		err = unknownConnection(c.Name)
	}
	if err == nil {
		a, err = e.use(now)
	}
	if err != nil {
		turn()
		return nil, nil, err
	}
	return a, func() { a.letGo(); turn() }, nil
}

func (e *engine) rootRotation(r *logical.Request, a *access) *rotation {
	return &rotation{
		r: r, conn: a.conn, user: a.parsed.Username, statements: a.RootStatements,
		load: func(ctx context.Context, p storage.Part) (holder, error) {
			c, err := loadConfig(ctx, p, a.Name)
			if c == nil { // a nil *config is no nil holder
				return nil, err
			}
			return c, err
		},
		// From begin on, who needs the connection waits for the turn; those before
		// should not meet a password that has changed.
		begun: func(ctx context.Context) { e.pools.quiet(ctx, a.Name) },
	}
}

func (e *engine) rotateRoot(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return nil, e.rotateRootOf(ctx, r, r.Text("name"), onRequest)
}

// rotateRootOf changes the password of a connection's own user; queued says that a
// task is under way for it.
func (e *engine) rotateRootOf(ctx context.Context, r *logical.Request, name string, queued bool) error {
	c, err := stepConfig(ctx, r, name)
	if err != nil {
		return err
	}
	if c == nil {
		return unknownConnection(name)
	}
	policy, err := e.policy(ctx, c.PasswordPolicy)
	if err != nil {
		return err
	}
	a, end, err := e.reachRoot(ctx, r, c)
	if err != nil {
		return err
	}
	defer end()
	if err := rotatable(a.config, a.parsed); err != nil {
		return err
	}
	ctx, done := e.pace(ctx, queued)
	defer done()
	o := e.rootRotation(r, a)
	o.policy, o.queued = policy, queued
	return o.run(ctx)
}

func (e *engine) reset(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	name := r.Text("name")
	c, err := stepConfig(ctx, r, name)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, unknownConnection(name)
	}
	e.pools.drop(name)
	return nil, r.Step(ctx, func(r *logical.Request) error {
		emit(r, "reset", "reset/"+name, name)
		return nil
	})
}

// reload resets all connections to one kind of system.
func (e *engine) reload(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	plugin := r.Text("plugin_name")
	done := []string{}
	err := r.Step(ctx, func(r *logical.Request) error {
		done = done[:0]
		names, err := r.Part.Children(ctx, storage.Plain(configs))
		if err != nil {
			return err
		}
		for _, name := range names {
			c, err := loadConfig(ctx, r.Part, name)
			if err != nil {
				return err
			}
			if c != nil && c.Plugin == plugin {
				done = append(done, name)
			}
		}
		if len(done) > 0 {
			emitReload(r, plugin)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	resp := &logical.Response{Data: object{"connections": done, "count": len(done)}}
	for _, name := range done {
		e.pools.drop(name)
	}
	if len(done) == 0 {
		resp.Warnings = []string{"no connections were found with plugin_name \"" + plugin + "\""}
	}
	return resp, nil
}

// emitReload is emit for the connections to one kind of system.
func emitReload(r *logical.Request, plugin string) {
	r.Emit(logical.Event{Type: "database/reload", Path: "reload/" + plugin, Metadata: map[string]string{
		"path": r.Mount.Path + "reload/" + plugin, "operation": "reload", "plugin_name": plugin, "modified": "true",
	}})
}
