package database_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// A system that does not answer holds up what needs it, for a bounded time, and
// nothing else.
func TestASystemThatHangsDelaysOnlyItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := rotating(t)
		s.world.add("other", "of other")
		s.write("static-roles/other", `{"db_name": "db", "username": "other", "rotation_period": "1h"}`)
		before := s.world.password("app")
		s.hang("set", "app")
		start := time.Now()
		var asked sync.WaitGroup
		asked.Go(func() {
			s.refused(logical.Write, "rotate-role/app", "", "it is not known yet")
		})
		synctest.Wait()
		s.write("rotate-role/other", "")
		s.read("creds/reader")
		s.read("roles/reader")
		if time.Since(start) != 0 {
			t.Errorf("others were held up for %s", time.Since(start))
		}
		if got := s.read("static-creds/app")["password"]; got != before || time.Since(start) > 5*time.Second {
			t.Errorf("read after %s", time.Since(start))
		}
		asked.Wait()
		if d := time.Since(start); d > 45*time.Second {
			t.Errorf("the one who asked waited %s", d)
		}
	})
}

// hang makes calls about a user end with their context only.
func (s *site) hang(call, user string) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.world.hangs = func(c, u string) bool { return c == call && (user == "" || u == user) }
}

func TestClosingWaitsForWhatIsUnderWayAndEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := furnished(t)
		s.hang("create", "")
		start := time.Now()
		var asked sync.WaitGroup
		asked.Go(func() { s.refused(logical.Read, "creds/reader", "", "create a database user: ") })
		synctest.Wait()
		if err := s.engine.Close(); err != nil || time.Since(start) != 0 {
			t.Errorf("closed after %s, error %v", time.Since(start), err)
		}
		if s.world.open != 0 {
			t.Errorf("%d connections are open", s.world.open)
		}
		asked.Wait()
		s.refused(logical.Read, "creds/reader", "", "being closed")
	})
}

// Those who ask for a rotation of one user come one after the other, and all of them
// find a password that works.
func TestOneUserIsRotatedByOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := rotating(t)
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, err := s.call(logical.Write, "rotate-role/app", ""); err != nil {
					t.Error(err)
				}
				if got := s.read("static-creds/app")["username"]; got != "app" {
					t.Error(got)
				}
			})
			all.Go(func() {
				if _, err := s.call(logical.Read, "creds/reader", ""); err != nil {
					t.Error(err)
				}
			})
			all.Go(func() {
				if _, err := s.call(logical.Write, "rotate-root/db", ""); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := s.read("static-creds/app")["password"]; got != s.world.password("app") || s.world.count("set") != 21 {
			t.Errorf("%d rotations, or a password that does not work", s.world.count("set"))
		}
		if len(s.world.names()) != 11 {
			t.Errorf("users %q", s.world.names())
		}
	})
}

func TestWhoWaitsForATurnWaitsNoLongerThanAskedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := rotating(t)
		s.hang("set", "app")
		var asked sync.WaitGroup
		asked.Go(func() { s.refused(logical.Write, "rotate-role/app", "", "it is not known yet") })
		synctest.Wait()
		action, r, err := s.request(logical.Write, "rotate-role/app", "")
		if err != nil {
			t.Fatal(err)
		}
		r.Step = s.step(r)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err = action.Do(ctx, r)
		if d := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || d != time.Second {
			t.Errorf("after %s: %v", d, err)
		}
		asked.Wait()
	})
}
