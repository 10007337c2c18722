package cli

// lockoutFlags say when users who fail to log in are locked out.
type lockoutFlags struct {
	threshold    *int
	lock, forget *string
	disable      *bool
}

func declareLockout(f *Flags) *lockoutFlags {
	return &lockoutFlags{
		threshold: f.Int("user-lockout-threshold", 0, "Failures in a row that lock a user out; 0: the method's own number."),
		lock:      f.Duration("user-lockout-duration", "Time for which a user is locked out."),
		forget:    f.Duration("user-lockout-counter-reset-duration", "Time without a failure, after which they are forgotten."),
		disable:   f.Bool("user-lockout-disable", false, "Lock nobody out."),
	}
}

// config has what was given.
func (l *lockoutFlags) config(f *Flags) map[string]any {
	m := map[string]any{}
	for _, s := range []struct {
		flag, name string
		value      any
	}{
		{"user-lockout-threshold", "lockout_threshold", *l.threshold},
		{"user-lockout-duration", "lockout_duration", *l.lock},
		{"user-lockout-counter-reset-duration", "lockout_counter_reset_duration", *l.forget},
		{"user-lockout-disable", "lockout_disable", *l.disable},
	} {
		if f.Given(s.flag) {
			m[s.name] = s.value
		}
	}
	return m
}
