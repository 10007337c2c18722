// Package userpass is the auth method for people: a user name and a password.
//
// Passwords are stored as argon2id, or as the bcrypt hash that somebody brought
// along. Who guesses is slowed down twice: by the cost of a hash, which unknown
// users cost too, and by being locked out after a few failures, see lockout. A
// login takes as long for a user that does not exist as for one whose password
// was hashed here; imported bcrypt hashes take the time that their cost says.
//
// Hashing takes long and much memory, on purpose: at most a handful of logins
// hash at once, the others queue. A handler that runs again after a conflict
// does not hash again, see findings.
//
// Start reading at [user], then method.login.
package userpass

import (
	"context"
	"maps"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/uuid"
)

// Kind is the auth method.
var Kind = logical.Kind{
	Type:        "userpass",
	Auth:        true,
	Description: "people log in with a user name and a password",
	New: func(p logical.MountPoint) (*logical.Engine, error) {
		return newMethod(owasp, limitsOf(p.UserLockout)).engine(), nil
	},
}

// method is one mount of it. All that must last is in the rows.
type method struct {
	cost  cost   // of passwords that are set from now on
	dummy string // what passwords of unknown users are compared with
	gate  gate
	found findings
	tries *lockout
}

func newMethod(c cost, l limits) *method {
	return &method{cost: c, dummy: c.dummy(), gate: newGate(), tries: newLockout(l)}
}

func (m *method) engine() *logical.Engine {
	return &logical.Engine{
		Endpoints: logical.Bind(m, routes), RenewLogin: m.renewLogin, Lockout: m.tries, Succeed: m.succeed,
	}
}

// succeed goes on counting failed logins where the method before has stopped.
func (m *method) succeed(before *logical.Engine) {
	if l, ok := before.Lockout.(*lockout); ok {
		m.tries.adopt(l)
	}
}

// named is what routes of one user take: the name, in lower case, and fields.
func named(fields logical.Fields) logical.Fields {
	all := logical.Fields{"username": {Type: logical.Lower, Help: "Name of the user."}}
	maps.Copy(all, fields)
	return all
}

var (
	passwordField  = logical.Field{Type: logical.Text, Help: "The password."}
	passwordFields = named(logical.Fields{
		"password":      passwordField,
		"password_hash": {Type: logical.Text, Help: "bcrypt hash of the password, in its place."},
	})
	loginFields = named(logical.Fields{"password": passwordField})
)

var routes = logical.Routes[*method]{
	{Op: logical.List, Path: "users", Do: (*method).listUsers, Help: "List the names of the users."},
	{Op: logical.Read, Path: "users/{username}", Do: (*method).readUser, Fields: named(nil), Help: "Read a user, without the password."},
	{Op: logical.Write, Path: "users/{username}", Do: (*method).writeUser, Exists: (*method).userExists, Fields: userFields(), Help: "Create or change a user."},
	{Op: logical.Delete, Path: "users/{username}", Do: (*method).deleteUser, Fields: named(nil), Help: "Delete a user."},
	{Op: logical.Write, Path: "users/{username}/password", Do: (*method).writePassword, Fields: passwordFields, Help: "Change the password of a user."},
	{Op: logical.Write, Path: "users/{username}/policies", Do: (*method).writePolicies, Fields: named(policySetting.Fields()), Help: "Change the policies of a user."},
	{Op: logical.Write, Path: "login/{username}", Do: (*method).login, Fields: loginFields, Open: true, Help: "Log in with a password."},
}

// object is data of an answer.
type object = map[string]any

func (*method) listUsers(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	names, err := r.Part.Children(ctx, storage.Plain("user"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, logical.ErrNotFound
	}
	return &logical.Response{Data: object{"keys": names}}, nil
}

func (*method) userExists(ctx context.Context, r *logical.Request) (bool, error) {
	u, err := loadUser(ctx, r.Part, r.Text("username"))
	return u != nil, err
}

func (*method) readUser(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	u, err := loadUser(ctx, r.Part, r.Text("username"))
	if err != nil {
		return nil, err
	}
	if u == nil {
		return nil, logical.ErrNotFound
	}
	data := object{}
	settings.Tell(u, data)
	return &logical.Response{Data: data}, nil
}

func (m *method) writeUser(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	u, err := loadUser(ctx, r.Part, r.Text("username"))
	if err != nil {
		return nil, err
	}
	isNew := u == nil
	if isNew {
		if err := checkName(r.Text("username")); err != nil {
			return nil, err
		}
		u = &user{Name: r.Text("username"), ID: uuid.New()}
	}
	if err := settings.Take(u, r); err != nil {
		return nil, err
	}
	if err := u.Check(); err != nil {
		return nil, err
	}
	resp := &logical.Response{Warnings: u.Warnings(r.Mount)}
	if isNew || r.Has("password") || r.Has("password_hash") {
		if u.Hash, err = m.newHash(ctx, r); err != nil {
			return nil, err
		}
		resp.After = m.pardon(u.Name)
	}
	return resp, u.save(r.Part)
}

// deleteUser leaves the failures of the user's logins: they say nothing once the
// user is gone, and count again for one of the same name.
func (*method) deleteUser(_ context.Context, r *logical.Request) (*logical.Response, error) {
	r.Part.Delete(userKey(r.Text("username")))
	return nil, nil
}

func (m *method) writePassword(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	u, err := existing(ctx, r)
	if err != nil {
		return nil, err
	}
	if u.Hash, err = m.newHash(ctx, r); err != nil {
		return nil, err
	}
	return &logical.Response{After: m.pardon(u.Name)}, u.save(r.Part)
}

func (*method) writePolicies(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	u, err := existing(ctx, r)
	if err != nil {
		return nil, err
	}
	found, err := policySetting.Take(u, r)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, logical.Invalid("missing token_policies")
	}
	return nil, u.save(r.Part)
}

// pardon makes a user's failed logins forgotten, once it is on record why.
func (m *method) pardon(name string) func() { return func() { m.tries.forget(name) } }
