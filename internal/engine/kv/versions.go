package kv

import (
	"context"
	"slices"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// versionChange is something that can be done to versions that exist already.
type versionChange struct {
	op    string // of the event
	infix string // of the API's path
	// apply changes v and says whether there was anything to change.
	apply func(v *version, now time.Time) bool
	shows bool // data can be read afterwards
}

func deleteVersion(v *version, now time.Time) bool {
	if v.gone(now) {
		return false
	}
	v.Deleted = now.UnixNano()
	return true
}

func undeleteVersion(v *version, _ time.Time) bool {
	if v.Destroyed || v.Deleted == 0 {
		return false
	}
	v.Deleted = 0
	return true
}

func destroyVersion(v *version, _ time.Time) bool {
	was := v.Destroyed
	v.Destroyed = true
	return !was
}

func (v2) deleteNewest(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	path, err := secretPath(r)
	if err != nil {
		return nil, err
	}
	s, err := get(ctx, r.Part, path)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := versionChange{op: "data-delete", infix: "data/", apply: deleteVersion}
	return c.do(ctx, r, s, path, []int{s.Current})
}

func (v2) deleteVersions(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return versionChange{op: "delete", infix: "delete/", apply: deleteVersion}.doListed(ctx, r)
}

func (v2) undeleteVersions(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return versionChange{op: "undelete", infix: "undelete/", apply: undeleteVersion, shows: true}.doListed(ctx, r)
}

func (v2) destroyVersions(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return versionChange{op: "destroy", infix: "destroy/", apply: destroyVersion}.doListed(ctx, r)
}

// doListed makes the change to the versions that r lists. Versions that do not
// exist are passed over.
func (c versionChange) doListed(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	path, err := secretPath(r)
	if err != nil {
		return nil, err
	}
	numbers := r.Ints("versions")
	if len(numbers) == 0 {
		return nil, logical.Invalid("No version number provided")
	}
	s, err := get(ctx, r.Part, path)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	slices.Sort(numbers)
	return c.do(ctx, r, s, path, slices.Compact(numbers))
}

// do makes the change to versions of s, whose numbers ascend. If there is nothing
// to change, nothing is written.
func (c versionChange) do(ctx context.Context, r *logical.Request, s *secret, path string, numbers []int) (*logical.Response, error) {
	changed := false
	var destroyed []span
	for _, n := range numbers {
		v := s.at(n)
		if v == nil || !c.apply(v, r.Now) {
			continue
		}
		changed = true
		if v.Destroyed {
			destroyed = appendSpan(destroyed, n)
		}
	}
	if !changed {
		return nil, nil
	}
	if err := s.discard(r, destroyed...); err != nil {
		return nil, err
	}
	if err := s.save(r.Part, path, r.Now); err != nil {
		return nil, err
	}
	e := event{op: c.op, path: c.infix + path, secret: s}
	if c.shows {
		e.dataPath = "data/" + path
	}
	emit(r, e)
	return nil, nil
}

// appendSpan adds n, which is above all that spans holds.
func appendSpan(spans []span, n int) []span {
	if last := len(spans) - 1; last >= 0 && spans[last][1] == n-1 {
		spans[last][1] = n
		return spans
	}
	return append(spans, span{n, n})
}
