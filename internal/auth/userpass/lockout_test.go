package userpass

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/logical/mounttest"
)

func TestTooManyFailuresLockOut(t *testing.T) {
	for name, known := range map[string]bool{"a user": true, "nobody": false} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			if known {
				h.Write("users/ann", withPassword("pw"))
			}
			h.Write("users/bob", withPassword("pw"))
			h.fails("ann", "x", vaultLimits.failures)
			h.lockedOut("Ann", "x")
			h.lockedOut("ann", "pw")
			h.mustLogin("bob", "pw")

			h.Now = mounttest.Start.Add(vaultLimits.lock - 1)
			h.lockedOut("ann", "pw")
			h.Now = mounttest.Start.Add(vaultLimits.lock)
			h.fails("ann", "x", vaultLimits.failures) // all are free again
			h.lockedOut("ann", "pw")

			h.Now = h.Now.Add(vaultLimits.lock)
			if known {
				h.mustLogin("ann", "pw")
			}
		})
	}
}

func TestFailuresAreForgotten(t *testing.T) {
	const almost = 4
	tests := []struct {
		name string
		do   func(h *house)
		free bool
	}{
		{"after a quiet time", func(h *house) { h.Now = h.Now.Add(vaultLimits.reset) }, true},
		{"not before", func(h *house) { h.Now = h.Now.Add(vaultLimits.reset - 1) }, false},
		{"by a login", func(h *house) { h.mustLogin("ann", "pw") }, true},
		{"not by the login of another", func(h *house) { h.mustLogin("bob", "pw") }, false},
		{"by a new password", func(h *house) { h.Write("users/ann/password", withPassword("pw")) }, true},
		{"by a new password of the user", func(h *house) { h.Write("users/ann", withPassword("pw")) }, true},
		{"not by another change", func(h *house) { h.Write("users/ann", `{"token_ttl": 60}`) }, false},
		{"not by a login that brings no password", func(h *house) {
			h.Refused(logical.Write, "login/ann", "", logical.ErrInvalid, "missing password")
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			h.Write("users/ann", withPassword("pw"))
			h.Write("users/bob", withPassword("pw"))
			h.fails("ann", "x", almost)
			test.do(h)
			h.fails("ann", "x", 1)
			if !test.free {
				h.lockedOut("ann", "pw")
				return
			}
			h.fails("ann", "x", almost-1)
			h.mustLogin("ann", "pw")
		})
	}
}

func TestFailuresFarApartDoNotAddUp(t *testing.T) {
	h := newHouse(t)
	h.Write("users/ann", withPassword("pw"))
	for range 3 * vaultLimits.failures {
		h.fails("ann", "x", 1)
		h.Now = h.Now.Add(vaultLimits.reset)
	}
	h.mustLogin("ann", "pw")
}

func TestANewPasswordUnlocks(t *testing.T) {
	h := newHouse(t)
	h.Write("users/ann", withPassword("pw"))
	h.fails("ann", "x", vaultLimits.failures)
	h.lockedOut("ann", "pw")
	h.Write("users/ann/password", withPassword("new"))
	h.mustLogin("ann", "new")
}

// However many guess at once, no more than the limit learn anything: neither
// that they were wrong nor that they were right.
func TestGuessesAtOnceAreCounted(t *testing.T) {
	const guesses = 60
	h := newHouse(t)
	h.Write("users/ann", withPassword("pw"))
	var told atomic.Int64
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range guesses {
		wg.Go(func() {
			<-gate
			_, err := h.login("ann", fmt.Sprint("guess", i))
			switch {
			case errors.Is(err, errCredentials):
				told.Add(1)
			case !errors.Is(err, logical.ErrDenied):
				t.Errorf("login: %v", err)
			}
		})
	}
	close(gate)
	wg.Wait()
	if got := told.Load(); got != int64(vaultLimits.failures) {
		t.Errorf("%d guesses were told, want %d", got, vaultLimits.failures)
	}
	h.lockedOut("ann", "pw")
}

// What is remembered is bounded, and names that are nobody's push out no user.
func TestTheLedgersAreBounded(t *testing.T) {
	l := newLockout(vaultLimits)
	count := func(name string, s standing) {
		if err := l.judge(name, s, false, mounttest.Start); !errors.Is(err, errCredentials) {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for range vaultLimits.failures {
		count("ann", aUser)
		count("old", aStranger)
	}
	for i := range 2 * maxTracked {
		count(fmt.Sprint("x", i), aStranger)
	}
	if got := len(l.strangers.byName); got != maxTracked || l.strangers.order.Len() != got {
		t.Errorf("%d names, %d in order", got, l.strangers.order.Len())
	}
	if !l.locked("ann", aUser, mounttest.Start.Add(time.Minute)) || l.locked("old", aStranger, mounttest.Start) {
		t.Error("a name of nobody pushed a user out, or nothing at all")
	}
}

func TestRequestsMayOvertakeEachOther(t *testing.T) {
	l := newLockout(vaultLimits)
	for i := range vaultLimits.failures {
		if err := l.judge("ann", aUser, false, mounttest.Start.Add(-time.Duration(i)*time.Second)); !errors.Is(err, errCredentials) {
			t.Fatal(err)
		}
	}
	if !l.locked("ann", aUser, mounttest.Start) {
		t.Error("not locked out")
	}
}

func TestTheMountSaysWhenUsersAreLockedOut(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  logical.UserLockout
		want limits
	}{
		{"nothing", logical.UserLockout{}, vaultLimits},
		{"the failures", logical.UserLockout{Threshold: 3}, limits{failures: 3, reset: 15 * time.Minute, lock: 15 * time.Minute}},
		{
			"all of it", logical.UserLockout{Threshold: 1, Duration: time.Hour, CounterReset: time.Minute},
			limits{failures: 1, reset: time.Minute, lock: time.Hour},
		},
		{"never", logical.UserLockout{Threshold: 3, Disabled: true}, limits{failures: 3, reset: 15 * time.Minute, lock: 15 * time.Minute, off: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := limitsOf(tt.set); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}
