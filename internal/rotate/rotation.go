// Package rotate replaces secrets on schedule, one step after the other, each of
// which is stored before the next begins: a candidate is made, set where it is
// valid, tried, published to its readers; when they have it, the old one is ended,
// and shown to be dead.
//
// A [Rotation] is what an operator has asked for, a [State] how far it has got; a
// [Rotator] does the work. DESIGN.md has the steps and what holds after each.
package rotate

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/schedule"
	"github.com/cofferhq/coffer/internal/source"
)

// Rotation is a scheduled change of a secret at its source and in the store.
type Rotation struct {
	ID   string `json:"-"` // random; names it where its name must not be seen
	Name string `json:"name"`

	Target   Target          `json:"target"`
	Source   string          `json:"src"`           // type of the source
	Config   json.RawMessage `json:"cfg,omitempty"` // of the source
	Strategy source.Strategy `json:"strategy"`

	Schedule string        `json:"sched"`
	Window   time.Duration `json:"window,omitempty"`
	Missed   string        `json:"missed,omitempty"` // what of runs missed while down

	Await    Await         `json:"await"`
	Grace    time.Duration `json:"grace"`    // both secrets are valid for so long
	Deadline time.Duration `json:"deadline"` // after publishing, when nobody is waited for any more
	Roles    []string      `json:"roles,omitempty"`
	NoVerify bool          `json:"noverify,omitempty"` // the old secret is not tried: it could lock the account

	Paused bool `json:"paused,omitempty"`
}

// Target is where readers find the secret: fields of one secret of a KV mount of
// version 2.
type Target struct {
	MountID string `json:"mnt"`
	Path    string `json:"path"` // below the mount, without data/

	// Fields and Previous say in which field of the secret stands which value of
	// the source. Those of Previous hold, while both are valid, the old one's.
	Fields   map[string]string `json:"fields"`
	Previous map[string]string `json:"prev,omitempty"`
}

// Await is what ends the time in which the old secret is valid beside the new.
type Await string

// What can be awaited.
const (
	AwaitConsumers Await = "consumers" // until all have the new one, at the deadline at the latest
	AwaitGrace     Await = "grace"     // the whole grace, whoever has what
	AwaitBoth      Await = "both"      // the grace, and then the consumers until the deadline
)

// MinPeriod is the shortest time between two runs.
const MinPeriod = time.Second

// DefaultGrace is the grace of a rotation that names none.
const DefaultGrace = 5 * time.Minute

// maxGrace bounds grace and deadline: what nobody remembers to be valid should
// not be.
const maxGrace = 90 * 24 * time.Hour

// Check completes r with defaults, and reports what is wrong with it as an error
// of kind logical.ErrInvalid. It returns the schedule.
func (r *Rotation) Check(kinds source.Kinds) (schedule.Schedule, error) {
	plan, err := schedule.Parse(r.Schedule, r.Window, MinPeriod)
	if err != nil {
		return plan, logical.Invalid("schedule: %v", err)
	}
	if _, err := schedule.ParsePolicy(r.Missed); err != nil {
		return plan, logical.Invalid("missed: %v", err)
	}
	kind, err := kinds.Find(r.Source)
	if err != nil {
		return plan, err
	}
	r.Strategy = cmp.Or(r.Strategy, kind.Strategies[0])
	if !slices.Contains(kind.Strategies, r.Strategy) {
		return plan, logical.Invalid("source %q cannot do strategy %q", r.Source, r.Strategy).
			WithHint("it can do: %v", kind.Strategies)
	}
	src, err := kind.Open(r.Config, r.Strategy)
	if err != nil {
		return plan, err
	}
	defer src.Close()
	if err := r.checkTimes(plan); err != nil {
		return plan, err
	}
	return plan, r.Target.check(src.Fields(), r.Strategy)
}

// open returns the rotation's source. Close it.
func (r *Rotation) open(kinds source.Kinds) (source.Source, error) {
	kind, err := kinds.Find(r.Source)
	if err != nil {
		return nil, err
	}
	return kind.Open(r.Config, r.Strategy)
}

func (r *Rotation) checkTimes(plan schedule.Schedule) error {
	r.Await = cmp.Or(r.Await, AwaitConsumers)
	switch r.Await {
	case AwaitConsumers, AwaitGrace, AwaitBoth:
	default:
		return logical.Invalid("await %q: expected consumers, grace or both", r.Await)
	}
	if r.Grace == 0 {
		r.Grace = DefaultGrace
	}
	if r.Deadline == 0 {
		r.Deadline = r.Grace
	}
	switch {
	case r.Grace < 0 || r.Grace > maxGrace || r.Deadline > maxGrace:
		return logical.Invalid("grace and deadline must lie between 0 and %v", maxGrace)
	case r.Deadline < r.Grace:
		return logical.Invalid("deadline %v is before the grace of %v is over", r.Deadline, r.Grace)
	}
	return nil
}

// check reports what is wrong with the fields, given those of the source.
func (t *Target) check(made []string, s source.Strategy) error {
	if strings.Trim(t.Path, "/") == "" {
		return logical.Invalid("target: the path of a secret is needed, such as secret/app/db")
	}
	if len(t.Fields) == 0 {
		t.Fields = map[string]string{}
		for _, name := range made {
			t.Fields[name] = name
		}
	}
	if len(t.Previous) > 0 && s != source.Alternate {
		return logical.Invalid("previous_fields need the strategy %q: with %q the old secret is dead", source.Alternate, s)
	}
	taken := map[string]string{} // field of the secret → of the source
	for _, fields := range []map[string]string{t.Fields, t.Previous} {
		for _, from := range slices.Sorted(maps.Keys(fields)) {
			to := fields[from]
			switch {
			case !slices.Contains(made, from):
				return logical.Invalid("fields: the source has no field %q", from).WithHint("it has: %v", made)
			case to == "":
				return logical.Invalid("fields: %q has no field of the secret to go to", from)
			case taken[to] != "":
				return logical.Invalid("fields: %q and %q both go to %q", taken[to], from, to)
			}
			taken[to] = from
		}
	}
	return nil
}

// claims are the fields of the secret that the rotation writes.
func (t *Target) claims() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for _, fields := range []map[string]string{t.Fields, t.Previous} {
			for _, to := range fields {
				if !yield(to) {
					return
				}
			}
		}
	})
}
