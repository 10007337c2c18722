package core_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

const (
	rotationPath = "sys/coffer/rotation/r"
	generated    = `{"target":"kv/app","source":"generate","schedule":"1h","config":{"type":"uuid"}}`
	// Two users in turn, of another system.
	alternating = `{"target":"kv/app","source":"village","strategy":"alternate","schedule":"1h","grace":"1m",
		"previous_fields":{"password":"old_password"}}`
)

var rotationReads = []string{"kv/data/app", "kv/metadata/app", rotationPath, rotationPath + "/attempts"}

// rotations are what can happen to a rotation.
var rotations = []operation{
	{
		name:    "create a rotation",
		prepare: func(s *site) { s.mountKV("2") },
		do:      request(call{op: logical.Write, path: rotationPath, body: generated}),
		reads:   rotationReads,
	},
	{
		name:    "pause a rotation",
		prepare: func(s *site) { s.withRotation(generated) },
		do:      request(call{op: logical.Write, path: rotationPath + "/pause", body: `{}`}),
		reads:   rotationReads,
	},
	{
		name:    "delete a rotation",
		prepare: func(s *site) { s.withRotation(generated) },
		do:      request(call{op: logical.Delete, path: rotationPath}),
		reads:   rotationReads,
	},
	{
		name: "acknowledge a version", adds: true,
		prepare: func(s *site) {
			s.withRotation(generated)
			s.must(logical.Write, "sys/policies/acl/app", `{"policy":"path \"kv/data/app\" { capabilities = [\"read\"] }"}`)
			s.notes["app"] = s.must(logical.Write, "auth/token/create", `{"policies":["app"],"ttl":"2h"}`).Auth.ClientToken
		},
		do: func(s *site) error {
			_, err := s.do(call{token: s.notes["app"], op: logical.Write, path: "sys/coffer/acknowledge", body: `{"path":"kv/app","version":1}`})
			return err
		},
		reads: []string{"sys/coffer/consumers/kv/app"},
	},
	{
		name: "rotate what chance makes", adds: true, background: "rotation",
		prepare: func(s *site) { s.withRotation(generated) },
		do:      (*site).rotateOnce,
		reads:   rotationReads,
	},
	{
		name: "rotate two users in turn", adds: true, background: "rotation",
		prepare: func(s *site) { s.withRotation(alternating) },
		do:      (*site).rotateOnce,
		reads:   rotationReads,
		more:    (*site).agreement,
	},
}

// withRotation makes a rotation that has made an attempt.
func (s *site) withRotation(body string) {
	s.t.Helper()
	s.mountKV("2")
	s.must(logical.Write, rotationPath, body)
	if err := s.rotateOnce(); err != nil {
		s.t.Fatal(err)
	}
}

// errUnfinished is what rotateOnce says while something keeps an attempt from ending.
var errUnfinished = logical.Errorf(logical.ErrConflict, "the attempt has not ended yet")

// rotateOnce has an attempt begin, and wants it to end soon.
func (s *site) rotateOnce() error {
	a, err := s.do(call{op: logical.Write, path: rotationPath + "/rotate", body: `{}`})
	if err != nil {
		return err
	}
	time.Sleep(5 * time.Second)
	list, err := s.do(call{op: logical.Read, path: rotationPath + "/attempts"})
	if err != nil {
		return err
	}
	var began struct{ Attempt int }
	var ended struct{ Attempts []struct{ Number int } }
	if err := json.Unmarshal(a.Data, &began); err != nil {
		return err
	}
	if err := json.Unmarshal(list.Data, &ended); err != nil {
		return err
	}
	if len(ended.Attempts) == 0 || ended.Attempts[0].Number < began.Attempt {
		return errUnfinished
	}
	return nil
}

// agreement says whether the village takes what readers have, and nothing else.
func (s *site) agreement() string {
	s.t.Helper()
	var secret struct {
		Data struct{ Username, Password string }
	}
	if err := json.Unmarshal(s.must(logical.Read, "kv/data/app", "").Data, &secret); err != nil {
		s.t.Fatal(err)
	}
	s.village.mu.Lock()
	defer s.village.mu.Unlock()
	works, unknown := false, 0
	for name, password := range s.village.users {
		switch {
		case name == secret.Data.Username && password == secret.Data.Password:
			works = true
		case password != "nobody knows":
			unknown++
		}
	}
	return fmt.Sprintf("what readers have works: %t, passwords that nobody knows of: %d", works, unknown)
}
