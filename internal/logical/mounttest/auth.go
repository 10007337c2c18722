package mounttest

import (
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// Login does a login and returns what it earned.
func (m *Mount) Login(path, body string) (*logical.Auth, error) {
	resp, err := m.Call(logical.Write, path, body)
	if err != nil {
		return nil, err
	}
	return resp.Auth, nil
}

// MustLogin does a login that has to succeed.
func (m *Mount) MustLogin(path, body string) *logical.Auth {
	m.T.Helper()
	auth, err := m.Login(path, body)
	if err != nil {
		m.T.Fatalf("login: %v", err)
	}
	return auth
}

// Renew asks the auth method about the renewal of a token that it issued.
func (m *Mount) Renew(auth *logical.Auth) error {
	return storage.View(m.T.Context(), m.Store, func(tx *storage.Tx) error {
		r := &logical.Request{Mount: m.Point, Now: m.Now, Part: tx.Below(Key)}
		return m.Engine.RenewLogin(m.T.Context(), r, auth)
	})
}
