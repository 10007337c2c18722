package database

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"time"

	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/logical"
)

// leased is the state of a lease: all that revoking its user takes, whatever becomes
// of the role.
type leased struct {
	DB     string   `json:"db"`
	User   string   `json:"user"`
	Role   string   `json:"role"`
	Ref    string   `json:"ref"`
	Revoke []string `json:"revoke,omitempty"`
}

// slack is how much longer than its lease a user lives: revocation comes first, and
// the clocks need not agree.
const slack = 5 * time.Second

// creds makes a user. A pending row and its task come first, and go in the commit
// that records the lease.
func (e *engine) creds(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	name := r.Text("name")
	o, a, err := e.reachRole(ctx, r, name)
	if err != nil {
		return nil, err
	}
	defer a.letGo()
	p, err := e.newPending(ctx, r, name, o, a)
	if err != nil {
		return nil, err
	}
	end, err := e.turn(ctx, o.DB, p.User)
	if err != nil {
		return nil, err
	}
	defer end()
	outside, done := e.within(ctx)
	defer done()
	// While the system is away there should be nothing to be taken back later.
	if err := a.conn.Ping(outside); err != nil {
		return nil, upstream("create a database user", err)
	}
	if err := p.announce(ctx, r); err != nil {
		return nil, err
	}
	ttl := o.lifetime(r.Mount)
	u := dbms.User{Name: p.User, Password: p.Password.Bytes, Expires: r.Now.Add(ttl + slack)}
	if err := a.conn.Create(outside, u, o.statements()); err != nil {
		if didNothing(err) {
			err = errors.Join(err, p.withdraw(ctx, r))
		} // else the task looks what is there
		return nil, upstream("create a database user", err)
	}
	state, err := json.Marshal(leased{DB: o.DB, User: p.User, Role: name, Ref: p.Ref, Revoke: o.Revoke})
	if err != nil {
		return nil, err
	}
	return &logical.Response{
		Data:   object{"username": p.User, "password": p.Password.RevealText()},
		Lease:  &logical.Lease{TTL: ttl, MaxTTL: o.MaxTTL, Renewable: true, State: state},
		Finish: p.finish,
	}, nil
}

// reachRole returns a role with the connection that it uses, and lets it.
func (e *engine) reachRole(ctx context.Context, r *logical.Request, name string) (o *role, a *access, err error) {
	err = r.Step(ctx, func(r *logical.Request) error {
		o, err = loadRole(ctx, r.Part, name)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if o == nil {
		return nil, nil, logical.Invalid("unknown role: %s", name)
	}
	if a, err = e.reach(ctx, r, o.DB); err != nil {
		return nil, nil, err
	}
	if err := a.allows(name); err != nil {
		a.letGo()
		return nil, nil, err
	}
	return o, a, nil
}

// lifetime is how long a new lease of the role lasts.
func (o *role) lifetime(m logical.MountPoint) time.Duration {
	ttl, limit := o.DefaultTTL, m.MaxLeaseTTL
	if ttl == 0 {
		ttl = m.DefaultLeaseTTL
	}
	if o.MaxTTL > 0 {
		limit = min(limit, o.MaxTTL)
	}
	return min(ttl, limit)
}

// newPending chooses name and password of a new user.
func (e *engine) newPending(ctx context.Context, r *logical.Request, name string, o *role, a *access) (*pending, error) {
	policy, err := e.policy(ctx, o.Policy, a.PasswordPolicy)
	if err != nil {
		return nil, err
	}
	names, err := dbms.NewUsernames(a.parsed)
	if err != nil {
		return nil, logical.Invalid("username_template: %v", err)
	}
	data := dbms.NameData{RoleName: name}
	if r.Caller != nil {
		data.DisplayName = r.Caller.DisplayName
	}
	user, err := names.Make(data, r.Now)
	if err != nil {
		return nil, err
	}
	again, err := names.Make(data, r.Now)
	if err != nil {
		return nil, err
	}
	return &pending{
		Ref: rand.Text(), DB: o.DB, User: user, Password: kept{policy.Generate()},
		Shared: again == user, Rollback: o.Rollback, Since: r.Now,
	}, nil
}

func (e *engine) renewLease(ctx context.Context, r *logical.Request, l *logical.Lease) error {
	var s leased
	if err := json.Unmarshal(l.State, &s); err != nil {
		return errors.New("database: malformed state of a lease")
	}
	var o *role
	err := r.Step(ctx, func(r *logical.Request) (err error) {
		o, err = loadRole(ctx, r.Part, s.Role)
		return err
	})
	if err != nil {
		return err
	}
	if o == nil {
		return logical.Invalid("error during renew: could not find role with name %q", s.Role)
	}
	return e.onUser(ctx, r, s.DB, s.User, func(ctx context.Context, conn dbms.Conn) error {
		err := conn.Renew(ctx, s.User, r.Now.Add(l.TTL+slack), dbms.Statements{Renew: o.Renew})
		if err != nil {
			return upstream("renew a database user", err)
		}
		return nil
	})
}

func (e *engine) revokeLease(ctx context.Context, r *logical.Request, l *logical.Lease) error {
	var s leased
	if err := json.Unmarshal(l.State, &s); err != nil {
		return errors.New("database: malformed state of a lease")
	}
	err := e.onUser(ctx, r, s.DB, s.User, func(ctx context.Context, conn dbms.Conn) error {
		return drop(ctx, conn, s.User, s.Revoke)
	})
	if err != nil {
		return err
	}
	return r.Step(ctx, func(r *logical.Request) error {
		r.Part.Delete(liveKey(s.DB, s.Ref))
		return nil
	})
}

// onUser does something about a user, in its turn.
func (e *engine) onUser(ctx context.Context, r *logical.Request, db, user string, do func(ctx context.Context, conn dbms.Conn) error) error {
	a, err := e.reach(ctx, r, db)
	if err != nil {
		return err
	}
	defer a.letGo()
	end, err := e.turn(ctx, db, user)
	if err != nil {
		return err
	}
	defer end()
	ctx, done := e.within(ctx)
	defer done()
	return do(ctx, a.conn)
}

// drop ends a user and, as far as the system lets us, the sessions that it has.
func drop(ctx context.Context, conn dbms.Conn, user string, statements []string) error {
	// Before, for afterwards they can't be told from others; what is opened between
	// the two ends by itself where a session needs its user.
	ended := conn.EndSessions(ctx, user)
	if err := conn.Drop(ctx, user, dbms.Statements{Revoke: statements}); err != nil {
		return upstream("revoke a database user", errors.Join(err, ended))
	}
	return nil
}
