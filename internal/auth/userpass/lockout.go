package userpass

import (
	"cmp"
	"container/list"
	"math"
	"sync"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// limits say when a user is locked out.
type limits struct {
	failures int           // in a row, that lock a user out
	reset    time.Duration // without a failure, after which they are forgotten
	lock     time.Duration // for which the user is locked out
}

// vaultLimits are Vault's defaults.
var vaultLimits = limits{failures: 5, reset: 15 * time.Minute, lock: 15 * time.Minute}

// limitsOf are what the mount sets, and Vault's where it sets nothing.
func limitsOf(l logical.UserLockout) limits {
	set := limits{
		failures: cmp.Or(l.Threshold, vaultLimits.failures),
		reset:    cmp.Or(l.CounterReset, vaultLimits.reset),
		lock:     cmp.Or(l.Duration, vaultLimits.lock),
	}
	if l.Disabled {
		set.failures = math.MaxInt
	}
	return set
}

// maxTracked bounds how many names a ledger remembers.
const maxTracked = 10_000

// lockout counts failed logins. Names that are no user's are counted as well, or
// being locked out would tell who is a user; but on a ledger of their own, so
// that trying many names makes no user's failures forgotten.
//
// It lives in memory, as in Vault: a restart forgets it, and so does a change of
// the mount's settings.
type lockout struct {
	limits limits

	mu        sync.Mutex // guards the fields below
	users     ledger
	strangers ledger
}

func newLockout(l limits) *lockout {
	return &lockout{limits: l, users: newLedger(), strangers: newLedger()}
}

// standing says whether a name is a user's.
type standing bool

const (
	aUser     standing = true
	aStranger standing = false
)

func (l *lockout) ledgerLocked(s standing) *ledger {
	if s == aUser {
		return &l.users
	}
	return &l.strangers
}

// locked says whether the name is locked out.
func (l *lockout) locked(name string, s standing, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ledgerLocked(s).locked(name, now)
}

// judge counts a login whose password was good or not, and returns what it is
// told. Of logins at once, no more than the limit learn whether they were right:
// those that are judged after the lock are refused whatever their password is.
func (l *lockout) judge(name string, s standing, good bool, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	book := l.ledgerLocked(s)
	switch {
	case book.locked(name, now):
		return logical.ErrDenied
	case good:
		return nil
	}
	book.count(name, l.limits, now)
	return errCredentials
}

// forget makes a user's failures undone.
func (l *lockout) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users.forget(name)
}

// ledger is a bounded list of names, the one that failed last in front.
type ledger struct {
	byName map[string]*list.Element
	order  *list.List // of *record
}

type record struct {
	name     string
	failures int
	last     time.Time // of the failures
	until    time.Time // locked out; zero: never was
}

func newLedger() ledger {
	return ledger{byName: map[string]*list.Element{}, order: list.New()}
}

func (b *ledger) locked(name string, now time.Time) bool {
	e := b.byName[name]
	return e != nil && now.Before(e.Value.(*record).until)
}

// count adds a failure to a name that is not locked out.
func (b *ledger) count(name string, l limits, now time.Time) {
	e := b.byName[name]
	if e == nil {
		e = b.order.PushFront(&record{name: name})
		b.byName[name] = e
	}
	rec := e.Value.(*record)
	if !rec.until.IsZero() || now.Sub(rec.last) >= l.reset {
		*rec = record{name: name}
	}
	rec.failures++
	if now.After(rec.last) { // requests may overtake each other
		rec.last = now
	}
	if rec.failures >= l.failures {
		rec.until = now.Add(l.lock)
	}
	b.order.MoveToFront(e)
	if b.order.Len() > maxTracked {
		b.forget(b.order.Back().Value.(*record).name)
	}
}

func (b *ledger) forget(name string) {
	if e := b.byName[name]; e != nil {
		b.order.Remove(e)
		delete(b.byName, name)
	}
}
