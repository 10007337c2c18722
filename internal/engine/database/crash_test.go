package database_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/logical/mounttest"
	"github.com/cofferhq/coffer/internal/storage/storetest"
)

// operation is something that touches the system. do returns what it says; done
// checks what must be so if it has said yes.
type operation struct {
	name string
	// prepare is done before anything fails. Nil: nothing is.
	prepare func(s *site)
	do      func(s *site) (note string, err error)
	done    func(s *site, note string) error
	// again is what the core tries until it succeeds. Nil: nothing.
	again func(s *site) error
}

var operations = []operation{
	{
		name: "making a user",
		do: func(s *site) (string, error) {
			resp, err := s.call(logical.Read, "creds/reader", "")
			if err != nil {
				return "", err
			}
			return resp.Data.(map[string]any)["username"].(string), nil
		},
		done: func(s *site, user string) error {
			if s.world.password(user) == "" || s.lease(user) == nil {
				return fmt.Errorf("user %s is not there, or has no lease", user)
			}
			return nil
		},
	},
	{
		name:  "revoking a user",
		do:    func(s *site) (string, error) { user := s.leasedUser(); return user, s.revoke(user) },
		again: func(s *site) error { return s.revoke(s.leasedUser()) },
		done: func(s *site, user string) error {
			if s.world.password(user) != "" || s.lease(user) != nil {
				return fmt.Errorf("user %s or the lease is still there", user)
			}
			return nil
		},
	},
	{
		name: "renewing a user",
		do:   func(s *site) (string, error) { user := s.leasedUser(); return user, s.renew(user) },
		done: func(s *site, user string) error {
			if s.world.users[user].expires.Before(mounttest.Start.Add(time.Hour)) {
				return errors.New("the account was not extended")
			}
			return nil
		},
	},
	{
		name: "rotating a static role",
		do: func(s *site) (string, error) {
			before := s.world.password("app")
			_, err := s.call(logical.Write, "rotate-role/app", "")
			return before, err
		},
		done: func(s *site, before string) error {
			if s.world.password("app") == before {
				return errOld
			}
			return nil
		},
	},
	{
		name: "creating a static role",
		do: func(s *site) (string, error) {
			_, err := s.call(logical.Write, "static-roles/second", `{"db_name": "db", "username": "second", "rotation_period": "1h"}`)
			return "", err
		},
		done: func(s *site, _ string) error {
			if got := s.read("static-creds/second")["password"]; got != s.world.password("second") {
				return errors.New("the password of the new role does not work")
			}
			return nil
		},
	},
	{
		name: "rotating the connection's own password on schedule",
		prepare: func(s *site) {
			s.write("config/db", `{"rotation_period": "24h"}`)
			for _, task := range s.dueAt(s.now.Add(24 * time.Hour)) {
				if strings.HasPrefix(task.Ref, "root.") {
					s.notes["task"] = task.Ref
				}
			}
			s.now = s.now.Add(24 * time.Hour)
		},
		do: func(s *site) (string, error) {
			before := s.world.password("root")
			return before, s.engine.Work(s.t.Context(), s.own(), logical.Task{At: s.now, Ref: s.notes["task"]})
		},
		done: func(s *site, before string) error {
			if s.world.password("root") == before {
				return errOld
			}
			return nil
		},
	},
	{
		name: "rotating the connection's own password",
		do: func(s *site) (string, error) {
			before := s.world.password("root")
			_, err := s.call(logical.Write, "rotate-root/db", "")
			return before, err
		},
		done: func(s *site, before string) error {
			if s.world.password("root") == before {
				return errOld
			}
			return nil
		},
	},
}

var errOld = errors.New("the password is the old one")

// leasedUser is the one who has a lease from the start.
func (s *site) leasedUser() string { return s.notes["user"] }

// A storeFault is a call of the store that fails; n zero: none.
type storeFault struct {
	n           int
	after, dead bool
}

func (f storeFault) String() string {
	return fmt.Sprintf("store call %d (after %t, dead %t)", f.n, f.after, f.dead)
}

// Whatever fails, before it has its effect or after, in the store, in the system or
// in both: after a restart both agree on passwords that work, and there is no user
// that no row knows.
func TestStoreAndSystemAgreeWhateverFails(t *testing.T) {
	for _, o := range operations {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			for _, how := range []fault{{}, {after: true}, {lasting: true}, {after: true, lasting: true}} {
				for at := range 4 {
					if at == 0 && how != (fault{}) {
						continue
					}
					if !o.surviveAll(t, at, how) {
						break
					}
				}
			}
		})
	}
}

// surviveAll lets the store fail at each call that the operation needs, and at none,
// while the system fails in one way. It says whether it came to a failure of that.
func (o operation) surviveAll(t *testing.T, at int, how fault) (broke bool) {
	if _, broke = o.survive(t, storeFault{}, at, how); !broke {
		return false
	}
	for _, f := range []storeFault{{}, {after: true}, {dead: true}, {after: true, dead: true}} {
		for f.n = 1; !t.Failed(); f.n++ {
			if tripped, _ := o.survive(t, f, at, how); !tripped {
				break
			}
		}
	}
	return true
}

// survive does the operation while system and store fail, and says whether it came to
// a failure of the store, and of the system.
func (o operation) survive(t *testing.T, f storeFault, at int, how fault) (tripped, broke bool) {
	t.Helper()
	s := furnished(t)
	s.write("static-roles/app", app)
	s.world.add("second", "what second had before")
	s.notes = map[string]string{"user": s.read("creds/reader")["username"].(string)}
	s.now = s.now.Add(time.Minute)
	if o.prepare != nil {
		o.prepare(s)
	}

	whole := s.store
	faulty := &storetest.Faulty{Store: whole, N: f.n, After: f.after, Dead: f.dead}
	if f.n > 0 {
		s.store = faulty
	}
	s.world.breakAt(at, how)
	note, err := o.do(s)
	trial := fmt.Sprintf("%s, system call %d %+v: %v", f, at, how, err)
	if err != nil {
		if what := s.world.leaks(err.Error()); what != "" {
			t.Errorf("%s: the error holds %s", trial, what)
		}
	}
	broke = s.world.broke()
	s.world.breakAt(0, fault{})
	if s.store = whole; f.dead || f.n%2 == 0 {
		s.restart(whole)
	}
	s.lookAround(trial)
	if o.again != nil && err != nil {
		if err := o.again(s); err != nil {
			t.Errorf("%s: once more: %v", trial, err)
		}
	}
	for range 4 {
		if err := s.work(3 * time.Minute); err != nil {
			t.Errorf("%s: work: %v", trial, err)
		}
	}
	s.lookAround(trial + ", later")
	s.agree(trial)
	if err == nil {
		if err := o.done(s, note); err != nil {
			t.Errorf("%s: %v", trial, err)
		}
	}
	return f.n > 0 && faulty.Tripped(), broke
}

// lookAround wants what is read right after a restart to work.
func (s *site) lookAround(trial string) {
	s.t.Helper()
	if got := s.read("static-creds/app")["password"]; got != s.world.password("app") {
		s.t.Errorf("%s: the password that is read of app does not work", trial)
	}
	if _, err := s.call(logical.Read, "creds/reader", ""); err != nil {
		s.t.Errorf("%s: the connection does not work: %v", trial, err)
	}
}

// agree wants every user to have a row, and every row a user.
func (s *site) agree(trial string) {
	s.t.Helper()
	for _, user := range slices.DeleteFunc(s.world.names(), func(n string) bool { return n == "app" || n == "second" }) {
		if s.lease(user) == nil {
			s.t.Errorf("%s: nobody knows of user %s", trial, user)
		}
	}
	for key := range maps.Keys(s.rows(leaseKey)) {
		if user := key[len(leaseKey)+1 : len(key)-2]; s.world.password(user) == "" {
			s.t.Errorf("%s: user %s has a lease and is not there", trial, user)
		}
	}
	for _, table := range []string{"pending"} {
		if left := s.rows(dataKey + "p" + table); len(left) > 0 {
			s.t.Errorf("%s: rows are left of %s: %d", trial, table, len(left))
		}
	}
	if state := s.read("static-roles/app")["rotation_state"]; state != "settled" {
		s.t.Errorf("%s: app is %s", trial, state)
	}
	if state, ok := s.read("config/db")["rotation_state"]; ok {
		s.t.Errorf("%s: the connection is %s", trial, state)
	}
	if _, err := s.call(logical.Read, "static-roles/second", ""); err == nil {
		if got := s.read("static-creds/second")["password"]; got != s.world.password("second") {
			s.t.Errorf("%s: the password that is read of second does not work", trial)
		}
	} else if s.world.password("second") != "what second had before" {
		s.t.Errorf("%s: second has a password that nobody knows", trial)
	}
}
