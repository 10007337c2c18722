package sys

import (
	"context"
	"strings"

	"github.com/cofferhq/coffer/internal/consumer"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/policy"
	"github.com/cofferhq/coffer/internal/storage"
)

var consumerRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "coffer/consumers/{path...}", Do: (*system).readConsumers, Fields: logical.Fields{
		"version": {Type: logical.Int, Help: "Version from which consumers are seen; 0 is the newest."},
	}, Help: "List who has read a secret, and what is known of them."},
	{Op: logical.Write, Path: "coffer/acknowledge", Do: (*system).acknowledge, Fields: logical.Fields{
		"path":     {Type: logical.Text, Help: "The secret, which the caller may read: secret/app/db."},
		"version":  {Type: logical.Int, Help: "The version that is in use; 0 says goodbye: none is any more."},
		"instance": {Type: logical.Text, Help: "What tells clients apart that share a token; may be empty."},
	}, Help: "Say which version of a secret the caller uses."},
}

// secretAt finds the secret at path, and its path in the API.
func (s *system) secretAt(path string) (consumer.Secret, string, error) {
	m, rest := s.House.Mounts().Find(strings.TrimPrefix(path, "/"))
	if m == nil || !versioned(m) {
		return consumer.Secret{}, "", logical.Invalid("%q is not below a KV mount of version 2", path)
	}
	rest = strings.TrimPrefix(strings.Trim(rest, "/"), "data/")
	return consumer.Secret{MountID: m.ID, Path: rest}, m.Path + "data/" + rest, nil
}

func (s *system) readConsumers(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	secret, _, err := s.secretAt(r.Text("path"))
	if err != nil {
		return nil, err
	}
	version := r.Int("version")
	if version < 0 {
		return nil, logical.Invalid("version must not be negative")
	}
	if version == 0 {
		if version, err = s.House.NewestVersion(ctx, secret); err != nil {
			return nil, err
		}
	}
	told := []object{}
	err = s.House.EachConsumer(ctx, secret, version, false, func(c *consumer.Consumer, state consumer.State) {
		accessor := c.Token
		if c.Batch {
			accessor = "" // what stands there tells it from others, and is nobody's business
		}
		told = append(told, object{
			"accessor": accessor, "instance": c.Instance, "batch": c.Batch, "entity_id": c.EntityID, "display_name": c.Display,
			"role": c.Role, "address": c.Addr.String(), "first_read": timeOrNull(c.First), "last_read": timeOrNull(c.Last),
			"version_read": c.Read, "version_in_use": c.Using, "state": state,
		})
	})
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: object{"version": version, "consumers": told}}, nil
}

func (s *system) acknowledge(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	secret, path, err := s.secretAt(r.Text("path"))
	if err != nil {
		return nil, err
	}
	// Only who may read a secret can use it.
	acl, err := s.acl(ctx, r)
	if err != nil {
		return nil, err
	}
	if acl == nil || !acl.Check(policy.Query{Op: logical.Read, Path: path}).Allowed {
		return nil, logical.ErrDenied
	}
	version := r.Int("version")
	newest, err := s.House.NewestVersion(ctx, secret)
	if err != nil {
		return nil, err
	}
	if version < 0 || version > newest {
		return nil, logical.Invalid("there is no version %d of the secret", version)
	}
	if r.Caller.Root {
		return &logical.Response{Warnings: []string{"a root token is nobody's whom a rotation waits for: this is not remembered"}}, nil
	}
	who := consumer.ReaderOf(r.Caller, r.Token, r.RemoteAddr, r.Text("instance"))
	return s.order(ctx, func(tx *storage.Tx) error {
		if version == 0 {
			return s.House.Consumers().Leave(ctx, tx, secret, who, r.Now)
		}
		return s.House.Consumers().Acknowledge(ctx, tx, secret, who, version, r.Now)
	})
}
