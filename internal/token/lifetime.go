package token

import (
	"fmt"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// Limits are the times a mount sets for the tokens and leases it issues.
type Limits struct {
	Default time.Duration
	Max     time.Duration
}

// Grant sets the token's lifetime at now from what it asks for (TTL, MaxTTL,
// Period, ExplicitMax) and the limits, and returns what had to be cut as
// warnings for the caller.
func (t *Token) Grant(now time.Time, l Limits) (warnings []string) {
	t.Created = now
	if t.Period == 0 && t.ExplicitMax > l.Max {
		warnings = append(warnings, fmt.Sprintf(
			"Explicit max TTL of %d seconds is greater than system/mount allowed value; value is being capped to %d seconds",
			t.ExplicitMax/time.Second, l.Max/time.Second))
		t.ExplicitMax = l.Max
	}
	if t.TTL == 0 {
		t.TTL = l.Default
	}
	ttl, more := t.allowed(now, t.TTL, l)
	t.TTL = ttl
	t.Expires = now.Add(ttl)
	return append(warnings, more...)
}

// Renew moves the end of the token's life at now. An increment of zero asks for
// the lifetime it had. It returns an error of kind logical.ErrInvalid if the
// token is not renewable, and warnings if less was given than asked for.
func (t *Token) Renew(now time.Time, increment time.Duration, l Limits) (warnings []string, err error) {
	if !t.Renewable || t.Batch() || t.Expires.IsZero() {
		return nil, logical.Invalid("lease is not renewable")
	}
	if increment == 0 {
		increment = t.TTL
	}
	if increment == 0 {
		increment = l.Default
	}
	ttl, warnings := t.allowed(now, increment, l)
	if ttl <= 0 {
		return nil, logical.Invalid("past the max TTL, cannot renew")
	}
	t.Expires, t.LastRenewal = now.Add(ttl), now
	return warnings, nil
}

// allowed is how much longer the token may live at now if it is to be ttl, zero
// or less if not at all, and what had to be cut. A period replaces what is asked
// for; only the explicit maximum ends a periodic token.
func (t *Token) allowed(now time.Time, ttl time.Duration, l Limits) (got time.Duration, warnings []string) {
	limit := l.Max
	if t.Period > 0 {
		if ttl = t.Period; ttl > l.Max {
			warnings = append(warnings, fmt.Sprintf(
				"period of %q exceeded the effective max_ttl of %q; period value is capped accordingly", ttl, l.Max))
			ttl = l.Max
		}
		if limit = t.ExplicitMax; limit == 0 {
			return ttl, warnings
		}
	}
	for _, lower := range []time.Duration{t.MaxTTL, t.ExplicitMax} {
		if lower > 0 && t.Period == 0 {
			limit = min(limit, lower)
		}
	}
	if left := t.Created.Add(limit).Sub(now); ttl > left {
		warnings = append(warnings, fmt.Sprintf(
			"TTL of %q exceeded the effective max_ttl of %q; TTL value is capped accordingly", ttl, left.Truncate(time.Second)))
		ttl = left
	}
	return ttl, warnings
}
