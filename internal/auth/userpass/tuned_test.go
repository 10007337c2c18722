package userpass

import (
	"slices"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/logical/mounttest"
)

// tuned is what serves the mount after l did, with other settings.
func tuned(t *testing.T, l *lockout, settings logical.UserLockout) *lockout {
	t.Helper()
	engine, err := Kind.New(logical.MountPoint{UserLockout: settings})
	if err != nil {
		t.Fatal(err)
	}
	engine.Succeed(&logical.Engine{Lockout: l})
	return engine.Lockout.(*lockout)
}

func fail(l *lockout, name string, s standing, times int) {
	for range times {
		l.judge(name, s, false, mounttest.Start)
	}
}

func TestFailuresSurviveTheTuningOfTheMount(t *testing.T) {
	start := mounttest.Start
	tests := []struct {
		name     string
		before   int // failures
		settings logical.UserLockout
		after    int
		want     bool // locked out
	}{
		{"who is locked out stays so", 5, logical.UserLockout{Duration: time.Minute}, 0, true},
		{"failures add up", 4, logical.UserLockout{Duration: time.Minute}, 1, true},
		{"failures add up to no more than they are", 3, logical.UserLockout{Duration: time.Minute}, 1, false},
		{"a lower limit counts from the next failure on", 3, logical.UserLockout{Threshold: 2}, 1, true},
		{"a lower limit locks out nobody by itself", 3, logical.UserLockout{Threshold: 2}, 0, false},
		{"a higher limit unlocks nobody", 5, logical.UserLockout{Threshold: 9}, 0, true},
		{"without lockout all are free", 5, logical.UserLockout{Disabled: true}, 9, false},
	}
	for _, test := range tests {
		for who, s := range map[string]standing{"ann": aUser, "nobody": aStranger} {
			t.Run(test.name+" "+who, func(t *testing.T) {
				old := newLockout(vaultLimits)
				fail(old, who, s, test.before)
				l := tuned(t, old, test.settings)
				fail(l, who, s, test.after)
				if got := l.locked(who, s, start); got != test.want {
					t.Errorf("locked out: %t", got)
				}
			})
		}
	}
}

func TestFailuresOfCallsUnderWayDuringTheTuningCount(t *testing.T) {
	old := newLockout(vaultLimits)
	l := tuned(t, old, logical.UserLockout{})
	fail(old, "ann", aUser, 2)
	fail(l, "ann", aUser, 3)
	if !l.locked("ann", aUser, mounttest.Start) || !old.locked("ann", aUser, mounttest.Start) {
		t.Error("not locked out")
	}
}

func TestALockThatWasSwitchedOffHoldsAgainAfterwards(t *testing.T) {
	l := newLockout(vaultLimits)
	fail(l, "ann", aUser, 5)
	off := tuned(t, l, logical.UserLockout{Disabled: true})
	if names := off.Locked(mounttest.Start); names != nil {
		t.Errorf("%q are locked out", names)
	}
	fail(off, "bob", aUser, 9)
	on := tuned(t, off, logical.UserLockout{})
	if got := on.Locked(mounttest.Start); !slices.Equal(got, []string{"ann"}) {
		t.Errorf("%q are locked out", got)
	}
}

func TestAnythingElseBeforeIsIgnored(t *testing.T) {
	engine, err := Kind.New(logical.MountPoint{})
	if err != nil {
		t.Fatal(err)
	}
	engine.Succeed(&logical.Engine{})
	if names := engine.Lockout.Locked(mounttest.Start); names != nil {
		t.Errorf("%q", names)
	}
}

func TestOperatorsSeeAndUnlockWhoIsLockedOut(t *testing.T) {
	l := newLockout(vaultLimits)
	fail(l, "zoe", aUser, 5)
	fail(l, "ann", aUser, 5)
	fail(l, "nobody", aStranger, 5)
	fail(l, "bob", aUser, 4)
	// Created after the name was locked out.
	fail(l, "ann", aStranger, 5)
	if got := l.Locked(mounttest.Start); !slices.Equal(got, []string{"ann", "nobody", "zoe"}) {
		t.Errorf("%q", got)
	}
	for _, name := range []string{"Ann", "nobody", "unknown"} {
		l.Unlock(name)
	}
	if got := l.Locked(mounttest.Start); !slices.Equal(got, []string{"zoe"}) {
		t.Errorf("after unlocking: %q", got)
	}
	fail(l, "ann", aUser, 4)
	if l.locked("ann", aUser, mounttest.Start) {
		t.Error("the failures were not forgotten")
	}
	if got := l.Locked(mounttest.Start.Add(vaultLimits.lock)); got != nil {
		t.Errorf("%q are locked out for ever", got)
	}
}
