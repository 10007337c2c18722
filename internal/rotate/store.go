package rotate

import (
	"context"
	"errors"
	"slices"

	"github.com/cofferhq/coffer/internal/due"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/schedule"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/uuid"
)

// Kind is the due queue's kind for rotations. Ref is the rotation's id.
const Kind due.Kind = "rotate"

// ErrUnknown says that there is no such rotation.
var ErrUnknown = logical.Errorf(logical.ErrNotFound, "no such rotation")

// KeptEvidence is how many attempts of a rotation are remembered.
const KeptEvidence = 50

var (
	rotationForm = storage.Form[Rotation]{Name: "rotation record", Version: 1}
	stateForm    = storage.Form[State]{Name: "rotation state", Version: 1}
	evidenceForm = storage.Form[Evidence]{Name: "rotation evidence", Version: 1}
)

// table begins the rows of rotations of one kind.
func (r *Rotator) table(kind string) string {
	return storage.Plain("rotation") + storage.Plain(r.ns) + storage.Plain(kind)
}

func (r *Rotator) nameKey(name string) string   { return r.table("name") + storage.Name(name) }
func (r *Rotator) rotationKey(id string) string { return r.table("plan") + storage.Plain(id) }
func (r *Rotator) stateKey(id string) string    { return r.table("state") + storage.Plain(id) }
func (r *Rotator) evidenceTable(id string) string {
	return r.table("evidence") + storage.Plain(id)
}

func (r *Rotator) claimKey(t *Target, field string) string {
	return r.table("claim") + storage.Plain(t.MountID) + storage.Path(t.Path) + storage.Plain("field") + storage.Name(field)
}

func (r *Rotator) item(id string, s *State) due.Item {
	return due.Item{At: s.Due, Kind: Kind, Namespace: r.ns, Ref: id}
}

// work is a rotation and its state, as one transaction has found them.
type work struct {
	Rotation
	plan  schedule.Schedule
	state State
	rev   storage.Revision // of the state
}

// idOf returns the id of the rotation of that name, or ErrUnknown.
func (r *Rotator) idOf(ctx context.Context, tx *storage.Tx, name string) (string, error) {
	e, err := tx.Get(ctx, r.nameKey(name))
	if errors.Is(err, storage.ErrNotFound) {
		return "", ErrUnknown
	}
	return string(e.Value), err
}

// load reads the rotation with that id, or returns ErrUnknown.
func (r *Rotator) load(ctx context.Context, tx *storage.Tx, id string) (*work, error) {
	e, err := tx.Get(ctx, r.rotationKey(id))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	w := &work{Rotation: Rotation{ID: id}}
	if err := rotationForm.Decode(e.Value, &w.Rotation); err != nil {
		return nil, err
	}
	if w.plan, err = schedule.Parse(w.Schedule, w.Window, MinPeriod); err != nil {
		return nil, err
	}
	if e, err = tx.Get(ctx, r.stateKey(id)); err != nil {
		return nil, err
	}
	w.rev = e.Revision
	return w, stateForm.Decode(e.Value, &w.state)
}

// loadNamed is load by name.
func (r *Rotator) loadNamed(ctx context.Context, tx *storage.Tx, name string) (*work, error) {
	id, err := r.idOf(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	return r.load(ctx, tx, id)
}

func (r *Rotator) putRotation(tx *storage.Tx, p *Rotation) error {
	value, err := rotationForm.Encode(p)
	if err == nil {
		tx.Put(r.rotationKey(p.ID), value)
	}
	return err
}

func (r *Rotator) putState(tx *storage.Tx, id string, s *State) error {
	value, err := stateForm.Encode(s)
	if err == nil {
		tx.Put(r.stateKey(id), value)
	}
	return err
}

// Put creates the rotation of that name, or changes it. While an attempt is under
// way, its source and target stay as they are. The first attempt is due by the
// schedule.
func (r *Rotator) Put(ctx context.Context, tx *storage.Tx, p *Rotation) error {
	plan, err := p.Check(r.kinds)
	if err != nil {
		return err
	}
	old, err := r.loadNamed(ctx, tx, p.Name)
	switch {
	case errors.Is(err, ErrUnknown):
		p.ID = uuid.New()
		old = &work{}
		tx.Put(r.nameKey(p.Name), []byte(p.ID))
	case err != nil:
		return err
	case old.state.Attempt != nil && old.sourceDiffers(p):
		return logical.Invalid("rotation %q is under way: its source and target can't be changed now", p.Name).
			WithHint("wait until the attempt has ended, or abandon it")
	}
	p.ID = old.keep(p.ID)
	for _, field := range old.Target.claims() {
		tx.Delete(r.claimKey(&old.Target, field))
	}
	if err := r.claim(ctx, tx, p, old.ID); err != nil {
		return err
	}
	if err := r.putRotation(tx, p); err != nil {
		return err
	}
	return r.plan(tx, p, &old.state, plan)
}

// keep returns the id that the rotation has already, or else id.
func (w *work) keep(id string) string {
	if w.ID != "" {
		return w.ID
	}
	return id
}

// plan puts the next attempt of p where its schedule has it. Attempts under way
// go on as they were.
func (r *Rotator) plan(tx *storage.Tx, p *Rotation, s *State, plan schedule.Schedule) error {
	if s.Attempt == nil {
		last := r.now()
		if plan.Period() > 0 && !s.LastSuccess.IsZero() && s.LastSuccess.Before(last) {
			last = s.LastSuccess
		}
		s.Next = plan.Next(last)
		r.moveTo(tx, p.ID, s, s.Next)
		if p.Paused {
			r.moveTo(tx, p.ID, s, zeroTime)
		}
	}
	return r.putState(tx, p.ID, s)
}

// claim takes the fields of the secret for p, of which others may not write any.
func (r *Rotator) claim(ctx context.Context, tx *storage.Tx, p *Rotation, oldID string) error {
	for _, field := range p.Target.claims() {
		key := r.claimKey(&p.Target, field)
		e, err := tx.Get(ctx, key)
		switch {
		case err == nil && string(e.Value) != oldID:
			return logical.Invalid("field %q of %s is rotated by another rotation", field, p.Target.Path)
		case err != nil && !errors.Is(err, storage.ErrNotFound):
			return err
		}
		tx.Put(key, []byte(p.ID))
	}
	return nil
}

// sourceDiffers says whether p would have an attempt that is under way touch
// something else than w.
func (w *work) sourceDiffers(p *Rotation) bool {
	return w.Source != p.Source || w.Strategy != p.Strategy || string(w.Config) != string(p.Config) ||
		w.Target.MountID != p.Target.MountID || w.Target.Path != p.Target.Path ||
		!slices.Equal(w.Target.claims(), p.Target.claims())
}

// Delete ends a rotation. The secret stays as it is, at its source and in the
// store; while an attempt is under way that is not known, and deleting refused.
func (r *Rotator) Delete(ctx context.Context, tx *storage.Tx, name string) error {
	w, err := r.loadNamed(ctx, tx, name)
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	if w.state.Attempt != nil {
		return logical.Invalid("rotation %q is under way at step %q", name, w.state.Attempt.Step).
			WithHint("wait until the attempt has ended, or abandon it")
	}
	r.moveTo(tx, w.ID, &w.state, zeroTime)
	for _, field := range w.Target.claims() {
		tx.Delete(r.claimKey(&w.Target, field))
	}
	for e, err := range tx.Range(ctx, r.evidenceTable(w.ID), "") {
		if err != nil {
			return err
		}
		tx.Delete(e.Key)
	}
	tx.Delete(r.nameKey(name))
	tx.Delete(r.rotationKey(w.ID))
	tx.Delete(r.stateKey(w.ID))
	return nil
}

// Get returns the rotation of that name and its state, or ErrUnknown.
func (r *Rotator) Get(ctx context.Context, tx *storage.Tx, name string) (*Rotation, *State, error) {
	w, err := r.loadNamed(ctx, tx, name)
	if err != nil {
		return nil, nil, err
	}
	return &w.Rotation, &w.state, nil
}

// Names returns the names of all rotations, sorted.
func (r *Rotator) Names(ctx context.Context, tx *storage.Tx) ([]string, error) {
	var names []string
	table := r.table("name")
	for e, err := range tx.Scan(ctx, table, "") {
		if err != nil {
			return nil, err
		}
		name, _, err := storage.Cut(e.Key[len(table):])
		if err != nil {
			return nil, err
		}
		names = append(names, name.Text())
	}
	slices.Sort(names)
	return names, nil
}

// Evidence returns what is known of the attempts that have ended, the newest
// first.
func (r *Rotator) Evidence(ctx context.Context, tx *storage.Tx, id string) ([]Evidence, error) {
	var all []Evidence
	for e, err := range tx.Scan(ctx, r.evidenceTable(id), "") {
		if err != nil {
			return nil, err
		}
		var one Evidence
		if err := evidenceForm.Decode(e.Value, &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	slices.Reverse(all)
	return all, nil
}

// putEvidence remembers an attempt that has ended, and forgets one that is long
// past.
func (r *Rotator) putEvidence(tx *storage.Tx, id string, e *Evidence) error {
	value, err := evidenceForm.Encode(e)
	if err != nil {
		return err
	}
	table := r.evidenceTable(id)
	tx.Put(table+storage.Order(uint64(e.Number)), value)
	if e.Number > KeptEvidence {
		tx.Delete(table + storage.Order(uint64(e.Number-KeptEvidence)))
	}
	return nil
}
