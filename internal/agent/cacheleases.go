package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// schedule says when the lease is looked after.
func (e *cached) schedule() {
	e.due = e.from.Add(e.span * 9 / 10)
	if e.renewable {
		e.due = e.from.Add(e.span * 2 / 3)
	}
}

// next returns when the first lease is to be looked after; zero: there is none.
func (c *cache) next() (next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		if next.IsZero() || e.due.Before(next) {
			next = e.due
		}
	}
	return next
}

// lookAfter renews what is due and forgets what cannot be renewed: the next who asks
// gets another credential. Who has the old one keeps it until its end.
func (c *cache) lookAfter(ctx context.Context) {
	now := time.Now()
	due := map[requestKey]*cached{}
	c.mu.Lock()
	for key, e := range c.entries {
		if e.due.After(now) {
			continue
		}
		if !e.renewable {
			c.removeLocked(key)
			continue
		}
		due[key] = e
	}
	c.mu.Unlock()
	for key, e := range due {
		span, renewable := c.renew(ctx, e)
		c.mu.Lock()
		switch {
		case c.entries[key] != e: // it was forgotten meanwhile
		case span <= e.first/3:
			c.removeLocked(key)
		default:
			e.from, e.span, e.renewable = time.Now(), span, renewable
			e.schedule()
		}
		c.mu.Unlock()
	}
}

// renew returns how long the lease lives; zero: it is not known.
func (c *cache) renew(ctx context.Context, e *cached) (span time.Duration, renewable bool) {
	to := c.client
	if e.namespace != "" {
		to = to.WithNamespace(e.namespace)
	}
	answer, err := to.Write(ctx, "sys/leases/renew", map[string]any{"lease_id": e.leaseID, "increment": int(e.first / time.Second)})
	if err != nil || answer == nil {
		return 0, false
	}
	return time.Duration(answer.LeaseDuration) * time.Second, answer.Renewable
}

// ending is what a request ends, or changes, if it succeeds.
type ending struct {
	leaseID string // that lease
	prefix  string // everything below, as a path
	all     bool
}

// end forgets what has ended.
func (c *cache) end(what *ending) {
	c.evict(func(e *cached) bool {
		return what.all || what.leaseID != "" && e.leaseID == what.leaseID ||
			what.prefix != "" && (strings.HasPrefix(e.leaseID, what.prefix) || strings.HasPrefix(e.path+"/", what.prefix))
	})
}

// prefixes are paths below which is named what ends, as a path too.
var prefixes = []struct{ under, becomes string }{
	{"sys/leases/revoke-prefix/", ""}, {"sys/revoke-prefix/", ""},
	{"sys/leases/revoke-force/", ""}, {"sys/revoke-force/", ""},
	{"sys/mounts/", ""}, {"sys/auth/", "auth/"},
}

// leasePaths are those that end or renew one lease, whose id is in the body or
// behind. Who renews a lease himself looks after it.
var leasePaths = []string{"sys/leases/revoke", "sys/revoke", "sys/leases/renew", "sys/renew"}

// endingOf says what a request is about to end; nil: nothing.
func endingOf(method, path string, body []byte) *ending {
	if method == http.MethodGet || method == http.MethodHead || method == "LIST" {
		return nil
	}
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(path, p.under); ok {
			return &ending{prefix: p.becomes + strings.Trim(rest, "/")}
		}
	}
	for _, p := range leasePaths {
		rest, ok := strings.CutPrefix(path, p)
		if !ok || rest != "" && rest[0] != '/' {
			continue
		}
		if rest = strings.Trim(rest, "/"); rest != "" {
			return &ending{leaseID: rest}
		}
		var in struct {
			LeaseID string `json:"lease_id"`
		}
		if json.Unmarshal(body, &in) != nil || in.LeaseID == "" {
			return nil
		}
		return &ending{leaseID: in.LeaseID}
	}
	switch {
	case strings.HasPrefix(path, "auth/token/revoke"), strings.HasPrefix(path, "sys/remount"), path == "sys/seal":
		return &ending{all: true} // it may be the agent's own token, or its parent
	}
	return nil
}
