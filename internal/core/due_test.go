package core_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/rotate"
)

// setClock moves the clock of the site, and waits until that was noticed.
func (s *site) setClock(by time.Duration) {
	s.t.Helper()
	s.ahead.Add(int64(by))
	time.Sleep(2 * time.Second)
	synctest.Wait()
}

type queueStatus struct {
	Waiting int
	Held    int
	Kinds   map[string]int `json:"waiting_by_kind"`
	Hold    *struct{ Why string }
}

func (s *site) queue() (q queueStatus) {
	s.t.Helper()
	if err := json.Unmarshal(s.must(logical.Read, "sys/coffer/due", "").Data, &q); err != nil {
		s.t.Fatal(err)
	}
	return q
}

const decade = 10 * 365 * 24 * time.Hour

func TestAClockThatJumpsForwardRevokesNothingUnconfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		defer s.end()
		log := filepath.Join(t.TempDir(), "audit.log")
		s.must(logical.Write, "sys/audit/file", `{"type":"file","options":{"file_path":"`+log+`"}}`)
		var tokens []string
		for range 5 {
			tokens = append(tokens, s.must(logical.Write, "auth/token/create", `{"policies":["default"],"ttl":"4h"}`).Auth.ClientToken)
		}
		works := func(token string) bool {
			_, err := s.do(call{token: token, op: logical.Read, path: "auth/token/lookup-self"})
			return err == nil
		}
		s.setClock(decade)
		if works(tokens[0]) {
			t.Error("a request ignores the clock")
		}
		q := s.queue()
		if q.Kinds["token"] != 5 || q.Held < 5 || q.Hold == nil || !strings.Contains(q.Hold.Why, "forward") || !s.DueHeld() {
			t.Errorf("held back: %+v", q)
		}
		s.setClock(-decade)
		if q := s.queue(); q.Hold != nil || q.Waiting > 0 || s.DueHeld() {
			t.Errorf("the clock was corrected: %+v", q)
		}
		if !works(tokens[0]) {
			t.Error("a token was revoked")
		}
		if _, err := s.do(call{op: logical.Write, path: "sys/coffer/due/confirm"}); err == nil {
			t.Error("confirmed, though nothing is held")
		}
		s.setClock(decade)
		s.must(logical.Write, "sys/coffer/due/confirm", "")
		time.Sleep(time.Second)
		if q := s.queue(); q.Hold != nil || q.Waiting > 0 {
			t.Errorf("confirmed: %+v", q)
		}
		s.setClock(-decade)
		if works(tokens[0]) {
			t.Error("a token outlived the confirmation")
		}
		text := readAll(t, log)
		if n := strings.Count(text, `"path":"sys/coffer/due/jump"`); n != 8 {
			t.Errorf("%d lines of four jumps in the audit", n)
		}
		if !strings.Contains(text, "the clock went forward by 87600h0m0s") || !strings.Contains(text, "sys/coffer/due/confirm") {
			t.Error("the audit does not tell of it")
		}
	})
}

func TestWhoMayConfirmTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		defer s.end()
		s.must(logical.Write, "sys/policies/acl/p", `{"policy":"path \"sys/coffer/due/*\" { capabilities = [\"update\"] }"}`)
		token := s.must(logical.Write, "auth/token/create", `{"policies":["p"]}`).Auth.ClientToken
		_, err := s.do(call{token: token, op: logical.Write, path: "sys/coffer/due/confirm"})
		wantKind(t, err, logical.ErrDenied)
	})
}

// What two secrets are valid for is not cut short by a clock that jumps, and does not
// last for years because one is put back.
func TestAClockThatJumpsWhileConsumersAreAwaited(t *testing.T) {
	for name, by := range map[string]time.Duration{"forward": decade, "back": -decade} {
		t.Run(name, func(t *testing.T) {
			rotating(t, `,"await":"grace"`, func(t *testing.T, s *site, _ *village) {
				s.attempt()
				began := time.Now()
				if a := s.rotation().Attempt; a == nil || a.Step != rotate.Awaiting {
					t.Fatalf("it does not wait: %+v", a)
				}
				s.setClock(by)
				e := s.ended(2)
				if took := time.Since(began); took < 50*time.Second || took > 2*time.Minute || e.Old != rotate.Dead {
					t.Errorf("it took %v: %+v", took, e)
				}
				// The next one comes in its time, by the schedule of half an hour.
				time.Sleep(20 * time.Minute)
				s.ended(3)
				if took := time.Since(began); took < 20*time.Minute || took > 50*time.Minute {
					t.Errorf("the next one came after %v", took)
				}
			})
		})
	}
}
