// Package drill finds out how long stolen credentials stay of use. It takes what a
// thief would have of an application, [Collect], has the secrets rotated, and
// tries each credential again and again until it is refused, [Plan.Run].
//
// An attempt is a login, as the thief would make it, and nothing more. There is
// one for each credential and round, a bounded number in all, and a refusal counts
// only while the credential of now is accepted: a system that is down, or refuses
// everybody, has not made anything useless.
//
// Nothing here prints: reports hold names, places and times.
//
// Start reading at [Plan.Run].
package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrRefused says that a system has answered, and refused a credential.
var ErrRefused = errors.New("drill: refused")

// ErrSame says that the application still uses what was stolen.
var ErrSame = errors.New("drill: not replaced yet")

// Credential is something that a thief has and can try.
type Credential struct {
	Name  string // of the variables it was found in
	Kind  string // for people: "PostgreSQL"
	Where string // host or path, for people
	Note  string // what trying it costs; empty: nothing

	// Try tries the stolen credential once. It returns nil if it works, an error
	// that wraps [ErrRefused] if it is refused, and any other if that is not
	// known. Errors hold no secret.
	Try func(ctx context.Context) error

	// Control tries what the application would use now. Only if it works is a
	// refusal of the stolen one worth anything. It returns [ErrSame], and has tried
	// nothing, if that is the stolen one still.
	Control func(ctx context.Context) error

	// Revoke ends the credential at its source, as someone would who knows of the
	// theft. Nil: only a rotation does.
	Revoke func(ctx context.Context) error
}

// Untried is what a thief has, too, and nobody can try.
type Untried struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// Plan is what a thief has.
type Plan struct {
	Credentials []*Credential
	Untried     []Untried
}

// Options says how to run a drill.
type Options struct {
	Budget   time.Duration // in which all must be useless
	Every    time.Duration // between rounds
	MaxTries int           // of one credential
	Revoke   bool          // end what can be revoked

	// Rotate has the secrets replaced; nil: they stay. It returns when that has
	// begun.
	Rotate func(ctx context.Context) error

	// Progress is told what has happened; it may be nil.
	Progress func(text string)
}

// State is what has become of a credential.
type State string

// The states.
const (
	Useless State = "useless"     // it is refused, and the one of now is not
	Works   State = "still works" // at the last attempt
	Unclear State = "unclear"     // the last attempts have told nothing
	Dead    State = "dead before" // it did not work when the drill began
)

// Result is what has become of one credential.
type Result struct {
	Credential *Credential
	State      State
	After      time.Duration // from the theft until it was seen to be refused; zero unless Useless
	Tries      int
	Text       string // why it is unclear
}

// Report is what has become of all.
type Report struct {
	Results []Result
	Untried []Untried
	Took    time.Duration // until the last one was useless, or the drill ended
	InTime  bool          // none was of use when the budget was over
}

// ErrNothing says that a drill would show nothing.
var ErrNothing = errors.New("nothing that a thief would have works now, or can be tried: there is nothing to measure")

// Run carries the plan out. It returns [ErrNothing] if nothing could be tried, and
// another error if the rotation cannot begin or ctx ends.
func (p *Plan) Run(ctx context.Context, o Options) (Report, error) {
	r := &run{Options: o, results: make([]Result, len(p.Credentials))}
	for i, c := range p.Credentials {
		r.results[i] = Result{Credential: c, State: Works}
	}
	r.each(ctx, r.begin)
	if !r.any(Works) {
		return Report{Results: r.results, Untried: p.Untried}, cmp.Or(ctx.Err(), ErrNothing)
	}
	r.stolen = time.Now()
	if err := r.strike(ctx); err != nil {
		return Report{}, err
	}
	if err := r.watch(ctx); err != nil {
		return Report{}, err
	}
	report := Report{Results: r.results, Untried: p.Untried, InTime: !r.any(Works) && !r.any(Unclear)}
	for _, result := range r.results {
		report.Took = max(report.Took, result.After)
	}
	if !report.InTime {
		report.Took = time.Since(r.stolen)
	}
	return report, nil
}

// run is one drill under way.
type run struct {
	Options
	stolen time.Time

	mu      sync.Mutex // guards the field below
	results []Result
}

func (r *run) tell(format string, args ...any) {
	if r.Progress != nil {
		r.Progress(fmt.Sprintf(format, args...))
	}
}

// each calls do for all results at the same time.
func (r *run) each(ctx context.Context, do func(context.Context, Result) Result) {
	var wg sync.WaitGroup
	for i := range r.results {
		wg.Go(func() {
			r.mu.Lock()
			result := r.results[i]
			r.mu.Unlock()
			result = do(ctx, result)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.results[i] = result
		})
	}
	wg.Wait()
}

// any says whether a credential is in a state.
func (r *run) any(s State) bool {
	for _, result := range r.results {
		if result.State == s {
			return true
		}
	}
	return false
}

// begin is the first login: what does not work now can show nothing.
func (r *run) begin(ctx context.Context, result Result) Result {
	result.Tries++
	if err := result.Credential.Try(ctx); err != nil {
		result.State, result.Text = Dead, reason(err)
	}
	return result
}

// strike does what happens when a theft is known.
func (r *run) strike(ctx context.Context) error {
	if r.Rotate != nil {
		if err := r.Rotate(ctx); err != nil {
			return err
		}
	}
	if !r.Revoke {
		return nil
	}
	for _, result := range r.results {
		if result.State != Works || result.Credential.Revoke == nil {
			continue
		}
		if err := result.Credential.Revoke(ctx); err != nil {
			r.tell("%s could not be revoked: %v", result.Credential.Name, err)
		}
	}
	return nil
}

// watch makes rounds until nothing is of use, or the budget is over.
func (r *run) watch(ctx context.Context) error {
	for {
		r.each(ctx, r.round)
		if err := ctx.Err(); err != nil {
			return err
		}
		left := r.Budget - time.Since(r.stolen)
		if left <= 0 || !r.goesOn() {
			return nil
		}
		timer := time.NewTimer(min(r.Every, left))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// goesOn says whether another round can tell anything.
func (r *run) goesOn() bool {
	for _, result := range r.results {
		if (result.State == Works || result.State == Unclear) && result.Tries < r.MaxTries {
			return true
		}
	}
	return false
}

// round tries one credential that is not known to be useless, after the one of
// now has shown that the system answers.
func (r *run) round(ctx context.Context, result Result) Result {
	if result.State == Useless || result.State == Dead || result.Tries >= r.MaxTries {
		return result
	}
	control := result.Credential.Control(ctx)
	same := errors.Is(control, ErrSame)
	if control != nil && !same {
		result.State, result.Text = Unclear, "the login of now does not work either: "+reason(control)
		return result
	}
	result.Tries++
	switch err := result.Credential.Try(ctx); {
	case err == nil:
		result.State, result.Text = Works, ""
	case errors.Is(err, ErrRefused) && same:
		result.State, result.Text = Unclear, "it is refused, but the application has no other yet: "+reason(err)
	case errors.Is(err, ErrRefused):
		result.State, result.Text, result.After = Useless, "", time.Since(r.stolen)
		r.tell("%s is useless after %v", result.Credential.Name, result.After.Round(time.Millisecond))
	default:
		result.State, result.Text = Unclear, reason(err)
	}
	return result
}

// reason is an error for a table: in one line.
func reason(err error) string {
	text := []rune(err.Error())
	for i, c := range text {
		if c == '\n' || c == '\t' {
			text[i] = ' '
		}
	}
	return string(text)
}
