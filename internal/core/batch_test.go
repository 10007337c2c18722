package core_test

import (
	"errors"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// batchLogin logs in at a door whose tokens are batch tokens, and returns one.
func (h *house) batchLogin(path string) string {
	h.t.Helper()
	a, err := h.ask("", logical.Write, "auth/"+path+"/login", `{}`)
	if err != nil {
		h.t.Fatal(err)
	}
	return a.Auth.ClientToken
}

// alive says whether a token is good.
func (h *house) alive(token string) bool {
	h.t.Helper()
	_, err := h.ask(token, logical.Read, "auth/token/lookup-self", "")
	if err != nil && !errors.Is(err, logical.ErrDenied) {
		h.t.Fatal(err)
	}
	return err == nil
}

// newDoor makes an auth method whose tokens are batch tokens.
func (h *house) newDoor(path string) {
	h.t.Helper()
	h.mustAsk(logical.Write, "sys/auth/"+path, `{"type":"door","config":{"token_type":"batch"}}`)
}

func (h *house) tick() { h.clock.Add(1) }

func TestBatchTokensEndWithWhatTheyCameFrom(t *testing.T) {
	tests := []struct {
		name string
		do   func(h *house)
		ends bool
	}{
		{"the method is disabled", func(h *house) { h.mustAsk(logical.Delete, "sys/auth/gate", "") }, true},
		{"the method is disabled and another takes its place", func(h *house) {
			h.mustAsk(logical.Delete, "sys/auth/gate", "")
			h.newDoor("gate")
		}, true},
		{"the method moves", func(h *house) { h.mustAsk(logical.Write, "sys/remount", `{"from":"auth/gate","to":"auth/moved"}`) }, true},
		{"the method is tuned", func(h *house) { h.mustAsk(logical.Write, "sys/auth/gate/tune", `{"description":"x"}`) }, false},
		{"all below it is revoked", func(h *house) { h.mustAsk(logical.Write, "sys/leases/revoke-prefix/auth/gate", "") }, true},
		{"all below it is revoked by force", func(h *house) { h.mustAsk(logical.Write, "sys/leases/revoke-force/auth/gate/", "") }, true},
		{"all logins are revoked", func(h *house) { h.mustAsk(logical.Write, "sys/leases/revoke-prefix/auth/gate/login", "") }, true},
		{"all of all methods is revoked", func(h *house) { h.mustAsk(logical.Write, "sys/leases/revoke-prefix/auth", "") }, true},
		{"another method is revoked", func(h *house) { h.mustAsk(logical.Write, "sys/leases/revoke-prefix/auth/door", "") }, false},
		{"another path is revoked", func(h *house) { h.mustAsk(logical.Write, "sys/leases/revoke-prefix/auth/gate/log", "") }, false},
		{"leases are revoked", func(h *house) { h.mustAsk(logical.Write, "sys/leases/revoke-prefix/lend", "") }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			h.newDoor("gate")
			batch := h.batchLogin("gate")
			if !h.alive(batch) {
				t.Fatal("no good from the start")
			}
			h.tick()
			test.do(h)
			if got := h.alive(batch); got == test.ends {
				t.Errorf("alive: %t", got)
			}
			if err := h.Close(); err != nil {
				t.Fatal(err)
			}
			h.Core = h.newCore()
			h.unseal()
			if got := h.alive(batch); got == test.ends {
				t.Errorf("alive after a restart: %t", got)
			}
		})
	}
}

func TestBatchTokensOfLaterAreGood(t *testing.T) {
	h := newHouse(t)
	h.newDoor("gate")
	h.mustAsk(logical.Write, "sys/leases/revoke-prefix/auth/gate", "")
	h.tick()
	if batch := h.batchLogin("gate"); !h.alive(batch) {
		t.Error("no good")
	}
}

func TestBatchTokensEndWithTheirParent(t *testing.T) {
	h := newHouse(t)
	create := func(token, body string) string {
		a, err := h.ask(token, logical.Write, "auth/token/create", body)
		if err != nil {
			t.Fatal(err)
		}
		return a.Auth.ClientToken
	}
	parent := create(rootText, `{"ttl":"1h"}`)
	batch := create(parent, `{"type":"batch","ttl":"1h"}`)
	if !h.alive(batch) {
		t.Fatal("no good from the start")
	}
	h.mustAsk(logical.Write, "auth/token/revoke", `{"token":"`+parent+`"}`)
	if h.alive(batch) {
		t.Error("alive after its parent")
	}
}

func TestOnePathTakesAlongThoseBelowIt(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{"auth/door/login/a", "auth/door/login/b", "auth/doorway", "auth/door", "auth/door/login/c"} {
		h.mustAsk(logical.Write, "sys/leases/revoke-prefix/"+path, "")
		h.tick()
	}
	n := 0
	err := storage.View(t.Context(), h.Barrier, func(tx *storage.Tx) error {
		table := storage.Plain("conf") + storage.Plain("root") + storage.Plain("void")
		for _, err := range tx.Scan(t.Context(), table, "") {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil || n != 3 {
		t.Errorf("%d rows, %v, want 3", n, err)
	}
}
