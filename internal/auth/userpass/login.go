package userpass

import (
	"context"
	"slices"

	"github.com/cofferhq/coffer/internal/grant"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// errCredentials is one for all that can be wrong with them.
var errCredentials = logical.Invalid("invalid username or password")

// state is what a token keeps for its renewal.
type state struct {
	User string `json:"user"`
	ID   string `json:"id"`
}

var stateForm = storage.Form[state]{Name: "userpass token state"}

func (m *method) login(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	name, password := r.Text("username"), r.Text("password")
	switch {
	case password == "":
		return nil, logical.Invalid("missing password")
	case len(password) > maxPasswordBytes || checkName(name) != nil:
		return nil, errCredentials // no user can have these: a quick answer tells nothing
	}
	u, err := loadUser(ctx, r.Part, name)
	if err != nil {
		return nil, err
	}
	if err := m.prove(ctx, r, u); err != nil {
		return nil, err
	}
	auth, err := u.auth()
	if err != nil {
		return nil, err
	}
	if len(auth.BoundCIDRs) > 0 && !grant.Inside(r.RemoteAddr, auth.BoundCIDRs) {
		return nil, logical.ErrDenied
	}
	return &logical.Response{Auth: auth, After: m.pardon(name)}, nil
}

// prove returns nil if the password is that of u. There may be no such user: that
// makes no difference but in the end.
func (m *method) prove(ctx context.Context, r *logical.Request, u *user) error {
	name, hash, who := r.Text("username"), m.dummy, aStranger
	if u != nil {
		hash, who = u.Hash, aUser
	}
	f, ok := m.found.recall(r)
	if !ok || f.hash != hash {
		if err := m.gate.enter(ctx); err != nil {
			return err
		}
		defer m.gate.leave()
		// Asked inside of the gate: who waited may have been locked out meanwhile,
		// and is not worth a hash.
		if m.tries.locked(name, who, r.Now) {
			return logical.ErrDenied
		}
		good, err := matches(hash, r.Text("password"))
		if err != nil {
			return err
		}
		f = finding{hash, good}
		m.found.keep(r, f)
	}
	return m.tries.judge(name, who, f.good && u != nil, r.Now)
}

// auth is what a login earns.
func (u *user) auth() (*logical.Auth, error) {
	auth, err := u.Token.Auth()
	if err != nil {
		return nil, err
	}
	auth.DisplayName = u.Name
	auth.Metadata = map[string]string{"username": u.Name}
	auth.Alias = logical.Alias{Name: u.Name}
	auth.State, err = stateForm.Encode(&state{User: u.Name, ID: u.ID})
	return auth, err
}

// renewLogin gives a token the times that its user has now. A user of the same
// name that was created later is another user.
func (*method) renewLogin(ctx context.Context, r *logical.Request, auth *logical.Auth) error {
	var kept state
	if err := stateForm.Decode(auth.State, &kept); err != nil {
		return err
	}
	u, err := loadUser(ctx, r.Part, kept.User)
	if err != nil {
		return err
	}
	if u == nil || u.ID != kept.ID {
		return logical.Invalid("user %q does not exist during renewal", kept.User)
	}
	if !samePolicies(u.Policies, auth.Policies) {
		return logical.Invalid("policies have changed, not renewing")
	}
	u.Renew(auth)
	return nil
}

// samePolicies compares but for the default one, which a token gets or not by
// other rules.
func samePolicies(a, b []string) bool {
	plain := func(names []string) []string {
		set := (&logical.Auth{Policies: names}).TokenPolicies()
		return slices.DeleteFunc(set, func(name string) bool { return name == logical.DefaultPolicy })
	}
	return slices.Equal(plain(a), plain(b))
}
