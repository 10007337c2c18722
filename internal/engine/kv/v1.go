package kv

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// v1 is a mount of version 1.
type v1 struct{ lists }

// The body of a write has no fields: any name in it is the secret's.
var routes1 = logical.Routes[v1]{
	{Op: logical.Read, Path: "{path...}", Do: v1.read, Help: "Read a secret."},
	{Op: logical.List, Path: "{path...}", Do: v1.list, Help: "List the secrets of a folder."},
	{Op: logical.Write, Path: "{path...}", Do: v1.write, Exists: v1.exists,
		Help: "Write a secret: the whole body is its value, which replaces the old one."},
	{Op: logical.Delete, Path: "{path...}", Do: v1.delete, Help: "Delete a secret."},
}

func (v1) exists(ctx context.Context, r *logical.Request) (bool, error) { return exists(ctx, r) }

func (v1) read(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	path, err := secretPath(r)
	if err != nil {
		return nil, err
	}
	s, err := peekPlain(ctx, r, path)
	if err != nil {
		return nil, err
	}
	// The row's revision alone could come again, in a store that was restored.
	tag := makeTag(uint64(s.rev), uint64(s.Created))
	if r.Knows(tag) {
		return &logical.Response{Tag: tag, NotModified: true}, nil
	}
	return &logical.Response{Data: s.Data, Tag: tag, TTL: advisedTTL(s.Data, r.Mount.DefaultLeaseTTL)}, nil
}

func (v1) write(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	path, err := secretPath(r)
	if err != nil {
		return nil, err
	}
	if err := r.NeedData(); err != nil {
		return nil, err
	}
	if _, err := peekPlain(ctx, r, path); err != nil && !absent(err) {
		return nil, err
	}
	value, err := secretForm.Encode(&secret{Created: r.Now.UnixNano(), Data: r.Body})
	if err != nil {
		return nil, err
	}
	if !json.Valid(value) { // the row nests one level deeper than the body
		return nil, logical.Invalid("the data is nested too deeply")
	}
	r.Part.Put(secretKey(path), value)
	r.Emit(event1(r, "write", path, r.Body))
	return nil, nil
}

func (v1) delete(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	path, err := secretPath(r)
	if err != nil {
		return nil, err
	}
	if _, err := peekPlain(ctx, r, path); err != nil {
		if absent(err) { // deleting what is gone is no error
			return nil, nil
		}
		return nil, err
	}
	r.Part.Delete(secretKey(path))
	r.Emit(event1(r, "delete", path, nil))
	return nil, nil
}

// peekPlain returns the secret at path, or logical.ErrNotFound. It makes no
// condition of it: the last writer wins. It refuses a secret that has versions,
// which would lose them here.
func peekPlain(ctx context.Context, r *logical.Request, path string) (*secret, error) {
	s, err := peek(ctx, r.Part, path)
	if err != nil {
		return nil, err
	}
	if s.Data == nil {
		return nil, logical.Invalid("the secret was written by version 2 of the engine").
			WithHint("set the mount's option version to 2")
	}
	return s, nil
}

// advisedTTL is how often a secret wants to be read again: its own field ttl or
// lease says so, else it is the mount's default.
func advisedTTL(data json.RawMessage, otherwise time.Duration) time.Duration {
	for _, name := range [...]string{"ttl", "lease"} {
		if !bytes.Contains(data, []byte(`"`+name+`"`)) {
			continue // as nearly always: don't decode
		}
		own := logical.Request{Body: data}
		if own.Accept(logical.Fields{name: {Type: logical.Duration}}, nil, nil) != nil {
			return otherwise // some other kind of ttl
		}
		if ttl := own.Duration(name); ttl > 0 {
			return ttl
		}
	}
	return otherwise
}

func event1(r *logical.Request, op, path string, written json.RawMessage) logical.Event {
	e := logical.Event{Type: "kv-v1/" + op, Path: path, Secret: written, Metadata: map[string]string{
		"path": r.Mount.Path + path, "operation": op, "modified": "true",
	}}
	if written != nil {
		e.Metadata["data_path"] = r.Mount.Path + path
	}
	return e
}
