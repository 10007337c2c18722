package sys

import (
	"context"
	"errors"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/token"
)

func (t *tokens) revoke(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	if r.Text("token") == "" {
		return nil, logical.Invalid("missing token ID")
	}
	found, err := t.Tokens.Lookup(ctx, rootNS, r.Text("token"), r.Now)
	if errors.Is(err, token.ErrUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return t.revoked(ctx, r, found)
}

func (t *tokens) revoked(ctx context.Context, r *logical.Request, found *token.Token) (*logical.Response, error) {
	if found.Batch() {
		return nil, logical.Invalid("batch tokens cannot be revoked")
	}
	return nil, t.Tokens.Revoke(ctx, rootNS, found.ID, r.Now)
}

func (t *tokens) revokeSelf(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	if r.Caller.TokenType == logical.TokenBatch {
		return nil, logical.Invalid("batch tokens cannot be revoked")
	}
	return nil, t.Tokens.Revoke(ctx, rootNS, r.Caller.TokenID, r.Now)
}

func (t *tokens) revokeAccessor(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	found, err := t.findAccessor(ctx, r)
	if err != nil {
		return nil, err
	}
	return t.revoked(ctx, r, found)
}

func (t *tokens) revokeOrphan(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	if r.Text("token") == "" {
		return nil, logical.Invalid("missing token ID")
	}
	found, err := t.find(ctx, r, r.Text("token"))
	if err != nil {
		return nil, err
	}
	if found.Batch() {
		return nil, logical.Invalid("batch tokens cannot be revoked")
	}
	return nil, t.Tokens.RevokeOrphan(ctx, rootNS, found.ID, r.Now)
}
