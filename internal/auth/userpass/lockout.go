package userpass

import (
	"cmp"
	"container/list"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// limits say when a user is locked out.
type limits struct {
	failures int           // in a row, that lock a user out
	reset    time.Duration // without a failure, after which they are forgotten
	lock     time.Duration // for which the user is locked out
	off      bool          // nobody is
}

// vaultLimits are Vault's defaults.
var vaultLimits = limits{failures: 5, reset: 15 * time.Minute, lock: 15 * time.Minute}

// limitsOf are what the mount sets, and Vault's where it sets nothing.
func limitsOf(l logical.UserLockout) limits {
	return limits{
		failures: cmp.Or(l.Threshold, vaultLimits.failures),
		reset:    cmp.Or(l.CounterReset, vaultLimits.reset),
		lock:     cmp.Or(l.Duration, vaultLimits.lock),
		off:      l.Disabled,
	}
}

// maxTracked bounds how many names a ledger remembers.
const maxTracked = 10_000

// lockout counts failed logins. Names that are no user's are counted as well, or
// being locked out would tell who is a user; but on a ledger of their own, so
// that trying many names makes no user's failures forgotten.
//
// It lives in memory, as in Vault: a restart forgets it. A change of the mount's
// settings does not, see adopt.
type lockout struct {
	limits limits
	*books
}

var _ logical.Lockout = (*lockout)(nil)

// books are what is known of names, under whatever limits.
type books struct {
	mu        sync.Mutex // guards the fields below
	users     ledger
	strangers ledger
}

func newLockout(l limits) *lockout {
	return &lockout{limits: l, books: &books{users: newLedger(), strangers: newLedger()}}
}

// adopt makes l go on with the books of the lockout before it, which may still be
// in use. It comes before any other call.
func (l *lockout) adopt(before *lockout) { l.books = before.books }

// standing says whether a name is a user's.
type standing bool

const (
	aUser     standing = true
	aStranger standing = false
)

func (b *books) ledgerLocked(s standing) *ledger {
	if s == aUser {
		return &b.users
	}
	return &b.strangers
}

// locked says whether the name is locked out.
func (l *lockout) locked(name string, s standing, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holds(l.ledgerLocked(s), name, now)
}

// holds says whether a name on book is locked out.
func (l *lockout) holds(book *ledger, name string, now time.Time) bool {
	return !l.limits.off && book.locked(name, now)
}

// judge counts a login whose password was good or not, and returns what it is
// told. Of logins at once, no more than the limit learn whether they were right:
// those that are judged after the lock are refused whatever their password is.
func (l *lockout) judge(name string, s standing, good bool, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	book := l.ledgerLocked(s)
	switch {
	case l.holds(book, name, now):
		return logical.ErrDenied
	case good:
		return nil
	case !l.limits.off:
		book.count(name, l.limits, now)
	}
	return errCredentials
}

// forget makes a user's failures undone.
func (l *lockout) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users.forget(name)
}

// Locked implements [logical.Lockout]. Names that are no user's are among them.
func (l *lockout) Locked(now time.Time) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, book := range []*ledger{&l.users, &l.strangers} {
		for name := range book.byName {
			if l.holds(book, name, now) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names) // a user may have been created meanwhile
}

// Unlock implements [logical.Lockout].
func (l *lockout) Unlock(name string) {
	name = strings.ToLower(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users.forget(name)
	l.strangers.forget(name)
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
