package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const reference = "vault:secret/app/db#password"

func TestASecretIsFollowed(t *testing.T) {
	inHouse(t, "a new version comes with the next poll", func(h *house) {
		s := h.open(reference)
		h.wantValue(s, "p1", 1)
		h.put("app/db", `{"password":"p2"}`)
		pass(14 * time.Second)
		h.wantValue(s, "p1", 1)
		pass(time.Second)
		h.wantValue(s, "p2", 2)
		h.close(s)
	})
	inHouse(t, "a refresh brings it at once", func(h *house) {
		s := h.open(reference)
		h.put("app/db", `{"password":"p2"}`)
		if err := s.Refresh(h.Context()); err != nil {
			h.Error(err)
		}
		h.wantValue(s, "p2", 2)
		h.close(s)
		if err := s.Refresh(h.Context()); !errors.Is(err, ErrClosed) {
			h.Errorf("after the end: %v", err)
		}
		h.wantValue(s, "p2", 2)
	})
	inHouse(t, "a stale value is better than none, and one is told", func(h *house) {
		s := h.open(reference)
		pass(0)
		h.change(func() { h.away = true })
		pass(time.Hour)
		h.wantValue(s, "p1", 1)
		if s.Err() == nil || len(h.errs) != 1 {
			h.Errorf("%v, told %q", s.Err(), h.errs)
		}
		h.change(func() { h.away, h.reads = false, 0 })
		h.put("app/db", `{"password":"p2"}`)
		pass(5 * time.Minute)
		h.wantValue(s, "p2", 2)
		if s.Err() != nil {
			h.Error(s.Err())
		}
		h.close(s)
	})
	inHouse(t, "a server that is away is asked ever less", func(h *house) {
		s := h.open(reference)
		h.change(func() { h.away = true })
		pass(15 * time.Second) // the first failure; then 15, 30, 60, 120, 240, 300 seconds
		h.change(func() { h.away = false; delete(h.secrets, "app/db"); h.reads = 0 })
		pass((15 + 30 + 60 + 120 + 240 + 300 + 300) * time.Second)
		h.change(func() {
			if h.reads != 7 {
				h.Errorf("%d reads", h.reads)
			}
		})
		h.close(s)
	})
	inHouse(t, "a version without the field is refused", func(h *house) {
		s := h.open(reference)
		h.put("app/db", `{"other":"x"}`)
		pass(time.Minute)
		h.wantValue(s, "p1", 1)
		if err := s.Err(); !errors.Is(err, ErrAbsent) {
			h.Error(err)
		}
		h.put("app/db", `{"password":"p3"}`)
		pass(5 * time.Minute)
		h.wantValue(s, "p3", 3)
		h.close(s)
	})
	inHouse(t, "a text with several references", func(h *house) {
		s := h.open("${vault:secret/app/db#username}:${vault:secret/app/db#password}")
		h.wantValue(s, "u1:p1", 1)
		h.put("app/db", `{"username":"u2","password":"p2"}`)
		pass(15 * time.Second)
		h.wantValue(s, "u2:p2", 2)
		h.close(s)
	})
	inHouse(t, "what has no versions counts its changes", func(h *house) {
		h.plain["database/static-creds/x"] = `{"username":"x","password":"s1","last_vault_rotation":"a","ttl":7}`
		s := h.open("vault:database/static-creds/x#password", WithInterval(time.Hour))
		h.wantValue(s, "s1", 1)
		h.change(func() {
			h.plain["database/static-creds/x"] = `{"username":"x","password":"s2","last_vault_rotation":"b","ttl":7}`
		})
		pass(7 * time.Second) // when the rotation is due, and a little later
		h.wantValue(s, "s1", 1)
		pass(time.Second)
		h.wantValue(s, "s2", 2)
		pass(time.Minute)
		h.wantValue(s, "s2", 2)
		h.close(s)
	})
	inHouse(t, "a default for what is absent, until it is there", func(h *house) {
		s := h.open("vault:secret/none?default=d#k")
		h.wantValue(s, "d", 1)
		h.put("none", `{"k":"v"}`)
		pass(15 * time.Second)
		h.wantValue(s, "v", 1)
		h.close(s)
	})
}

func TestOpenFails(t *testing.T) {
	inHouse(t, "without the secret", func(h *house) {
		_, err := Open(h.Context(), "vault:secret/none#k", h.options()...)
		if !errors.Is(err, ErrAbsent) {
			h.Error(err)
		}
	})
	inHouse(t, "without a server, and gives the token back", func(h *house) {
		h.secrets = nil
		_, err := Open(h.Context(), reference, h.options(WithLogin(AppRole("approle", "r", "s")))...)
		if !errors.Is(err, ErrAbsent) {
			h.Error(err)
		}
		if d := cmp.Diff([]string{"0 login", "0 revoke token1"}, h.requests()); d != "" {
			h.Error(d)
		}
	})
	inHouse(t, "with what is no reference", func(h *house) {
		for _, text := range []string{"vault:x", "${vault:x}"} {
			if _, err := Open(h.Context(), text, h.options()...); err == nil {
				h.Error(text)
			}
			if _, err := OpenGroup(h.Context(), map[string]string{"a": text}, h.options()...); err == nil || !strings.Contains(err.Error(), "a: ") {
				h.Error(text, err)
			}
		}
	})
	inHouse(t, "with options that contradict", func(h *house) {
		session := NewSession(h.client, nil, nil)
		for _, opts := range [][]Option{{WithSession(session), WithClient(h.client)}, {WithClient(h.client), WithInterval(-1)}} {
			if _, err := Open(h.Context(), reference, opts...); err == nil {
				h.Error("no error")
			}
		}
	})
}

func TestChangesAreTold(t *testing.T) {
	inHouse(t, "once each, in order, the newest first", func(h *house) {
		s := h.open(reference)
		var got []int
		s.OnChange(func(_ context.Context, v Value) error {
			got = append(got, v.Version())
			if v.Version() == 2 {
				time.Sleep(50 * time.Second) // 3 and 4 come meanwhile
			}
			return nil
		})
		for i := 2; i <= 5; i++ {
			h.put("app/db", fmt.Sprintf(`{"password":"p%d"}`, i))
			pass(20 * time.Second)
		}
		pass(time.Minute)
		if d := cmp.Diff([]int{2, 4, 5}, got); d != "" {
			h.Error(d)
		}
		h.close(s)
	})
	inHouse(t, "again if it is refused, and acknowledged when all have it", func(h *house) {
		s := h.open(reference)
		var got []string
		s.OnChange(func(context.Context, Value) error {
			got = append(got, "bad")
			if len(got) < 4 {
				return errors.New("not now")
			}
			return nil
		})
		cancel := s.OnChange(func(context.Context, Value) error { got = append(got, "good"); return nil })
		pass(0)
		h.put("app/db", `{"password":"p2"}`)
		pass(time.Minute)
		if d := cmp.Diff([]string{"bad", "good", "bad", "bad"}, got); d != "" {
			h.Error(d)
		}
		cancel()
		h.put("app/db", `{"password":"p3"}`)
		pass(15 * time.Second)
		want := []string{
			"0 health ", "0 uses 1 of secret/data/app/db as me", "18 uses 2 of secret/data/app/db as me", "75 uses 3 of secret/data/app/db as me",
			"75 uses 0 of secret/data/app/db as me",
		}
		h.close(s)
		if d := cmp.Diff(want, h.requests()); d != "" {
			h.Error(d)
		}
	})
	inHouse(t, "never before it is used no more", func(h *house) {
		s := h.open(reference)
		pass(0)
		v, done := s.Use()
		h.put("app/db", `{"password":"p2"}`)
		pass(time.Minute)
		h.wantValue(s, "p2", 2)
		if v.Reveal() != "p1" {
			h.Error("what is in use has changed")
		}
		done()
		done()
		pass(0)
		if got := h.requests(); got[len(got)-1] != "60 uses 2 of secret/data/app/db as me" {
			h.Error(got)
		}
		h.close(s)
	})
	inHouse(t, "not to a server of another make", func(h *house) {
		h.version = "1.19.0"
		s := h.open(reference)
		h.put("app/db", `{"password":"p2"}`)
		pass(time.Hour)
		h.close(s)
		if d := cmp.Diff([]string{"0 health "}, h.requests()); d != "" {
			h.Error(d)
		}
	})
	inHouse(t, "not if the application does not want it", func(h *house) {
		s := h.open(reference, WithoutAcknowledgement())
		pass(time.Hour)
		h.close(s)
		if d := cmp.Diff([]string{"0 health "}, h.requests()); d != "" {
			h.Error(d) // whether there are events was asked
		}
	})
	inHouse(t, "once to a server that refuses it", func(h *house) {
		h.mayAck = 403
		s := h.open(reference)
		pass(time.Hour)
		if len(h.requests()) != 2 || len(h.errs) != 1 {
			h.Error(h.errs)
		}
		h.close(s)
	})
	inHouse(t, "until a server that fails has heard it", func(h *house) {
		h.mayAck = 500
		s := h.open(reference)
		pass(2 * time.Second)
		h.change(func() { h.mayAck = 0 })
		pass(time.Minute)
		want := []string{"0 health ", "0 uses 1 of secret/data/app/db as me", "1 uses 1 of secret/data/app/db as me", "3 uses 1 of secret/data/app/db as me"}
		if d := cmp.Diff(want, h.requests()); d != "" || len(h.errs) != 1 {
			h.Error(d, h.errs)
		}
		h.close(s)
	})
}

func TestAGroupReadsAPathOnce(t *testing.T) {
	inHouse(t, "two fields, one read, one version", func(h *house) {
		g, err := OpenGroup(h.Context(), map[string]string{
			"username": "vault:secret/app/db#username", "password": "vault:secret/data/app/db#password",
			"role": "vault:database/creds/app#username", "none": "vault:secret/none?optional#k",
		}, h.options()...)
		if err != nil {
			h.Fatal(err)
		}
		h.change(func() {
			if h.reads != 3 {
				h.Errorf("%d reads", h.reads)
			}
		})
		if _, ok := g.Snapshot().Lookup("none"); ok {
			h.Error("there is something absent")
		}
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				s := g.Snapshot()
				if s.Value("username").Reveal()[1:] != s.Value("password").Reveal()[1:] {
					h.Error("torn")
				}
			}
		}()
		for i := 2; i < 9; i++ {
			h.put("app/db", fmt.Sprintf(`{"username":"u%[1]d","password":"p%[1]d"}`, i))
			pass(15 * time.Second)
			if s := g.Snapshot(); s.Value("password").Version() != i {
				h.Errorf("version %d", s.Value("password").Version())
			}
		}
		close(stop)
		h.close(g)
	})
}

func TestValuesDoNotPrintThemselves(t *testing.T) {
	inHouse(t, "under any verb", func(h *house) {
		s := h.open(reference)
		all := s.group.Snapshot()
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			for _, what := range []any{s.Value(), &all, all, s, struct{ v Value }{s.Value()}, AppRole("a", "p1", "p1")} {
				if text := fmt.Sprintf(verb, what); strings.Contains(text, "p1") || strings.Contains(text, "7031") {
					h.Errorf("%s prints %s", verb, text)
				}
			}
		}
		if _, err := json.Marshal(s.Value()); !errors.Is(err, ErrMarshal) {
			h.Error(err)
		}
		if text := s.Value().LogValue().String(); text != "[secret]" {
			h.Error(text)
		}
		if !s.Value().Equal(s.Value()) || s.Value().Equal(Value{}) || (Value{}).Reveal() != "" {
			h.Error("comparison")
		}
		h.close(s)
	})
}
