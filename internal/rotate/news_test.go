package rotate

import (
	"testing"
	"time"
)

func TestWhatIsAnnounced(t *testing.T) {
	now := time.Unix(1, 0)
	with := func(a Attempt) State { return State{Attempt: &a} }
	tests := []struct {
		name          string
		before, after State
		want          Happening
	}{
		{"an attempt begins", State{}, with(Attempt{Step: Creating}), Started},
		{"a step that readers don't see", with(Attempt{Step: Creating}), with(Attempt{Step: Setting}), ""},
		{"readers get the secret", with(Attempt{Step: Publishing}), with(Attempt{Step: Awaiting, Published: now}), Published},
		{"it is awaited on", with(Attempt{Step: Awaiting, Published: now}), with(Attempt{Step: Awaiting, Published: now}), ""},
		{"the old one ends", with(Attempt{Published: now}), with(Attempt{Published: now, Retired: now}), Retired},
		{"the attempt ends", with(Attempt{Retired: now}), State{}, Ended},
		{"a step fails", with(Attempt{}), State{Attempt: &Attempt{}, Failures: 1}, Failed},
		{"an attempt can't begin", State{Failures: 1}, State{Failures: 2}, Failed},
		{"it is planned anew", State{}, State{Next: now}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := happening(test.before, test.after); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
