package rotate

import (
	"time"

	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/source"
)

// State is how far a rotation has got. It is the stored record, too.
type State struct {
	// Due is when the rotation goes on: the time of its item in the due queue.
	Due time.Time `json:"due,omitzero"`
	// Next is when the next attempt is to begin.
	Next time.Time `json:"next,omitzero"`
	// Now makes the next attempt one that waits for nobody.
	Now bool `json:"now,omitempty"`

	Attempts    int       `json:"n,omitempty"`
	LastSuccess time.Time `json:"ok,omitzero"`
	LastAttempt time.Time `json:"last,omitzero"`
	Failures    int       `json:"fail,omitempty"` // of steps, since the last success
	LastError   string    `json:"err,omitempty"`  // for people; nothing secret

	Attempt *Attempt `json:"a,omitempty"` // under way
}

// Step is what an attempt is at.
type Step string

// The steps, in their order.
const (
	Creating   Step = "create"
	Setting    Step = "set"
	Testing    Step = "test"
	Publishing Step = "publish"
	Awaiting   Step = "await"
	Retiring   Step = "retire"
	Verifying  Step = "verify-dead"
)

// Attempt is one attempt to replace the secret.
type Attempt struct {
	ID        string    `json:"id"`
	Number    int       `json:"n"`
	Emergency bool      `json:"now,omitempty"` // waits for nobody
	Began     time.Time `json:"at"`
	Step      Step      `json:"step"`
	Tries     int       `json:"tries,omitempty"` // of this step that have failed

	Candidate   hidden `json:"new,omitempty"`
	Predecessor hidden `json:"old,omitempty"`

	Tested    string    `json:"tested,omitempty"` // see Evidence
	Published time.Time `json:"pub,omitzero"`
	Version   int       `json:"ver,omitempty"` // of the secret, that has the candidate
	// Epoch is the one in which all reads since publishing have been seen. See
	// Rotator.NewEpoch.
	Epoch   string    `json:"epoch,omitempty"`
	Tally   Tally     `json:"tally,omitzero"`
	Retired time.Time `json:"ret,omitzero"`
}

// Tally is who is known to have the new version.
type Tally struct {
	Moved   int `json:"moved"`   // use it
	Left    int `json:"left"`    // have said goodbye
	Behind  int `json:"behind"`  // use the old one, as far as is known
	Unknown int `json:"unknown"` // have gone without a word
}

// Evidence is what is known of an attempt that has ended.
type Evidence struct {
	ID        string    `json:"id"`
	Number    int       `json:"n"`
	Emergency bool      `json:"now,omitempty"`
	Began     time.Time `json:"at"`
	Published time.Time `json:"pub,omitzero"`
	Retired   time.Time `json:"ret,omitzero"`
	Ended     time.Time `json:"end"`
	Version   int       `json:"ver,omitempty"`
	Tally     Tally     `json:"tally"`
	// Tested is what a login with the candidate has shown before it was published,
	// Dead what one with the predecessor has shown after it was retired.
	Tested string `json:"tested,omitempty"`
	Dead   string `json:"dead,omitempty"`
	Error  string `json:"err,omitempty"` // why it was abandoned
}

// What logins have shown.
const (
	Worked       = "worked"       // Tested: the candidate is valid
	Dead         = "dead"         // the predecessor was refused, while the candidate worked
	Alive        = "alive"        // the predecessor still works
	Inconclusive = "inconclusive" // the system did not say
	Unverifiable = "unverifiable" // there is no login to try
	Skipped      = "skipped"      // nobody tried: the operator did not want it, or there was no predecessor
)

// hidden is a secret as it is stored: in rows that are encrypted as a whole.
type hidden map[string][]byte

func hide(v source.Values) hidden {
	h := make(hidden, len(v))
	for name, value := range v {
		h[name] = value.Reveal()
	}
	return h
}

func (h hidden) values() source.Values {
	v := make(source.Values, len(h))
	for name, value := range h {
		v[name] = secret.New(value)
	}
	return v
}

// String keeps fmt from printing what is hidden.
func (h hidden) String() string { return "[secret]" }

// GoString is String, for %#v.
func (h hidden) GoString() string { return h.String() }
