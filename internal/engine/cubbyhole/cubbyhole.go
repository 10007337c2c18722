// Package cubbyhole is private storage for each token: what a token writes, only
// that token can read, and it goes when the token goes. The core keeps wrapped
// answers in it.
//
// Emptying a cubbyhole is the core's work, which knows when a token ends; it
// removes all rows below the token's key, see [Kind].
package cubbyhole

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// Kind is the engine. The rows of a token are those below
// storage.Plain("t") + storage.Name(id of the token).
var Kind = logical.Kind{
	Type:        "cubbyhole",
	Description: "per-token private secret storage",
	New: func(logical.MountPoint) (*logical.Engine, error) {
		return &logical.Engine{Endpoints: logical.Bind(engine{}, routes)}, nil
	},
}

// engine has no state: all is in the rows.
type engine struct{}

var routes = logical.Routes[engine]{
	{Op: logical.Read, Path: "{path...}", Do: engine.read, Help: "Read what the token has stored."},
	{Op: logical.List, Path: "{path...}", Do: engine.list, Help: "List the names that the token has stored below a path."},
	{Op: logical.Write, Path: "{path...}", Do: engine.write, Exists: engine.exists, Help: "Store the fields of the request for this token alone."},
	{Op: logical.Delete, Path: "{path...}", Do: engine.delete, Help: "Delete what the token has stored."},
}

var errBatch = logical.Invalid("cubbyhole operations are only supported by service tokens")

// hole is where the rows of the caller's token begin.
func hole(r *logical.Request) (string, error) {
	if r.Caller == nil || r.Caller.TokenID == "" {
		return "", errBatch
	}
	return storage.Plain("t") + storage.Name(r.Caller.TokenID), nil
}

// key is the row of the request's path.
func key(r *logical.Request) (string, error) {
	prefix, err := hole(r)
	if err != nil {
		return "", err
	}
	path := r.Text("path")
	switch {
	case path == "":
		return "", logical.Invalid("missing path")
	case strings.HasSuffix(path, "/"):
		return "", logical.Invalid("a path that ends in a slash is a folder and holds no data itself")
	}
	return prefix + storage.Path(path), nil
}

func (engine) read(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	k, err := key(r)
	if err != nil {
		return nil, err
	}
	row, err := r.Part.Get(ctx, k)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, logical.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: json.RawMessage(row.Value)}, nil
}

func (engine) list(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	prefix, err := hole(r)
	if err != nil {
		return nil, err
	}
	folder := r.Text("path")
	if folder != "" && !strings.HasSuffix(folder, "/") {
		folder += "/"
	}
	names, err := r.Part.Children(ctx, prefix+storage.Path(folder))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, logical.ErrNotFound
	}
	return &logical.Response{Data: map[string]any{"keys": names}}, nil
}

// exists leaves refusals to the write itself, which comes after the policies.
func (engine) exists(ctx context.Context, r *logical.Request) (bool, error) {
	k, err := key(r)
	if err != nil {
		return false, nil
	}
	_, err = r.Part.Get(ctx, k)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// write keeps the body as it came, so that no number changes.
func (engine) write(_ context.Context, r *logical.Request) (*logical.Response, error) {
	k, err := key(r)
	if err != nil {
		return nil, err
	}
	if err := r.NeedData(); err != nil {
		return nil, err
	}
	r.Part.Put(k, bytes.Clone(r.Body))
	return nil, nil
}

func (engine) delete(_ context.Context, r *logical.Request) (*logical.Response, error) {
	k, err := key(r)
	if err != nil {
		return nil, err
	}
	r.Part.Delete(k)
	return nil, nil
}
