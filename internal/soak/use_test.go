package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// use is a server and all that is done with it.
type use struct {
	t     *testing.T
	house *house
	done  []atomic.Int64 // how often, by deed

	answered  atomic.Int64 // requests that must be on record
	brokenOff atomic.Int64 // requests that may be

	// rekeying is held by the one who rekeys: there can be one at a time.
	rekeying sync.Mutex
}

// user is one of those who use the server. Its methods are not called
// concurrently.
type user struct {
	*use
	n    int
	dice *rand.Rand
}

func newUse(t *testing.T, h *house) *use {
	t.Helper()
	u := &use{t: t, house: h, done: make([]atomic.Int64, len(deeds))}
	h.write(t, "sys/audit/file", map[string]any{"type": "file", "options": map[string]any{"file_path": u.auditPath()}})
	for _, f := range furniture {
		u.must(u.newUser(0).ask(http.MethodPut, f.path, f.body, http.StatusOK, http.StatusNoContent))
	}
	return u
}

func (u *use) auditPath() string { return join(u.house.Dir, "audit.log") }

const shortPolicy = `
path "secret/*"              { capabilities = ["create", "read", "update", "patch", "delete", "list"] }
path "plain/*"               { capabilities = ["create", "read", "update", "delete", "list"] }
path "auth/token/create"     { capabilities = ["update"] }
path "sys/leases/renew"      { capabilities = ["update"] }
`

type settings = map[string]any

var furniture = []struct {
	path string
	body settings
}{
	{"sys/mounts/secret", settings{"type": "kv", "options": settings{"version": "2"}}},
	{"sys/mounts/plain", settings{"type": "kv", "options": settings{"version": "1"}}},
	{"sys/auth/approle", settings{"type": "approle"}},
	{"sys/auth/userpass", settings{"type": "userpass"}},
	{"sys/policies/acl/short", settings{"policy": shortPolicy}},
	{"auth/approle/role/service", settings{"token_policies": "short", "token_ttl": "3s", "token_max_ttl": "6s", "secret_id_num_uses": 1}},
	{"auth/approle/role/batch", settings{"token_policies": "short", "token_ttl": "3s", "token_type": "batch", "secret_id_num_uses": 1}},
	{"auth/userpass/users/somebody", settings{"password": "correct horse", "token_policies": "short", "token_ttl": "3s"}},
	{"secret/config", settings{"max_versions": 5}},
}

func (u *use) newUser(n int) *user {
	return &user{use: u, n: n, dice: rand.New(rand.NewPCG(rand.Uint64(), uint64(n)))}
}

// doSomething does one of the deeds, the weightier the more often.
func (u *user) doSomething() {
	all := 0
	for _, d := range deeds {
		all += d.weight
	}
	at := u.dice.IntN(all)
	for i, d := range deeds {
		if at -= d.weight; at < 0 {
			d.do(u)
			u.done[i].Add(1)
			return
		}
	}
}

// must fails the test if an answer is missing.
func (u *use) must(s *api.Secret, ok bool) *api.Secret {
	u.t.Helper()
	if !ok {
		u.t.FailNow()
	}
	return s
}

// ask makes a request with the root token.
func (u *user) ask(method, path string, body any, wanted ...int) (*api.Secret, bool) {
	return u.askAs(u.house.root, client.Request{Method: method, Path: path, Body: body}, wanted...)
}

// askAs makes a request that must be answered with one of the statuses, all of
// which count as an answer; it says whether it was, and fails the test if not.
func (u *user) askAs(c *client.Client, r client.Request, wanted ...int) (*api.Secret, bool) {
	ctx, cancel := context.WithTimeout(u.t.Context(), 4*patience)
	defer cancel()
	a, err := c.Raw(ctx, r)
	if err != nil {
		u.t.Errorf("%s %s: %v", r.Method, r.Path, err)
		return nil, false
	}
	u.answered.Add(1)
	if !slices.Contains(wanted, a.Status) {
		u.t.Errorf("%s %s: %d %s, want one of %v", r.Method, r.Path, a.Status, a.Body, wanted)
		return nil, false
	}
	s := &api.Secret{}
	if len(a.Body) > 0 && json.Unmarshal(a.Body, s) != nil {
		u.t.Errorf("%s %s: the answer can't be read", r.Method, r.Path)
		return nil, false
	}
	return s, true
}

// unrecorded makes a request that the audit does not know.
func (u *user) unrecorded(method, path string, in, out any) bool {
	a, err := u.house.root.Raw(u.t.Context(), client.Request{Method: method, Path: path, Body: in})
	if err == nil && a.Status != http.StatusOK {
		err = client.Refusal(a, method, path)
	}
	if err == nil {
		err = json.Unmarshal(a.Body, out)
	}
	if err != nil {
		u.t.Error(err)
	}
	return err == nil
}

// breakOff makes a request and goes away in the middle of it.
func (u *user) breakOff(r client.Request) {
	ctx, cancel := context.WithTimeout(u.t.Context(), time.Duration(u.dice.Int64N(int64(5*time.Millisecond))))
	defer cancel()
	u.brokenOff.Add(1)
	u.house.root.Raw(ctx, r) // how it ends is not known
}

// tokens lists the accessors of all tokens.
func (u *use) tokens() []any {
	u.t.Helper()
	s := u.must(u.newUser(0).ask("LIST", "auth/token/accessors", nil, http.StatusOK))
	keys, _ := s.Data["keys"].([]any)
	return keys
}

// clear deletes the secrets that were written.
func (u *use) clear() {
	one := u.newUser(0)
	for n := range secrets {
		one.ask(http.MethodDelete, fmt.Sprintf("secret/metadata/%d", n), nil, http.StatusNoContent)
		one.ask(http.MethodDelete, fmt.Sprintf("plain/%d", n), nil, http.StatusNoContent)
	}
}
