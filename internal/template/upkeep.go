package template

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"time"
)

// Defaults of how answers are kept fresh.
const (
	// DefaultInterval is how often what has no lease is read, more or less a fifth.
	DefaultInterval = 15 * time.Second

	shortestPause  = time.Second
	longestBackOff = 5 * time.Minute
	// afterRotation is how long after the time that the server told of a rotation
	// its outcome is read.
	afterRotation = 500 * time.Millisecond
)

// upkeep is when, and how, an answer is looked after.
type upkeep struct {
	leaseID   string
	from      time.Time     // of the lease
	span      time.Duration // from then on
	first     time.Duration // span when it was new
	renewable bool
	ends      time.Time // of a certificate; zero: there is none

	due      time.Time // zero: never
	failures int       // in a row
	repeats  bool      // it can be read as often as one likes, at no cost
	rotates  time.Time // the server changes it then; zero: it does not say
}

func newUpkeep(q Query, a *Answer, now time.Time) upkeep {
	u := upkeep{repeats: q.Operation != Write}
	if a.err != nil || a.secret == nil {
		return u
	}
	if a.secret.LeaseID != "" {
		u.leaseID, u.renewable = a.secret.LeaseID, a.secret.Renewable
		u.from, u.span = now, time.Duration(a.secret.LeaseDuration)*time.Second
		u.first = u.span
	}
	if end, ok := seconds(a.secret.Data["expiration"]); ok && a.secret.Data["certificate"] != nil {
		u.from, u.ends = now, time.Unix(end, 0)
	}
	if left, ok := rotationOf(a.secret.Data); ok {
		u.rotates = now.Add(left)
	}
	return u
}

// polled says whether reading again shows changes and makes no new credential.
func (u *upkeep) polled() bool { return u.repeats && u.leaseID == "" && u.ends.IsZero() }

// schedule says when to look again, after a try that has set failures.
func (u *upkeep) schedule(interval time.Duration, now time.Time) {
	switch {
	case u.failures > 0:
		u.due = now.Add(u.backOff(interval, now))
	case u.leaseID != "" && u.span > 0:
		// Jitter alone must not take it past its end.
		u.due = u.from.Add(max(min(jitter(u.span*2/3), u.span*9/10), shortestPause/2))
	case u.leaseID != "":
		u.due = time.Time{}
	case !u.ends.IsZero():
		u.due = u.from.Add(max(u.ends.Sub(u.from)*4/5, shortestPause))
	case !u.repeats:
		u.due = time.Time{}
	default:
		u.due = now.Add(jitter(interval))
		if soon := u.rotates.Add(jitter(afterRotation)); soon.After(now) && soon.Before(u.due) {
			u.due = soon
		}
	}
}

// backOff grows with each failure, and is short when a lease is about to end.
func (u *upkeep) backOff(interval time.Duration, now time.Time) time.Duration {
	pause := max(interval, shortestPause)
	for range min(u.failures-1, 16) {
		pause *= 2
	}
	pause = jitter(min(pause, max(longestBackOff, interval)))
	if u.leaseID != "" && u.span > 0 {
		if left := u.from.Add(u.span).Sub(now); left > 0 {
			pause = min(pause, max(left/3, shortestPause))
		}
	}
	return pause
}

// jitter changes a time by up to a fifth, so that many clients do not come at once.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// seconds reads a whole number of an answer.
func seconds(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return i, err == nil && i >= 0 && i < 1<<40
}

// rotationOf tells a static role of the database engine by its shape, and when its
// password is changed next.
func rotationOf(data map[string]any) (left time.Duration, ok bool) {
	if _, rotates := data["last_vault_rotation"]; !rotates {
		return 0, false
	}
	ttl, ok := seconds(data["ttl"])
	if !ok || ttl > int64(1<<32) {
		return 0, false
	}
	return max(time.Duration(ttl)*time.Second, shortestPause), true
}

// same says whether two answers hold the same.
func same(a, b *Answer) bool {
	if (a.secret == nil) != (b.secret == nil) || (a.err == nil) != (b.err == nil) {
		return false
	}
	if a.secret == nil {
		return true
	}
	x, errX := json.Marshal(a.secret.Data)
	y, errY := json.Marshal(b.secret.Data)
	return errX == nil && errY == nil && bytes.Equal(x, y) && a.secret.LeaseID == b.secret.LeaseID
}
