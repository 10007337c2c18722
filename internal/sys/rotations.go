package sys

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/policy"
	"github.com/cofferhq/coffer/internal/rotate"
	"github.com/cofferhq/coffer/internal/schedule"
	"github.com/cofferhq/coffer/internal/storage"
)

var rotationSettings = logical.Fields{
	"target":          {Type: logical.Text, Help: "Secret of a KV mount of version 2 that readers find: secret/app/db."},
	"fields":          {Type: logical.TextMap, Help: "Which value of the source goes to which field of the secret; all of them under their own names if absent."},
	"previous_fields": {Type: logical.TextMap, Help: "Which old value stands in which field while both are valid; strategy alternate only."},
	"source":          {Type: logical.Text, Help: "Where new secrets come from: generate, database, exec or webhook."},
	"config":          {Type: logical.Object, Help: "Settings of the source."},
	"strategy":        {Type: logical.Text, Help: "replace (the old one dies as the new one is set) or alternate (two in turn)."},
	"schedule":        {Type: logical.Text, Help: "When to rotate: a period (24h, 90d), a word (daily), or a cron line in UTC."},
	"window":          {Type: logical.Duration, Help: "How long after its time a run of a cron line may still begin."},
	"missed":          {Type: logical.Text, Help: "Runs missed while the server was down: catch-up (once) or skip."},
	"await":           {Type: logical.Text, Help: "What ends the time in which both are valid: consumers, grace or both."},
	"grace":           {Type: logical.Duration, Help: "How long both are valid; five minutes if absent."},
	"deadline":        {Type: logical.Duration, Help: "When nobody is waited for any more; the grace if absent."},
	"roles":           {Type: logical.Texts, Help: "Roles, or ids of entities, whose consumers are waited for; any if absent."},
	"verify":          {Type: logical.Bool, Help: "Try the old secret once it is retired. Do not where that could lock an account."},
}

var rotationRoutes = logical.Routes[*system]{
	{Op: logical.List, Path: "coffer/rotation", Do: (*system).listRotations, Help: "List the rotations."},
	{Op: logical.Read, Path: "coffer/rotation/{name}", Do: (*system).readPlan, Help: "Read a rotation, and how far it has got."},
	{Op: logical.Write, Path: "coffer/rotation/{name}", Do: (*system).writePlan, Exists: (*system).rotationExists, Fields: rotationSettings, Help: "Create a rotation, or change what is given of it."},
	{Op: logical.Delete, Path: "coffer/rotation/{name}", Do: (*system).deletePlan, Help: "Delete a rotation; the secret stays as it is."},
	{Op: logical.Write, Path: "coffer/rotation/{name}/rotate", Do: (*system).rotateNow, Fields: logical.Fields{
		"now": {Type: logical.Bool, Help: "An emergency: wait for nobody before the old secret is ended."},
	}, Help: "Begin an attempt now, or have the one under way go on."},
	{Op: logical.Write, Path: "coffer/rotation/{name}/pause", Do: (*system).pauseRotation, Help: "Keep attempts from beginning."},
	{Op: logical.Write, Path: "coffer/rotation/{name}/resume", Do: (*system).resumeRotation, Help: "Let attempts begin again."},
	{Op: logical.Write, Path: "coffer/rotation/{name}/abandon", Do: (*system).abandonRotation, Outside: true, Help: "End an attempt that can't go on, if the old secret is shown to work."},
	{Op: logical.Read, Path: "coffer/rotation/{name}/attempts", Do: (*system).readAttempts, Help: "Read what is known of the attempts that have ended."},
}

func (s *system) listRotations(ctx context.Context, _ *logical.Request) (*logical.Response, error) {
	var names []string
	about := object{}
	err := storage.View(ctx, s.Store, func(tx *storage.Tx) (err error) {
		if names, err = s.House.Rotator().Names(ctx, tx); err != nil {
			return err
		}
		for _, name := range names {
			p, state, err := s.House.Rotator().Get(ctx, tx, name)
			if err != nil {
				return err
			}
			step := rotate.Step("")
			if state.Attempt != nil {
				step = state.Attempt.Step
			}
			about[name] = object{
				"target": s.targetPath(&p.Target), "source": p.Source, "schedule": p.Schedule, "paused": p.Paused, "step": step,
				"next_rotation": timeOrNull(state.Next), "last_success": timeOrNull(state.LastSuccess), "failures": state.Failures,
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, logical.ErrNotFound
	}
	return &logical.Response{Data: object{"keys": names, "key_info": about}}, nil
}

// rotation reads the rotation that r names.
func (s *system) rotation(ctx context.Context, r *logical.Request) (p *rotate.Rotation, state *rotate.State, err error) {
	err = storage.View(ctx, s.Store, func(tx *storage.Tx) error {
		p, state, err = s.House.Rotator().Get(ctx, tx, r.Text("name"))
		return err
	})
	return p, state, err
}

func (s *system) rotationExists(ctx context.Context, r *logical.Request) (bool, error) {
	_, _, err := s.rotation(ctx, r)
	if errors.Is(err, rotate.ErrUnknown) {
		return false, nil
	}
	return err == nil, err
}

func (s *system) readPlan(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	p, state, err := s.rotation(ctx, r)
	if err != nil {
		return nil, err
	}
	data := object{
		"name": p.Name, "target": s.targetPath(&p.Target), "fields": p.Target.Fields, "previous_fields": texts(p.Target.Previous),
		"source": p.Source, "strategy": p.Strategy,
		"schedule": p.Schedule, "window": seconds(p.Window), "missed": cmp.Or(p.Missed, schedule.CatchUp.String()),
		"await": p.Await, "grace": seconds(p.Grace), "deadline": seconds(p.Deadline), "roles": append([]string{}, p.Roles...),
		"verify": !p.NoVerify, "paused": p.Paused,
		"next_rotation": timeOrNull(state.Next), "last_success": timeOrNull(state.LastSuccess), "last_attempt": timeOrNull(state.LastAttempt),
		"attempts": state.Attempts, "failures": state.Failures, "last_error": state.LastError, "attempt": nil,
	}
	if data["config"], err = s.shownConfig(p); err != nil {
		return nil, err
	}
	if a := state.Attempt; a != nil {
		data["attempt"] = object{
			"id": a.ID, "number": a.Number, "step": a.Step, "tries": a.Tries, "emergency": a.Emergency,
			"began": timeOrNull(a.Began), "published": timeOrNull(a.Published), "version": a.Version, "consumers": a.Tally,
			"next": timeOrNull(state.Due),
		}
	}
	return &logical.Response{Data: data}, nil
}

// texts is a map that is an object also if it is empty.
func texts(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// shownConfig is the source's configuration without what is secret.
func (s *system) shownConfig(p *rotate.Rotation) (map[string]json.RawMessage, error) {
	shown := map[string]json.RawMessage{}
	kind, err := s.House.Rotator().Kinds().Find(p.Source)
	if err != nil || len(p.Config) == 0 {
		return shown, nil // a source that has gone shows nothing
	}
	if err := json.Unmarshal(p.Config, &shown); err != nil {
		return nil, err
	}
	for _, name := range kind.Secret {
		delete(shown, name)
	}
	return shown, nil
}

// targetPath is the target as command lines take it.
func (s *system) targetPath(t *rotate.Target) string {
	if m := s.House.Mounts().ByID(t.MountID); m != nil {
		return m.Path + t.Path
	}
	return t.Path
}

func (s *system) writePlan(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	name := r.Text("name")
	var p *rotate.Rotation
	_, err := storage.Update(ctx, s.Store, func(tx *storage.Tx) (err error) {
		p, _, err = s.House.Rotator().Get(ctx, tx, name)
		if errors.Is(err, rotate.ErrUnknown) {
			p, err = &rotate.Rotation{Name: name}, nil
		}
		if err != nil {
			return err
		}
		if err := s.take(r, p); err != nil {
			return err
		}
		if err := s.mayRotate(ctx, r, &p.Target); err != nil {
			return err
		}
		if err := s.checkPolicy(ctx, p); err != nil {
			return err
		}
		return s.House.Rotator().Put(ctx, tx, p)
	})
	return nil, err
}

// take gives p what r says of it.
func (s *system) take(r *logical.Request, p *rotate.Rotation) error {
	if r.Has("target") {
		target, err := s.target(r.Text("target"))
		if err != nil {
			return err
		}
		target.Fields, target.Previous = p.Target.Fields, p.Target.Previous
		p.Target = target
	}
	if p.Target.MountID == "" {
		return logical.Invalid("target: the path of a secret is needed, such as secret/app/db")
	}
	if r.Has("fields") {
		p.Target.Fields = r.TextMap("fields")
	}
	if r.Has("previous_fields") {
		p.Target.Previous = r.TextMap("previous_fields")
	}
	if r.Has("config") {
		p.Config = r.Raw("config")
	}
	if r.Has("verify") {
		p.NoVerify = !r.Bool("verify")
	}
	if r.Has("roles") {
		p.Roles = r.Texts("roles")
	}
	for field, to := range map[string]*string{
		"source": &p.Source, "schedule": &p.Schedule, "missed": &p.Missed,
		"strategy": (*string)(&p.Strategy), "await": (*string)(&p.Await),
	} {
		if r.Has(field) {
			*to = r.Text(field)
		}
	}
	if r.Has("grace") && p.Deadline == p.Grace {
		p.Deadline = 0 // it was the grace, and stays that
	}
	for field, to := range map[string]*time.Duration{"window": &p.Window, "grace": &p.Grace, "deadline": &p.Deadline} {
		if r.Has(field) {
			*to = r.Duration(field)
		}
	}
	if p.Schedule == "" {
		return logical.Invalid("schedule: a period such as 24h, a word such as daily, or a cron line is needed")
	}
	return nil
}

// target finds the secret at path.
func (s *system) target(path string) (rotate.Target, error) {
	m, rest := s.House.Mounts().Find(strings.TrimPrefix(path, "/"))
	if m == nil || !versioned(m) {
		return rotate.Target{}, logical.Invalid("target %q is not below a KV mount of version 2", path).
			WithHint("enable one with: coffer secrets enable -path=secret -version=2 kv")
	}
	rest = strings.TrimPrefix(strings.Trim(rest, "/"), "data/")
	for name := range strings.SplitSeq(rest, "/") {
		if name == "." || name == ".." || name == "" && rest != "" {
			return rotate.Target{}, logical.Invalid("target %q is no path that can be read", path)
		}
	}
	return rotate.Target{MountID: m.ID, Path: rest}, nil
}

// mayRotate says whether the caller may have a secret rotated: who chooses where new
// values come from can give it any, and sources are told the old ones.
func (s *system) mayRotate(ctx context.Context, r *logical.Request, t *rotate.Target) error {
	m := s.House.Mounts().ByID(t.MountID)
	if m == nil {
		return logical.Invalid("the mount of the target is gone").WithHint("give the rotation another target, or delete it")
	}
	acl, err := s.acl(ctx, r)
	if err != nil {
		return err
	}
	path := m.Path + "data/" + t.Path
	for _, op := range []logical.Op{logical.Read, logical.Update} {
		if acl == nil || !acl.Check(policy.Query{Op: op, Path: path}).Allowed {
			return logical.Errorf(logical.ErrDenied, "permission denied").WithHint("the token must be allowed to read and update %s", path)
		}
	}
	return nil
}

// policyNamed are the members of the sources' configurations that name a password
// policy.
var policyNamed = map[string]string{"generate": "policy", "database": "password_policy"}

// checkPolicy reports a password policy that is not there: an attempt would find out
// at night.
func (s *system) checkPolicy(ctx context.Context, p *rotate.Rotation) error {
	var config map[string]json.RawMessage
	var name string
	if json.Unmarshal(p.Config, &config) != nil || json.Unmarshal(config[policyNamed[p.Source]], &name) != nil || name == "" {
		return nil // the source says what is wrong
	}
	_, err := NewPasswordPolicies(s.Store, rootNS).Policy(ctx, name)
	return err
}

// versioned says whether m keeps versions of secrets.
func versioned(m *mount.Mounted) bool { return m.Type == "kv" && m.Options["version"] == "2" }

func (s *system) deletePlan(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return s.order(ctx, func(tx *storage.Tx) error { return s.House.Rotator().Delete(ctx, tx, r.Text("name")) })
}

func (s *system) pauseRotation(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return s.order(ctx, func(tx *storage.Tx) error { return s.House.Rotator().Pause(ctx, tx, r.Text("name")) })
}

func (s *system) resumeRotation(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return s.order(ctx, func(tx *storage.Tx) error { return s.House.Rotator().Resume(ctx, tx, r.Text("name")) })
}

// order does what an operator wants, in one commit.
func (s *system) order(ctx context.Context, fn func(tx *storage.Tx) error) (*logical.Response, error) {
	_, err := storage.Update(ctx, s.Store, fn)
	return nil, err
}

func (s *system) rotateNow(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	attempt := 0
	_, err := storage.Update(ctx, s.Store, func(tx *storage.Tx) (err error) {
		attempt, err = s.House.Rotator().Trigger(ctx, tx, r.Text("name"), r.Bool("now"))
		return err
	})
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: object{"attempt": attempt}, Accepted: true}, nil
}

func (s *system) abandonRotation(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return nil, s.House.Rotator().Abandon(ctx, r.Text("name"))
}

func (s *system) readAttempts(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	var all []rotate.Evidence
	err := storage.View(ctx, s.Store, func(tx *storage.Tx) error {
		p, _, err := s.House.Rotator().Get(ctx, tx, r.Text("name"))
		if err == nil {
			all, err = s.House.Rotator().Evidence(ctx, tx, p.ID)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	told := []object{}
	for _, e := range all {
		told = append(told, object{
			"id": e.ID, "number": e.Number, "emergency": e.Emergency, "began": timeOrNull(e.Began), "published": timeOrNull(e.Published),
			"retired": timeOrNull(e.Retired), "ended": timeOrNull(e.Ended), "version": e.Version, "consumers": e.Tally,
			"tested": e.Tested, "old": e.Dead, "error": e.Error,
		})
	}
	return &logical.Response{Data: object{"attempts": told}}, nil
}
