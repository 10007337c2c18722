package rotate

import "github.com/cofferhq/coffer/internal/storage"

// News is what has happened to a rotation.
type News struct {
	Rotation string // its name
	Attempt  string // its id
	What     Happening
	Version  int    // of the secret, that has the new value; zero: not yet
	Target   string // path of the secret below its mount
	Error    string // of a failure, for people; nothing secret
}

// Happening is a point in a rotation's life that others may wait for.
type Happening string

// What can happen.
const (
	Started   Happening = "start"
	Published Happening = "publish" // readers get the new secret
	Retired   Happening = "retire"  // the old one was ended
	Ended     Happening = "end"
	Failed    Happening = "fail" // a step, which is tried again
)

// tell announces what the change of a state from before to after means, if
// anything.
func (r *Rotator) tell(tx *storage.Tx, w *work, before, after State) error {
	what := happening(before, after)
	if r.announce == nil || what == "" {
		return nil
	}
	n := News{Rotation: w.Name, What: what, Target: w.Target.Path, Error: after.LastError}
	a := after.Attempt
	if a == nil {
		a = w.state.Attempt // which has ended, or never began
	}
	if a != nil {
		n.Attempt, n.Version = a.ID, a.Version
	}
	return r.announce(tx, n)
}

// happening is what lies between two states of a rotation; empty: nothing of note.
func happening(before, after State) Happening {
	switch {
	case after.Failures > before.Failures:
		return Failed
	case before.Attempt == nil && after.Attempt != nil:
		return Started
	case before.Attempt != nil && after.Attempt == nil:
		return Ended
	case before.Attempt == nil:
		return ""
	}
	switch was, is := before.Attempt, after.Attempt; {
	case was.Published.IsZero() && !is.Published.IsZero():
		return Published
	case was.Retired.IsZero() && !is.Retired.IsZero():
		return Retired
	}
	return ""
}
