package sys

import (
	"context"
	"errors"
	"time"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

var keyRotationFields = logical.Fields{
	"max_operations": {Type: logical.Int, Help: "Encryptions after which the key is rotated, 1,000,000 to 3,865,470,566."},
	"interval":       {Type: logical.Duration, Help: "Age at which the key is rotated, a day at least; 0: none."},
	"enabled":        {Type: logical.Bool, Help: "Rotate the key without being asked."},
}

var keyRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "key-status", Do: (*system).keyStatus, Help: "Tell which encryption key is in use, since when, and how much."},
	{Op: logical.Write, Path: "rotate", Do: (*system).rotate, Sudo: true, Help: "Encrypt what is written from now on with a new key."},
	{Op: logical.Read, Path: "rotate/config", Do: (*system).readKeyRotation, Sudo: true, Help: "Tell when the encryption key is rotated without being asked."},
	{Op: logical.Write, Path: "rotate/config", Do: (*system).writeKeyRotation, Sudo: true, Fields: keyRotationFields, Help: "Say when the encryption key is rotated without being asked."},
}

func (s *system) keyStatus(ctx context.Context, _ *logical.Request) (*logical.Response, error) {
	terms := s.Barrier.Terms()
	if len(terms) == 0 {
		return nil, logical.ErrSealed
	}
	n, err := s.Barrier.Encryptions(ctx)
	if err != nil {
		return nil, err
	}
	newest := terms[len(terms)-1]
	return &logical.Response{TopLevel: true, Data: object{
		"term": newest.Number, "install_time": newest.Created.Format(time.RFC3339Nano), "encryptions": n,
	}}, nil
}

func (s *system) rotate(ctx context.Context, _ *logical.Request) (*logical.Response, error) {
	err := s.Barrier.Rotate(ctx)
	if errors.Is(err, storage.ErrConflict) {
		return nil, logical.Errorf(logical.ErrConflict, "another node has just rotated the encryption key")
	}
	return nil, err
}

func (s *system) readKeyRotation(ctx context.Context, _ *logical.Request) (*logical.Response, error) {
	var policy barrier.Rotation
	err := storage.View(ctx, s.Store, func(tx *storage.Tx) (err error) {
		policy, err = barrier.ReadRotation(ctx, tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	// As in Vault an interval is a text, and none is a number.
	data := object{"enabled": policy.Enabled, "interval": 0, "max_operations": policy.MaxOperations}
	if policy.Interval > 0 {
		data["interval"] = policy.Interval.String()
	}
	return &logical.Response{TopLevel: true, Data: data}, nil
}

// writeKeyRotation changes what the request names. It counts from the next look at
// the key on, which is minutes away at most.
func (s *system) writeKeyRotation(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	_, err := storage.Update(ctx, s.Store, func(tx *storage.Tx) error {
		policy, err := barrier.ReadRotation(ctx, tx)
		if err != nil {
			return err
		}
		if r.Has("max_operations") {
			policy.MaxOperations = int64(r.Int("max_operations"))
		}
		if r.Has("interval") {
			policy.Interval = r.Duration("interval")
		}
		if r.Has("enabled") {
			policy.Enabled = r.Bool("enabled")
		}
		if err := policy.Check(); err != nil {
			return err
		}
		return policy.Put(tx)
	})
	return nil, err
}
