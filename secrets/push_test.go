package secrets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// withPush is inHouse with a server that has events.
func withPush(t *testing.T, name string, fn func(h *house)) {
	t.Helper()
	inHouse(t, name, func(h *house) {
		h.noPush = 0
		fn(h)
		pass(time.Second)
		if n := h.subscriptions(); n != 0 {
			h.Errorf("%d subscriptions are left over", n)
		}
	})
}

// subscriptions counts those that stand.
func (h *house) subscriptions() (n int) {
	h.asked = append(h.asked, h.requests()...)
	h.change(func() {
		for w := range h.watchers {
			if w.gone.Load() {
				delete(h.watchers, w)
			}
		}
		n = len(h.watchers)
	})
	return n
}

// subscribed returns what was subscribed to, and forgets it.
func (h *house) subscribed() (seen []string) {
	for _, request := range append(h.asked, h.requests()...) {
		if strings.Contains(request, "subscribe") {
			seen = append(seen, request)
		}
	}
	h.asked = nil
	return seen
}

func (h *house) wantReads(want int, what string) {
	h.Helper()
	h.change(func() {
		if h.reads != want {
			h.Errorf("%s: %d reads, want %d", what, h.reads, want)
		}
		h.reads = 0
	})
}

func TestAChangeIsPushed(t *testing.T) {
	withPush(t, "at once, and hardly ever is anything asked for", func(h *house) {
		s := h.open(reference)
		pass(0)
		if !s.group.Pushed() {
			h.Error("nothing is pushed")
		}
		h.wantReads(2, "the first value, and whether it was still new when the subscription stood")
		h.put("app/db", `{"password":"p2"}`)
		pass(0)
		h.wantValue(s, "p2", 2)
		h.wantReads(1, "the new value")
		pass(299 * time.Second)
		h.wantReads(0, "nothing happens")
		pass(time.Second)
		h.wantReads(1, "to be safe")
		h.put("other", `{}`)
		pass(0)
		h.wantReads(0, "somebody else's secret")
		h.close(s)
	})
	withPush(t, "what happens before the subscription stands is seen", func(h *house) {
		s := h.open(reference)
		h.put("app/db", `{"password":"p2"}`) // the goroutine that subscribes has not begun
		pass(0)
		h.wantValue(s, "p2", 2)
		h.close(s)
	})
	withPush(t, "many changes at once are few reads", func(h *house) {
		s := h.open(reference)
		pass(0)
		h.change(func() { h.reads = 0 })
		h.change(func() {
			for i := range 500 {
				h.secrets["app/db"] = append(h.secrets["app/db"], fmt.Sprintf(`{"password":"v%d"}`, i))
				h.happen("kv-v2/data-write", "secret/data/app/db")
			}
		})
		pass(0)
		h.wantValue(s, "v499", 501)
		h.change(func() {
			if h.reads > 3 {
				h.Errorf("%d reads", h.reads)
			}
		})
		h.close(s)
	})
	withPush(t, "and that a version is deleted, which leaves the value", func(h *house) {
		s := h.open(reference)
		pass(0)
		h.change(func() {
			h.secrets["app/db"][0] = "null"
			h.happen("kv-v2/data-delete", "secret/data/app/db")
		})
		pass(0)
		h.wantValue(s, "p1", 1)
		h.close(s)
	})
	withPush(t, "the password of a static role", func(h *house) {
		h.plain["database/static-creds/x"] = `{"username":"x","password":"s1","last_vault_rotation":"a","ttl":3600}`
		s := h.open("vault:database/static-creds/x#password")
		pass(0)
		if d := cmp.Diff([]string{"0 subscribe * since 0"}, h.subscribed()); d != "" {
			h.Error(d)
		}
		h.change(func() {
			h.plain["database/static-creds/x"] = `{"username":"x","password":"s2","last_vault_rotation":"b","ttl":3600}`
			h.happen("database/rotate", "database/static-roles/x")
		})
		pass(0)
		h.wantValue(s, "s2", 2)
		h.close(s)
	})
}

func TestGroupsOfASessionShareASubscription(t *testing.T) {
	withPush(t, "with another filter when one joins, from where it was", func(h *house) {
		h.put("a", `{"k":"a1"}`)
		h.put("b", `{"k":"b1"}`)
		session := NewSession(h.client, nil, nil)
		a, err := Open(h.Context(), "vault:secret/a#k", exactly, WithSession(session))
		if err != nil {
			h.Fatal(err)
		}
		pass(0)
		b, err := Open(h.Context(), "vault:secret/b#k", exactly, WithSession(session))
		if err != nil {
			h.Fatal(err)
		}
		pass(0)
		if d := cmp.Diff([]string{"0 subscribe kv-v2/* since 0", "0 subscribe kv-v2/* since 2"}, h.subscribed()); d != "" {
			h.Error(d)
		}
		if n := h.subscriptions(); n != 1 {
			h.Errorf("%d subscriptions", n)
		}
		h.put("a", `{"k":"a2"}`)
		h.put("b", `{"k":"b2"}`)
		pass(0)
		h.wantValue(a, "a2", 2)
		h.wantValue(b, "b2", 2)
		h.close(a)
		h.put("b", `{"k":"b3"}`)
		pass(0)
		h.wantValue(b, "b3", 3)
		h.close(b)
		h.close(session)
	})
}

func TestWithoutPushTheServerIsPolled(t *testing.T) {
	inHouse(t, "that has no events, and is not asked again", func(h *house) {
		s := h.open(reference)
		pass(time.Hour)
		if s.group.Pushed() {
			h.Error("it says that it is pushed")
		}
		h.put("app/db", `{"password":"p2"}`)
		pass(15 * time.Second)
		h.wantValue(s, "p2", 2)
		h.close(s)
	})
	inHouse(t, "that is no coffer, and sees nothing of it", func(h *house) {
		h.version, h.noPush = "1.19.0", 0
		s := h.open("${vault:secret/app/db#username}${vault:secret/none?optional#k}")
		pass(time.Hour)
		if d := cmp.Diff([]string{"0 health "}, h.requests()); d != "" {
			h.Error(d)
		}
		h.change(func() {
			if h.batches > 0 {
				h.Error("it was asked for a batch")
			}
		})
		h.close(s)
	})
	withPush(t, "until it can say what it is, and then it pushes", func(h *house) {
		h.badHealth = 502
		s := h.open(reference)
		h.put("app/db", `{"password":"p2"}`)
		pass(15 * time.Second)
		h.wantValue(s, "p2", 2)
		h.change(func() { h.badHealth = 0 })
		pass(16 * time.Second)
		if !s.Pushed() {
			h.Error("nothing is pushed")
		}
		h.close(s)
		h.wantAcknowledged("31 uses 2 of secret/data/app/db as me", "31 uses 0 of secret/data/app/db as me")
	})
	withPush(t, "as one may not have the events of a path", func(h *house) {
		h.noEvents["secret/data/app/db"] = true
		s := h.open(reference)
		pass(0)
		if s.group.Pushed() {
			h.Error("it says that it is pushed")
		}
		h.change(func() { h.secrets["app/db"] = append(h.secrets["app/db"], `{"password":"p2"}`) })
		pass(15 * time.Second)
		h.wantValue(s, "p2", 2)
		h.close(s)
	})
	withPush(t, "as a poll has found what no event had told of", func(h *house) {
		s := h.open(reference)
		pass(0)
		h.change(func() { h.secrets["app/db"] = append(h.secrets["app/db"], `{"password":"p2"}`) })
		pass(5 * time.Minute)
		h.wantValue(s, "p2", 2)
		if s.group.Pushed() {
			h.Error("it is trusted still")
		}
		h.change(func() { h.secrets["app/db"] = append(h.secrets["app/db"], `{"password":"p3"}`) })
		pass(15 * time.Second)
		h.wantValue(s, "p3", 3)
		h.put("app/db", `{"password":"p4"}`)
		pass(0)
		h.wantValue(s, "p4", 4)
		if !s.group.Pushed() {
			h.Error("it is not trusted again")
		}
		h.close(s)
	})
	withPush(t, "on request", func(h *house) {
		s := h.open(reference, WithoutPush())
		pass(time.Minute)
		if seen := h.subscribed(); seen != nil || s.Pushed() {
			h.Error(seen, s.Pushed())
		}
		h.close(s)
	})
	inHouse(t, "while a subscription is denied, which is asked for again", func(h *house) {
		h.noPush = 403
		s := h.open(reference)
		pass(time.Minute)
		h.change(func() { h.noPush = 0 })
		pass(4 * time.Minute)
		if !s.group.Pushed() {
			h.Error("nothing is pushed")
		}
		h.close(s)
	})
}

func TestPushGoesOnAfterABreak(t *testing.T) {
	withPush(t, "without a gap", func(h *house) {
		h.change(func() { h.revision = 10 })
		s := h.open(reference)
		pass(0)
		h.change(func() { h.happen("kv-v2/data-write", "secret/data/app/db") })
		pass(0)
		h.change(func() { h.away = true })
		h.cut()
		pass(0)
		if s.group.Pushed() {
			h.Error("it says that it is pushed")
		}
		h.put("app/db", `{"password":"p2"}`)
		h.change(func() { h.away = false })
		pass(5 * time.Second)
		h.wantValue(s, "p2", 2)
		if seen := h.subscribed(); len(seen) != 2 || !strings.HasSuffix(seen[1], "since 10") {
			h.Error(seen)
		}
		h.close(s)
	})
	withPush(t, "which the server has forgotten: all is read", func(h *house) {
		h.change(func() { h.revision = 10 })
		s := h.open(reference)
		pass(0)
		h.change(func() {
			h.secrets["app/db"] = append(h.secrets["app/db"], `{"password":"p2"}`)
			h.forgotten = 100
		})
		h.cut()
		pass(10 * time.Second)
		h.wantValue(s, "p2", 2)
		h.close(s)
	})
	withPush(t, "and with another token when the first has ended", func(h *house) {
		s := h.open(reference, WithLogin(AppRole("approle", "r", "s")))
		pass(0)
		h.change(func() { delete(h.tokens, "token1") })
		h.cut()
		pass(time.Second)
		h.put("app/db", `{"password":"p2"}`)
		pass(0)
		h.wantValue(s, "p2", 2)
		h.close(s)
	})
}

func TestTheServerIsToldWhatAPushBrought(t *testing.T) {
	withPush(t, "when the application has it, and that it has gone", func(h *house) {
		s := h.open(reference)
		var ready atomic.Bool
		s.OnChange(func(context.Context, Value) error {
			if ready.Load() {
				return nil
			}
			return errors.New("not yet")
		})
		pass(0)
		h.put("app/db", `{"password":"p2"}`)
		pass(0)
		h.wantAcknowledged("0 uses 1 of secret/data/app/db as me")
		ready.Store(true)
		pass(time.Second)
		h.close(s)
		h.wantAcknowledged("1 uses 2 of secret/data/app/db as me", "1 uses 0 of secret/data/app/db as me")
	})
}

func (h *house) wantAcknowledged(want ...string) {
	h.Helper()
	got := slices.DeleteFunc(h.requests(), func(r string) bool { return !strings.Contains(r, "uses") })
	if d := cmp.Diff(want, got); d != "" {
		h.Error(d)
	}
}

func TestManyReferencesAreFewRequests(t *testing.T) {
	references := map[string]string{}
	for i := range 100 {
		references[fmt.Sprint(i)] = fmt.Sprintf("vault:secret/many/%d#k", i)
	}
	inHouse(t, "at the start, and for each poll, which answers with what is new", func(h *house) {
		for i := range 100 {
			h.put(fmt.Sprintf("many/%d", i), `{"k":"v"}`)
		}
		g, err := OpenGroup(h.Context(), references, h.options()...)
		if err != nil {
			h.Fatal(err)
		}
		h.put("many/7", `{"k":"w"}`)
		pass(15 * time.Second)
		h.change(func() {
			if h.batches != 4 || h.same != 99 {
				h.Errorf("%d batches, %d answers not modified", h.batches, h.same)
			}
		})
		if v := g.Snapshot().Value("7"); v.Reveal() != "w" || g.Snapshot().Generation() != 2 {
			h.Errorf("generation %d", g.Snapshot().Generation())
		}
		h.close(g)
	})
	inHouse(t, "and all that is missing is told", func(h *house) {
		_, err := OpenGroup(h.Context(), references, h.options()...)
		failed := new(ResolveError)
		if !errors.As(err, &failed) || len(failed.Failures) != 100 || !errors.Is(err, ErrAbsent) {
			h.Error(err)
		}
	})
}
