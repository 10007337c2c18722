package sys

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/password"
	"github.com/cofferhq/coffer/internal/storage"
)

var passwordFields = logical.Fields{
	"name":   {Type: logical.Text, Help: "Name of the password policy."},
	"policy": {Type: logical.Text, Help: "The password policy, in HCL or JSON, or that in base64."},
}

// passwordRoutes know a name with slashes in it as well, as Vault does.
var passwordRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "policies/password", Do: (*system).listPasswordPolicies, Help: "List the names of the password policies."},
	{Op: logical.List, Path: "policies/password", Do: (*system).listPasswordPolicies, Help: "List the names of the password policies."},
	{Op: logical.Read, Path: "policies/password/{name...}", Do: (*system).readPasswordPolicy, Fields: passwordFields, Help: "Read a password policy, or generate a password with one."},
	{Op: logical.Write, Path: "policies/password/{name...}", Do: (*system).writePasswordPolicy, Fields: passwordFields, Help: "Create or replace a password policy."},
	{Op: logical.Delete, Path: "policies/password/{name...}", Do: (*system).deletePasswordPolicy, Fields: passwordFields, Help: "Delete a password policy."},
	{Op: logical.Read, Path: "policies/password/{name}/generate", Do: (*system).generatePassword, Fields: passwordFields, Help: "Generate a password with a password policy."},
}

// PasswordPolicies keeps the password policies of a namespace. It remembers none
// of them: who makes a password asks for the policy then.
type PasswordPolicies struct {
	store storage.Store
	ns    string
}

// NewPasswordPolicies returns the password policies of a namespace on the barrier.
func NewPasswordPolicies(s storage.Store, ns string) PasswordPolicies {
	return PasswordPolicies{store: s, ns: ns}
}

type passwordRecord struct {
	Text string `json:"text"`
}

var passwordForm = storage.Form[passwordRecord]{Name: "password policy record", Version: 1}

func (p PasswordPolicies) table() string {
	return storage.Plain("conf") + storage.Plain(p.ns) + storage.Plain("password")
}

// Policy returns the policy of that name. It is a [password.Source].
func (p PasswordPolicies) Policy(ctx context.Context, name string) (password.Policy, error) {
	text, err := p.Text(ctx, name)
	if errors.Is(err, logical.ErrNotFound) {
		return password.Policy{}, logical.Invalid("the password policy %q does not exist", name)
	}
	if err != nil {
		return password.Policy{}, err
	}
	return password.Parse(text)
}

var _ password.Source = PasswordPolicies{}.Policy

// Text returns the text of a policy, or [logical.ErrNotFound].
func (p PasswordPolicies) Text(ctx context.Context, name string) (text string, err error) {
	err = storage.View(ctx, p.store, func(tx *storage.Tx) error {
		row, err := tx.Get(ctx, p.table()+storage.Name(name))
		if errors.Is(err, storage.ErrNotFound) {
			return logical.ErrNotFound
		}
		if err != nil {
			return err
		}
		var r passwordRecord
		err = passwordForm.Decode(row.Value, &r)
		text = r.Text
		return err
	})
	return text, err
}

// Names returns the names of all policies, sorted.
func (p PasswordPolicies) Names(ctx context.Context) ([]string, error) {
	var names []string
	err := storage.View(ctx, p.store, func(tx *storage.Tx) error {
		table := p.table()
		for row, err := range tx.Scan(ctx, table, "") {
			if err != nil {
				return err
			}
			name, _, err := storage.Cut(row.Key[len(table):])
			if err != nil {
				return err
			}
			names = append(names, name.Text())
		}
		return nil
	})
	slices.Sort(names)
	return names, err
}

// Put checks and stores a policy, in the place of the one with its name.
func (p PasswordPolicies) Put(ctx context.Context, name, text string) error {
	if _, err := password.Parse(text); err != nil {
		return logical.Invalid("invalid password policy: %s", err)
	}
	value, err := passwordForm.Encode(&passwordRecord{Text: text})
	if err != nil {
		return err
	}
	_, err = storage.Update(ctx, p.store, func(tx *storage.Tx) error {
		tx.Put(p.table()+storage.Name(name), value)
		return nil
	})
	return err
}

// Delete removes a policy, whether it is in use or not. An unknown one is no error.
func (p PasswordPolicies) Delete(ctx context.Context, name string) error {
	_, err := storage.Update(ctx, p.store, func(tx *storage.Tx) error {
		tx.Delete(p.table() + storage.Name(name))
		return nil
	})
	return err
}

func (s *system) passwords() PasswordPolicies { return NewPasswordPolicies(s.Store, rootNS) }

// passwordPolicyName is the policy that the path names, and whether the path goes on
// to ask for a password.
func passwordPolicyName(r *logical.Request) (name string, generate bool, err error) {
	name, generate = strings.CutSuffix(strings.TrimSuffix(r.Text("name"), "/"), "/generate")
	if name == "" {
		return "", false, logical.Invalid("missing policy name")
	}
	return name, generate, nil
}

func (s *system) listPasswordPolicies(ctx context.Context, _ *logical.Request) (*logical.Response, error) {
	names, err := s.passwords().Names(ctx)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, logical.ErrNotFound
	}
	return &logical.Response{Data: object{"keys": names}}, nil
}

func (s *system) readPasswordPolicy(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	name, generate, err := passwordPolicyName(r)
	if err != nil {
		return nil, err
	}
	if generate {
		return s.passwordOf(ctx, name)
	}
	text, err := s.passwords().Text(ctx, name)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: object{"policy": text}}, nil
}

func (s *system) writePasswordPolicy(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	name, generate, err := passwordPolicyName(r)
	switch {
	case err != nil:
		return nil, err
	case generate:
		return nil, logical.ErrUnsupportedOp
	}
	text := r.Text("policy")
	if text == "" {
		return nil, logical.Invalid("missing policy")
	}
	if plain, err := base64.StdEncoding.DecodeString(text); err == nil {
		text = string(plain)
	}
	return nil, s.passwords().Put(ctx, name, text)
}

func (s *system) deletePasswordPolicy(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	name, generate, err := passwordPolicyName(r)
	switch {
	case err != nil:
		return nil, err
	case generate:
		return nil, logical.ErrUnsupportedOp
	}
	return nil, s.passwords().Delete(ctx, name)
}

func (s *system) generatePassword(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return s.passwordOf(ctx, r.Text("name"))
}

// passwordOf is the answer with a new password of a policy.
func (s *system) passwordOf(ctx context.Context, name string) (*logical.Response, error) {
	text, err := s.passwords().Text(ctx, name)
	if errors.Is(err, logical.ErrNotFound) {
		return nil, logical.Errorf(logical.ErrNotFound, "policy does not exist")
	}
	if err != nil {
		return nil, err
	}
	p, err := password.Parse(text)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: object{"password": p.Generate().RevealText()}}, nil
}
