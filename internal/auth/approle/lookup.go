package approle

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

func (method) listSecretIDs(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	o, err := existing(ctx, r)
	if err != nil {
		return nil, err
	}
	var keys []string
	prefix := accessorPrefix(o.ID)
	for e, err := range r.Part.Scan(ctx, prefix, "") {
		if err != nil {
			return nil, err
		}
		row, err := decodeAccessor(e.Value)
		if err != nil {
			return nil, err
		}
		if expired(row.Expires, r.Now) {
			continue
		}
		accessor, _, err := storage.Cut(e.Key[len(prefix):])
		if err != nil {
			return nil, err
		}
		keys = append(keys, accessor.Text())
	}
	if len(keys) == 0 {
		return nil, logical.ErrNotFound
	}
	slices.Sort(keys)
	return &logical.Response{Data: object{"keys": keys}}, nil
}

func decodeAccessor(value []byte) (row accessorRow, err error) {
	err = accessorForm.Decode(value, &row)
	return row, err
}

// bySecretID returns the living secret id that the request names, or nil.
func bySecretID(ctx context.Context, r *logical.Request) (*secretID, error) {
	text := strings.TrimSpace(r.Text("secret_id"))
	if text == "" {
		return nil, logical.Invalid("missing secret_id")
	}
	o, err := existing(ctx, r)
	if err != nil {
		return nil, err
	}
	s, err := loadSecretID(ctx, r.Part, o.ID, hashOf(o.ID, text))
	if err != nil || s == nil || expired(s.Expires, r.Now) {
		return nil, err
	}
	return s, nil
}

// byAccessor returns the living secret id with the accessor that the request
// names.
func byAccessor(ctx context.Context, r *logical.Request) (*secretID, error) {
	accessor := strings.TrimSpace(r.Text("secret_id_accessor"))
	if accessor == "" {
		return nil, logical.Invalid("missing secret_id_accessor")
	}
	o, err := existing(ctx, r)
	if err != nil {
		return nil, err
	}
	// Not which one: a secret id may have been taken for its accessor.
	unknown := logical.Errorf(logical.ErrNotFound, "failed to find accessor entry for secret_id_accessor")
	e, err := r.Part.Get(ctx, accessorPrefix(o.ID)+storage.Name(accessor))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, unknown
	}
	if err != nil {
		return nil, err
	}
	row, err := decodeAccessor(e.Value)
	if err != nil {
		return nil, err
	}
	s, err := loadSecretID(ctx, r.Part, o.ID, row.Hash)
	if err != nil {
		return nil, err
	}
	if s == nil || s.Accessor != accessor || expired(s.Expires, r.Now) {
		return nil, unknown
	}
	return s, nil
}

// about is a secret id as lookups tell it.
func about(s *secretID) *logical.Response {
	data := object{
		"secret_id_accessor": s.Accessor, "secret_id_num_uses": s.Left, "secret_id_ttl": seconds(s.TTL),
		"creation_time": s.Created, "expiration_time": s.Expires, "last_updated_time": s.Updated,
		"metadata": s.Metadata, "cidr_list": orEmpty(s.CIDRs),
		"token_bound_cidrs": orEmpty(s.TokenCIDRs),
	}
	if s.Metadata == nil {
		data["metadata"] = object{}
	}
	return &logical.Response{Data: data}
}

func (method) lookup(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	s, err := bySecretID(ctx, r)
	if err != nil || s == nil {
		return nil, err
	}
	return about(s), nil
}

func (method) destroy(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	s, err := bySecretID(ctx, r)
	if err != nil || s == nil {
		return nil, err
	}
	s.remove(r.Part)
	return nil, nil
}

func (method) lookupAccessor(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	s, err := byAccessor(ctx, r)
	if err != nil {
		return nil, err
	}
	return about(s), nil
}

func (method) destroyAccessor(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	s, err := byAccessor(ctx, r)
	if err != nil {
		return nil, err
	}
	s.remove(r.Part)
	return nil, nil
}
