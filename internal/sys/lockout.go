package sys

import (
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
)

// lockoutType is the one type of mount that locks users out.
const lockoutType = "userpass"

// lockoutFields stand in user_lockout_config. The counter's time has two names:
// the documentation's, and that of Vault's own clients.
var lockoutFields = logical.Fields{
	"lockout_threshold":              {Type: logical.Int, Help: "Failures in a row that lock a user out; 0: 5."},
	"lockout_duration":               {Type: logical.Duration, Help: "Time for which a user is locked out; 0: 15 minutes."},
	"lockout_counter_reset":          {Type: logical.Duration, Help: "Time without a failure, after which they are forgotten; 0: 15 minutes."},
	"lockout_counter_reset_duration": {Type: logical.Duration, Help: "Another name of lockout_counter_reset."},
	"lockout_disable":                {Type: logical.Bool, Help: "Lock nobody out."},
}

// tuneLockout sets what the request brought in user_lockout_config.
func tuneLockout(e *mount.Entry, r *logical.Request) error {
	body := r.Raw("user_lockout_config")
	if len(body) == 0 {
		return nil
	}
	if e.Type != lockoutType || !e.Auth() {
		return logical.Invalid("tuning of user lockout configuration for auth type %q not allowed", e.Type)
	}
	config := *r
	config.Body = body
	if err := config.Accept(lockoutFields, nil, nil); err != nil {
		return err
	}
	l := &e.Config.UserLockout
	if config.Has("lockout_threshold") {
		l.Threshold = config.Int("lockout_threshold")
	}
	if config.Has("lockout_duration") {
		l.Duration = config.Duration("lockout_duration")
	}
	for _, name := range []string{"lockout_counter_reset", "lockout_counter_reset_duration"} {
		if config.Has(name) {
			l.CounterReset = config.Duration(name)
		}
	}
	if config.Has("lockout_disable") {
		l.Disabled = config.Bool("lockout_disable")
	}
	if l.Threshold < 0 || l.Duration < 0 || l.CounterReset < 0 {
		return logical.Invalid("user_lockout_config cannot have numbers below zero")
	}
	return nil
}

// lockoutData is what was set of it, or nothing.
func lockoutData(l logical.UserLockout) object {
	if l == (logical.UserLockout{}) {
		return nil
	}
	return object{
		"user_lockout_threshold":              l.Threshold,
		"user_lockout_duration":               seconds(l.Duration),
		"user_lockout_counter_reset_duration": seconds(l.CounterReset),
		"user_lockout_disable":                l.Disabled,
	}
}
