package kv

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/cofferhq/coffer/internal/logical"
)

// maxVersionList bounds the list of versions in a secret's row to some 18,000
// entries. All of them can then still be marked as deleted, and the row be
// written together with a version of 1 MiB.
const maxVersionList = 18_000

func (v v2) read(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	f, err := v.find(ctx, r)
	if err != nil {
		return nil, err
	}
	if f.gone(r.Now) {
		return &logical.Response{NotFound: true, Data: &dataAnswer{Metadata: f.versionAnswer(f.n, f.version)}}, nil
	}
	seen := logical.SecretVersion{Path: f.path, Version: f.n}
	tag := f.tag()
	if r.Knows(tag) {
		return &logical.Response{Tag: tag, NotModified: true, Secret: seen}, nil
	}
	a := &dataAnswer{Metadata: f.versionAnswer(f.n, f.version)}
	if a.Data, err = f.data(ctx, r.Part, f.n); err != nil {
		return nil, err
	}
	return &logical.Response{Data: a, Tag: tag, Secret: seen}, nil
}

func (v v2) subkeys(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	depth := r.Int("depth")
	if depth < 0 {
		return nil, logical.Invalid("depth cannot be negative")
	}
	f, err := v.find(ctx, r)
	if err != nil {
		return nil, err
	}
	a := &subkeysAnswer{Metadata: f.versionAnswer(f.n, f.version)}
	if f.gone(r.Now) {
		return &logical.Response{NotFound: true, Data: a}, nil
	}
	data, err := f.data(ctx, r.Part, f.n)
	if err != nil {
		return nil, err
	}
	if a.Subkeys, err = subkeys(data, depth); err != nil {
		return nil, err
	}
	return &logical.Response{Data: a}, nil
}

// found is a version of a secret.
type found struct {
	*secret
	*version
	n    int
	path string
}

// tag names the data of the version: of this secret, not of one that took its path
// after it was deleted.
func (f *found) tag() string {
	if f.ID == "" { // version 1 of the engine wrote it
		return makeTag(uint64(f.n), uint64(f.secret.Created))
	}
	const enough = 8 // of an id's characters, which have 5 bits each
	return strconv.Itoa(f.n) + "." + f.ID[:min(enough, len(f.ID))]
}

// find reads the secret that r names and picks the version that it names, or
// returns logical.ErrNotFound.
func (v v2) find(ctx context.Context, r *logical.Request) (found, error) {
	path, err := secretPath(r)
	if err != nil {
		return found{}, err
	}
	s, err := v.peek(ctx, r.Part, path)
	if err != nil {
		return found{}, err
	}
	n := r.Int("version")
	if n == 0 {
		n = s.Current
	}
	at := s.at(n)
	if at == nil {
		return found{}, logical.ErrNotFound
	}
	return found{secret: s, version: at, n: n, path: path}, nil
}

func (v2) write(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	path, err := secretPath(r)
	if err != nil {
		return nil, err
	}
	data := r.Raw("data")
	if data == nil {
		return nil, logical.Invalid("no data provided")
	}
	s, err := get(ctx, r.Part, path)
	if absent(err) {
		s, err = newSecret(r.Now), nil
	}
	if err != nil {
		return nil, err
	}
	return add(ctx, r, s, "data-write", path, data)
}

func (v2) patch(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	path, err := secretPath(r)
	if err != nil {
		return nil, err
	}
	patch := r.Raw("data")
	if patch == nil {
		return nil, logical.Invalid("no data provided")
	}
	s, err := get(ctx, r.Part, path)
	if err != nil {
		return nil, err
	}
	if v := s.at(s.Current); v == nil || v.gone(r.Now) {
		return nil, logical.ErrNotFound
	}
	old, err := s.data(ctx, r.Part, s.Current)
	if err != nil {
		return nil, err
	}
	data, err := mergePatch(old, patch)
	if err != nil {
		return nil, err
	}
	return add(ctx, r, s, "data-patch", path, data)
}

// add makes data the newest version of s. All of it is one commit.
func add(ctx context.Context, r *logical.Request, s *secret, op, path string, data json.RawMessage) (*logical.Response, error) {
	all, err := loadConfig(ctx, r.Part)
	if err != nil {
		return nil, err
	}
	if err := checkAndSet(r.Raw("options"), s.Current, s.CASRequired || all.CASRequired); err != nil {
		return nil, err
	}
	s.Current++
	s.Versions = append(s.Versions, version{Created: r.Now.UnixNano(), Deleted: s.deletedAt(all.settings, r.Now)})
	if surplus := len(s.Versions) - s.versionsKept(all.settings); surplus > 0 {
		first := s.oldest()
		s.Versions = s.Versions[surplus:]
		if err := s.discard(r, span{first, first + surplus - 1}); err != nil {
			return nil, err
		}
	}
	if len(s.Versions) > maxVersionList {
		return nil, logical.Errorf(logical.ErrTooLarge, "the secret has %d versions already", maxVersionList).
			WithHint("lower its max_versions")
	}
	if err := s.putData(r.Part, s.Current, data); err != nil {
		return nil, err
	}
	if err := s.save(r.Part, path, r.Now); err != nil {
		return nil, err
	}
	emit(r, event{op: op, path: "data/" + path, dataPath: "data/" + path, secret: s, written: data})
	return &logical.Response{Data: s.versionAnswer(s.Current, s.at(s.Current))}, nil
}

var optionsFields = logical.Fields{"cas": {Type: logical.Int}}

// checkAndSet refuses a write whose option cas is not the current version, or
// that has none although it must.
func checkAndSet(options json.RawMessage, current int, required bool) error {
	given := logical.Request{Body: options}
	if err := given.Accept(optionsFields, nil, nil); err != nil {
		return err
	}
	switch {
	case !given.Has("cas") && required:
		return logical.Invalid("check-and-set parameter required for this call")
	case given.Has("cas") && given.Int("cas") != current:
		return logical.Invalid("check-and-set parameter did not match the current version")
	}
	return nil
}
