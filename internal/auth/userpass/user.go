package userpass

import (
	"context"
	"errors"
	"strings"

	"github.com/cofferhq/coffer/internal/grant"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

const maxNameBytes = 255

var userForm = storage.Form[user]{Name: "userpass user record", Version: 1}

// user is a person, and what their tokens may do. It is the stored record, too.
type user struct {
	Name string `json:"-"`    // lower case
	ID   string `json:"id"`   // UUID, never changes and never leaves the server
	Hash string `json:"hash"` // of the password, argon2id or bcrypt

	grant.Token
}

func userKey(name string) string { return storage.Plain("user") + storage.Name(name) }

// loadUser returns nil without an error if there is no such user.
func loadUser(ctx context.Context, part storage.Part, name string) (*user, error) {
	e, err := part.Get(ctx, userKey(name))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	u := &user{Name: name}
	if err := userForm.Decode(e.Value, u); err != nil {
		return nil, err
	}
	return u, nil
}

// existing returns the user that the request names, or an error for the caller
// that there is none.
func existing(ctx context.Context, r *logical.Request) (*user, error) {
	u, err := loadUser(ctx, r.Part, r.Text("username"))
	if err == nil && u == nil {
		return nil, logical.Invalid("username does not exist")
	}
	return u, err
}

func (u *user) save(part storage.Part) error {
	value, err := userForm.Encode(u)
	if err != nil {
		return err
	}
	part.Put(userKey(u.Name), value)
	return nil
}

// checkName refuses what Vault does not take as the name of a user.
func checkName(name string) error {
	if len(name) > maxNameBytes {
		return logical.Invalid("a username has at most %d bytes", maxNameBytes)
	}
	odd := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.ContainsRune("_-.", c))
	}
	if name == "" || strings.ContainsFunc(name, odd) || strings.ContainsRune("-.", rune(name[0])) || strings.HasSuffix(name, ".") {
		return logical.Invalid("a username consists of letters, digits, underscores, hyphens and periods; " +
			"it cannot begin with a hyphen, nor begin or end with a period")
	}
	return nil
}
