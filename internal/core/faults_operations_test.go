package core_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// An operation is what must be done wholly or not at all.
type operation struct {
	name    string
	prepare func(s *site)
	do      func(s *site) error

	once error // a second time is refused with this kind; nil: it is not
	adds bool  // a second time adds to the first

	// background is the table whose calls count, if the operation goes on when it was
	// answered. How often it fails then is told by events, which are not looked at.
	background string

	// What is looked at, beside the number of rows in each table.
	reads, lists, tokens []string
	more                 func(s *site) string // nil: nothing
}

// request is an operation of one request.
func request(c call) func(s *site) error {
	return func(s *site) error {
		_, err := s.do(c)
		return err
	}
}

var operations = slices.Concat(requests, rotations)

var requests = []operation{
	{
		name: "put a version of a secret", once: logical.ErrInvalid,
		prepare: func(s *site) {
			s.mountKV("2")
			s.must(logical.Write, "kv/data/a", `{"data":{"v":1}}`)
		},
		do:    request(call{op: logical.Write, path: "kv/data/a", body: `{"data":{"v":2},"options":{"cas":1}}`}),
		reads: []string{"kv/data/a", "kv/metadata/a"},
	},
	{
		name: "put a version that pushes the oldest out", once: logical.ErrInvalid,
		prepare: func(s *site) {
			s.mountKV("2")
			s.must(logical.Write, "kv/metadata/a", `{"max_versions":1}`)
			s.must(logical.Write, "kv/data/a", `{"data":{"v":1}}`)
		},
		do:    request(call{op: logical.Write, path: "kv/data/a", body: `{"data":{"v":2},"options":{"cas":1}}`}),
		reads: []string{"kv/data/a", "kv/metadata/a"},
	},
	{
		name: "delete a secret with more versions than fit a commit",
		prepare: func(s *site) {
			s.mountKV("2")
			s.must(logical.Write, "kv/metadata/a", `{"max_versions":200}`)
			for range 150 {
				s.must(logical.Write, "kv/data/a", `{"data":{"v":1}}`)
			}
		},
		do:    request(call{op: logical.Delete, path: "kv/metadata/a"}),
		reads: []string{"kv/data/a"}, lists: []string{"kv/metadata/"},
	},
	{
		name: "put a secret without versions", adds: true, // an event each time
		prepare: func(s *site) { s.mountKV("1") },
		do:      request(call{op: logical.Write, path: "kv/a", body: `{"v":1}`}),
		reads:   []string{"kv/a"}, lists: []string{"kv/"},
	},
	{
		name: "log in with AppRole", adds: true,
		prepare: (*site).appRole,
		do: func(s *site) error {
			_, err := s.login()
			return err
		},
	},
	{
		name:    "revoke a token with its tree",
		prepare: (*site).tree,
		do:      func(s *site) error { return s.revoke("auth/token/revoke-accessor", "accessor", "trunk accessor") },
		once:    logical.ErrInvalid,
		tokens:  treeNames,
	},
	{
		name:    "revoke a token and spare its children",
		prepare: (*site).tree,
		do:      func(s *site) error { return s.revoke("auth/token/revoke-orphan", "token", "trunk") },
		once:    logical.ErrDenied,
		tokens:  treeNames,
	},
	{
		name: "create a token", adds: true,
		prepare: (*site).tree,
		do:      request(call{op: logical.Write, path: "auth/token/create", body: `{"policies":["default"],"ttl":"2h"}`}),
	},
	{
		name: "mount an engine", once: logical.ErrInvalid,
		prepare: func(*site) {},
		do:      request(call{op: logical.Write, path: "sys/mounts/kv", body: `{"type":"kv","description":"new"}`}),
		reads:   []string{"sys/mounts/kv", "kv/a"},
	},
	{
		name: "unmount an engine with more rows than fit a commit",
		prepare: func(s *site) {
			s.mountKV("1")
			for i := range 150 {
				s.must(logical.Write, fmt.Sprintf("kv/%d", i), `{"v":1}`)
			}
		},
		do:    request(call{op: logical.Delete, path: "sys/mounts/kv"}),
		reads: []string{"sys/mounts/kv", "kv/1"},
	},
	{
		name: "unmount an auth method and revoke its tokens",
		prepare: func(s *site) {
			s.appRole()
			for _, name := range []string{"first", "second"} {
				var err error
				if s.notes[name], err = s.login(); err != nil {
					s.t.Fatal(err)
				}
			}
		},
		do:     request(call{op: logical.Delete, path: "sys/auth/approle"}),
		reads:  []string{"sys/auth/approle"},
		tokens: []string{"first", "second"},
	},
	{
		name: "write a policy",
		prepare: func(s *site) {
			s.must(logical.Write, "sys/policies/acl/p", `{"policy":"path \"a\" { capabilities = [\"read\"] }"}`)
		},
		do:    request(call{op: logical.Write, path: "sys/policies/acl/p", body: `{"policy":"path \"b\" { capabilities = [\"read\"] }"}`}),
		reads: []string{"sys/policies/acl/p"},
	},
	{
		name: "delete a policy",
		prepare: func(s *site) {
			s.must(logical.Write, "sys/policies/acl/p", `{"policy":"path \"a\" { capabilities = [\"read\"] }"}`)
		},
		do:    request(call{op: logical.Delete, path: "sys/policies/acl/p"}),
		reads: []string{"sys/policies/acl/p"}, lists: []string{"sys/policies/acl/"},
	},
	{
		name: "wrap", adds: true,
		prepare: func(*site) {},
		do:      request(call{op: logical.Write, path: "sys/wrapping/wrap", body: `{"v":1}`, wrap: 2 * time.Hour}),
	},
	{
		name: "unwrap", once: logical.ErrInvalid,
		prepare: func(s *site) {
			a, err := s.do(call{op: logical.Write, path: "sys/wrapping/wrap", body: `{"v":1}`, wrap: 2 * time.Hour})
			if err != nil {
				s.t.Fatal(err)
			}
			s.notes["wrapped"] = a.Wrap.Token
		},
		do: func(s *site) error {
			a, err := s.do(call{op: logical.Write, path: "sys/wrapping/unwrap", body: `{"token":"` + s.notes["wrapped"] + `"}`})
			if err == nil && a.Wrapped == nil {
				return errors.New("the answer is empty")
			}
			return err
		},
	},
}

func (s *site) mountKV(version string) {
	s.t.Helper()
	s.must(logical.Write, "sys/mounts/kv", `{"type":"kv","options":{"version":"`+version+`"}}`)
}

// appRole makes a role whose secret id is good for four logins.
func (s *site) appRole() {
	s.t.Helper()
	const role = "auth/approle/role/app"
	s.must(logical.Write, "sys/auth/approle", `{"type":"approle"}`)
	s.must(logical.Write, role, `{"token_policies":"default","token_ttl":"2h","secret_id_num_uses":4}`)
	s.notes["role id"] = s.field(s.must(logical.Read, role+"/role-id", ""), "role_id")
	s.notes["secret id"] = s.field(s.must(logical.Write, role+"/secret-id", ""), "secret_id")
}

func (s *site) login() (token string, err error) {
	a, err := s.do(call{op: logical.Write, path: "auth/approle/login",
		body: `{"role_id":"` + s.notes["role id"] + `","secret_id":"` + s.notes["secret id"] + `"}`})
	if err != nil {
		return "", err
	}
	return a.Auth.ClientToken, nil
}

var treeNames = []string{"trunk", "left", "right", "leaf"}

// tree makes tokens below each other, each with something in its cubbyhole.
func (s *site) tree() {
	s.t.Helper()
	for _, grow := range [][2]string{{"", "trunk"}, {"trunk", "left"}, {"trunk", "right"}, {"right", "leaf"}} {
		a, err := s.do(call{token: s.notes[grow[0]], op: logical.Write, path: "auth/token/create", body: `{"policies":["root"],"ttl":"2h"}`})
		if err != nil {
			s.t.Fatal(err)
		}
		s.notes[grow[1]], s.notes[grow[1]+" accessor"] = a.Auth.ClientToken, a.Auth.Accessor
		if _, err := s.do(call{token: a.Auth.ClientToken, op: logical.Write, path: "cubbyhole/a", body: `{"v":1}`}); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *site) revoke(path, field, note string) error {
	_, err := s.do(call{op: logical.Write, path: path, body: `{"` + field + `":"` + s.notes[note] + `"}`})
	return err
}
