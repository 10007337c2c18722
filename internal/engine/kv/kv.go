// Package kv is the key/value secrets engine, in both of its versions: version 1
// keeps the last value of a path, version 2 keeps versions of it that can be
// deleted, brought back and destroyed. It is not for secrets that the server
// makes up or revokes.
//
// Both keep one row for each path, of one form, so that a mount of version 1
// becomes one of version 2 without any row being touched: see DESIGN.md. Start
// reading at the tables of routes, in v1.go and v2.go, then at secret in row.go.
package kv

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// Kind is the engine. Its option "version" is "1" or "2"; without, it is 1.
var Kind = logical.Kind{
	Type:        "kv",
	Description: "Keeps secrets as keys and values, with versions if its option version is 2.",
	New:         newEngine,
	Check:       check,
}

func newEngine(m logical.MountPoint) (*logical.Engine, error) {
	if err := check(m.Options); err != nil {
		return nil, err
	}
	if m.Options["version"] == "2" {
		return &logical.Engine{Endpoints: logical.Bind(newV2(), routes2), Work: emptyTrash}, nil
	}
	return &logical.Engine{Endpoints: logical.Bind(v1{newLists()}, routes1), Work: emptyTrash}, nil
}

func check(options map[string]string) error {
	version, ok := options["version"]
	if ok && version != "1" && version != "2" {
		return logical.Invalid("invalid version provided: %q", version)
	}
	return nil
}

// secretPath returns the path of the secret that r is about, or an error if no
// secret can have that path: one that ends in a slash is a folder.
func secretPath(r *logical.Request) (string, error) {
	path := r.Text("path")
	switch {
	case path == "":
		return "", logical.ErrUnsupportedPath
	case !strings.HasSuffix(path, "/"):
		return path, nil
	case r.Op == logical.Read:
		return "", logical.ErrNotFound
	case r.Op == logical.Delete:
		return "", logical.Invalid("cannot delete a path ending in '/'")
	}
	return "", logical.Invalid("cannot write to a path ending in '/'")
}

// exists says whether there is a secret, with or without versions.
func exists(ctx context.Context, r *logical.Request) (bool, error) {
	path, err := secretPath(r)
	if err != nil {
		return false, nil // the handler refuses it
	}
	_, err = r.Part.Peek(ctx, secretKey(path))
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// lists remembers the answers to lists.
type lists struct {
	answers *storage.Listings[json.RawMessage]
}

// maxListBytes bounds the names that are remembered: some 400,000.
const maxListBytes = 8 << 20

func newLists() lists { return lists{storage.NewListings[json.RawMessage](maxListBytes)} }

// list answers with the names in a folder.
func (l lists) list(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	folder := r.Text("path")
	if folder != "" && !strings.HasSuffix(folder, "/") {
		folder += "/"
	}
	answer, err := l.answers.Of(ctx, r.Part, secretKey(folder), func(names []string) (json.RawMessage, error) {
		if len(names) == 0 {
			return nil, nil
		}
		return json.Marshal(keysAnswer{Keys: names})
	})
	switch {
	case err != nil:
		return nil, err
	case answer == nil:
		return nil, logical.ErrNotFound
	}
	return &logical.Response{Data: answer}, nil
}

type keysAnswer struct {
	Keys []string `json:"keys"`
}

// absent says whether err means that there is no such secret.
func absent(err error) bool { return errors.Is(err, logical.ErrNotFound) }
