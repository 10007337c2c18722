package secrets

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const dynamic = "vault:database/creds/app#password"

func TestLeasesAreKept(t *testing.T) {
	inHouse(t, "renewed at two thirds of their life, and revoked at the end", func(h *house) {
		s := h.open(dynamic)
		pass(130 * time.Second)
		h.wantValue(s, "p1", 1)
		h.close(s)
		if d := cmp.Diff([]string{"0 make 1 for given", "60 renew lease1", "120 renew lease1", "130 revoke lease1"}, h.requests()); d != "" {
			h.Error(d)
		}
	})
	inHouse(t, "replaced when they cannot be renewed, and revoked after a grace", func(h *house) {
		h.renewals = 1
		s := h.open(dynamic)
		pass(119 * time.Second)
		h.wantValue(s, "p1", 1)
		pass(31 * time.Second)
		h.wantValue(s, "p2", 2)
		h.close(s)
		want := []string{
			"0 make 1 for given", "60 renew lease1", "120 renew lease1", "120 make 2 for given", "150 revoke lease1", "150 revoke lease2",
		}
		if d := cmp.Diff(want, h.requests()); d != "" {
			h.Error(d)
		}
	})
	inHouse(t, "and not before their last use", func(h *house) {
		h.renewals = 0
		s := h.open(dynamic)
		_, done := s.Use()
		pass(100 * time.Second)
		if d := cmp.Diff([]string{"0 make 1 for given", "60 renew lease1", "60 make 2 for given"}, h.requests()); d != "" {
			h.Error(d)
		}
		done()
		pass(30 * time.Second)
		if got := h.requests(); len(got) == 0 || got[len(got)-1] != "130 revoke lease1" {
			h.Error(got)
		}
		h.close(s)
	})
	inHouse(t, "though the server is away for a while", func(h *house) {
		s := h.open(dynamic)
		h.change(func() { h.away = true })
		pass(65 * time.Second)
		h.change(func() { h.away = false })
		pass(10 * time.Second)
		h.wantValue(s, "p1", 1)
		h.close(s)
		if d := cmp.Diff([]string{"0 make 1 for given", "70 renew lease1", "75 revoke lease1"}, h.requests()); d != "" {
			h.Error(d)
		}
	})
	inHouse(t, "or replaced if it was away for long", func(h *house) {
		s := h.open(dynamic)
		h.change(func() { h.away = true })
		pass(10 * time.Minute)
		h.wantValue(s, "p1", 1)
		h.change(func() { h.away = false })
		pass(5 * time.Minute)
		if s.Version() != 2 {
			h.Errorf("version %d", s.Version())
		}
		h.close(s)
	})
	inHouse(t, "a refresh replaces what is not quite new", func(h *house) {
		s := h.open(dynamic)
		for _, want := range []int{1, 2} {
			if err := s.Refresh(h.Context()); err != nil || s.Version() != want {
				h.Errorf("version %d, %v", s.Version(), err)
			}
			pass(10 * time.Second)
		}
		h.close(s)
	})
}

func TestTheTokenIsReplaced(t *testing.T) {
	login := WithLogin(AppRole("approle", "r", "s"))
	inHouse(t, "when it was revoked", func(h *house) {
		s := h.open(reference, login)
		h.put("app/db", `{"password":"p2"}`)
		h.change(func() { delete(h.tokens, "token1") })
		pass(15 * time.Second)
		h.wantValue(s, "p2", 2)
		h.close(s)
		if len(h.errs) != 0 || len(h.tokens) != 1 {
			h.Error(h.errs, h.tokens)
		}
	})
	inHouse(t, "and what was leased to the old one, too", func(h *house) {
		s := h.open(dynamic, login)
		h.change(func() { delete(h.tokens, "token1") })
		pass(60 * time.Second)
		h.wantValue(s, "p2", 2)
		h.close(s)
		want := []string{
			"0 login", "0 make 1 for token1", "60 login", "60 make 2 for token2", "60 revoke token2",
		}
		if d := cmp.Diff(want, h.requests()); d != "" {
			h.Error(d)
		}
	})
	inHouse(t, "for weeks", func(h *house) {
		h.life = 1800
		s := h.open(reference, login, WithInterval(time.Hour))
		for day := 2; day < 23; day++ {
			h.put("app/db", `{"password":"p2"}`)
			pass(12 * time.Hour)
			h.change(func() { clear(h.tokens) })
			pass(12 * time.Hour)
			if s.Version() != day || s.Err() != nil {
				h.Fatalf("day %d: version %d, %v", day, s.Version(), s.Err())
			}
		}
		h.close(s)
		if n := len(s.group.settings.session.earned); n > 3 {
			h.Errorf("%d tokens are remembered", n)
		}
	})
	inHouse(t, "a session is shared, and closed by who made it", func(h *house) {
		session := NewSession(h.client, AppRole("approle", "r", "s"), nil)
		if err := session.Login(h.Context()); err != nil {
			h.Fatal(err)
		}
		opts := []Option{WithSession(session), exactly, WithInstance("me")}
		a, err := Open(h.Context(), reference, opts...)
		if err != nil {
			h.Fatal(err)
		}
		pass(0)
		b, err := Open(h.Context(), dynamic, opts...)
		if err != nil {
			h.Fatal(err)
		}
		pass(time.Second)
		h.close(a)
		h.close(b)
		h.close(session)
		want := []string{
			"0 login", "0 health ", "0 uses 1 of secret/data/app/db as me", "0 make 1 for token1",
			"1 uses 0 of secret/data/app/db as me", "1 revoke lease1", "1 revoke token1",
		}
		got := h.requests()
		if d := cmp.Diff(want, got); d != "" {
			h.Error(d)
		}
	})
}
