package userpass

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/logical/mounttest"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

// house is the method over a store.
type house struct {
	*mounttest.Mount
	method *method
}

var cheap = cost{memory: 8, passes: 1, threads: 1}

// newHouse has hashes that cost next to nothing.
func newHouse(t testing.TB) *house {
	t.Helper()
	m := newMethod(cheap, vaultLimits)
	return &house{mounttest.New(t, m.engine(), inmem.New()), m}
}

func withPassword(password string) string {
	raw, err := json.Marshal(map[string]string{"password": password})
	if err != nil {
		panic(err) // texts always marshal
	}
	return string(raw)
}

func (h *house) login(name, password string) (*logical.Auth, error) {
	return h.Login("login/"+name, withPassword(password))
}

func (h *house) mustLogin(name, password string) *logical.Auth {
	h.T.Helper()
	return h.MustLogin("login/"+name, withPassword(password))
}

// fails wants a login to fail n times, as one with a wrong password does.
func (h *house) fails(name, password string, n int) {
	h.T.Helper()
	for range n {
		if _, err := h.login(name, password); !errors.Is(err, errCredentials) {
			h.T.Fatalf("login of %s: %v, want %v", name, err, errCredentials)
		}
	}
}

// lockedOut wants a login to be refused without a look at the password.
func (h *house) lockedOut(name, password string) {
	h.T.Helper()
	_, err := h.login(name, password)
	if !errors.Is(err, logical.ErrDenied) || err.Error() != "permission denied" {
		h.T.Errorf("login of %s: %v, want it locked out", name, err)
	}
}

// stored returns all rows as one text.
func (h *house) stored() string {
	h.T.Helper()
	var all strings.Builder
	for _, e := range h.Rows() {
		all.WriteString(e.Key)
		all.Write(e.Value)
	}
	return all.String()
}
