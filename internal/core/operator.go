package core

import (
	"context"

	"github.com/cofferhq/coffer/internal/custody"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/token"
)

// InitResult is what a new server gives its operator, once.
type InitResult struct {
	custody.Result
	RootToken secret.Bytes
}

// Init makes a new server of an empty store: keys, first mounts and policies, a
// root token. rootToken is the token's text; empty: a random one. The server is
// sealed afterwards unless it unseals itself.
func (c *Core) Init(ctx context.Context, p custody.Params, rootToken string) (InitResult, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var result InitResult
	keys, err := c.Keeper.Init(ctx, p, func(tx *storage.Tx) error {
		if err := c.furnish(ctx, tx); err != nil {
			return err
		}
		text, err := c.tokens.Create(ctx, tx, c.rootToken(), rootToken)
		result.RootToken = secret.Text(text)
		return err
	})
	if err != nil {
		return InitResult{}, err
	}
	result.Result = keys
	if c.Keeper.Auto() {
		return result, c.autoUnsealLocked(ctx)
	}
	return result, nil
}

func (c *Core) rootToken() *token.Token {
	return &token.Token{
		Namespace: RootNamespace, Type: logical.TokenService, Path: "auth/token/root",
		Policies: []string{token.RootPolicy}, Display: "root", Orphan: true, Created: c.Now(),
	}
}

// Unseal takes one share of the unseal key. When enough have come, the core
// serves.
func (c *Core) Unseal(ctx context.Context, share []byte) (custody.Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	status, err := c.Keeper.Unseal(ctx, share)
	if err != nil || status.Sealed {
		return status, err
	}
	if err := c.startLocked(ctx); err != nil {
		c.barrier.Seal()
		return custody.Status{}, err
	}
	return status, nil
}

// AutoUnseal unseals with the seal's own key.
func (c *Core) AutoUnseal(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.autoUnsealLocked(ctx)
}

func (c *Core) autoUnsealLocked(ctx context.Context) error {
	if err := c.Keeper.AutoUnseal(ctx); err != nil {
		return err
	}
	if err := c.startLocked(ctx); err != nil {
		c.barrier.Seal()
		return err
	}
	return nil
}

// Seal ends serving: the keys leave memory.
func (c *Core) Seal(context.Context) error {
	c.log.Info("sealed")
	return c.Close()
}

// Status tells of the seal.
func (c *Core) Status(ctx context.Context) (custody.Status, error) { return c.Keeper.Status(ctx) }

// Sealed says whether the core serves nothing.
func (c *Core) Sealed() bool { return c.live.Load() == nil }
