package core_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// pass lets time go by, and what has fallen due happen.
func (h *house) pass(d time.Duration) {
	h.clock.Add(int64(d / time.Second))
	time.Sleep(2 * time.Second) // of the bubble: some looks at the queue
	synctest.Wait()
}

func (h *house) mustAsk(op logical.Op, path, body string) string {
	h.t.Helper()
	a, err := h.ask(rootText, op, path, body)
	if err != nil {
		h.t.Fatalf("%s %s: %v", op, path, err)
	}
	return string(a.Data)
}

func TestTheDataKeyIsRotatedByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		terms := func() int { return len(h.Barrier.Terms()) }
		h.pass(1000 * time.Hour)
		if terms() != 1 {
			t.Fatalf("%d terms, though no age was set", terms())
		}
		h.mustAsk(logical.Write, "sys/rotate", "")
		h.mustAsk(logical.Write, "sys/rotate/config", `{"interval":"24h"}`)
		h.pass(24*time.Hour - time.Second)
		if terms() != 2 {
			t.Fatalf("%d terms before the time", terms())
		}
		h.pass(time.Second)
		if terms() != 3 {
			t.Fatalf("%d terms at the time", terms())
		}
		if want := `"the encryption key was rotated","reason":"age","term":3`; !strings.Contains(h.log.String(), want) {
			t.Errorf("the log does not say so: %s", h.log)
		}
		h.mustAsk(logical.Write, "sys/rotate/config", `{"enabled":false}`)
		h.pass(100 * time.Hour)
		if terms() != 3 {
			t.Errorf("%d terms though nobody wants it", terms())
		}
	})
}

func TestTheDataKeyIsRotatedByUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.mustAsk(logical.Write, "sys/rotate/config", `{"max_operations":1000000}`)
		used := storage.Put(storage.Plain("barrier")+storage.Plain("usage"), []byte(`{"v":1,"term":1,"n":999950}`))
		if _, err := h.Barrier.Apply(t.Context(), nil, []storage.Op{used}); err != nil {
			t.Fatal(err)
		}
		h.pass(time.Hour)
		if n := len(h.Barrier.Terms()); n != 1 {
			t.Fatalf("%d terms before the limit", n)
		}
		for i := range 50 {
			h.mustAsk(logical.Write, fmt.Sprintf("secret/%d", i), `{"k":"v"}`)
		}
		h.pass(5 * time.Minute)
		if n := len(h.Barrier.Terms()); n != 2 {
			t.Fatalf("%d terms at the limit", n)
		}
		if n := h.encryptions(); n > 50 {
			t.Errorf("the new key has encrypted %d values", n)
		}
	})
}

func TestRotationsThatWereMissedHappenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.mustAsk(logical.Write, "sys/rotate/config", `{"interval":"24h"}`)
		h.pass(10 * time.Minute)
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		h.pass(100 * 24 * time.Hour)
		h.Core = h.newCore()
		h.unseal()
		h.pass(0)
		h.pass(time.Hour)
		if n := len(h.Barrier.Terms()); n != 2 {
			t.Errorf("%d terms, want 2", n)
		}
		if got := h.mustAsk(logical.Read, "sys/rotate/config", ""); !strings.Contains(got, `"interval":"24h0m0s"`) {
			t.Errorf("the configuration was lost: %s", got)
		}
	})
}

func TestHowMuchTheDataKeyWasUsedOutlivesRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		before := h.encryptions()
		for i := range 300 {
			h.mustAsk(logical.Write, fmt.Sprintf("secret/%d", i), `{"k":"v"}`)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		h.Core = h.newCore()
		h.unseal()
		if got := h.encryptions(); got < before+300 {
			t.Errorf("%d, want %d more than %d", got, 300, before)
		}
	})
}

func (h *house) encryptions() uint64 {
	h.t.Helper()
	n, err := h.Barrier.Encryptions(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}
