package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/token"
)

// perform runs the engine and settles what its answer brings, in one commit.
func (c *Core) perform(ctx context.Context, v *visit) (*Answer, error) {
	var err error
	act := v.act
	if v.action.Outside {
		act, err = c.outside(ctx, v)
	}
	var answer *Answer
	var rev storage.Revision
	if err == nil {
		answer, rev, err = c.commit(ctx, v, act)
	}
	if err == nil {
		err = c.useWrapping(ctx, v, answer)
	}
	if v.lastUse {
		c.revokeUsedUp(ctx, v)
		if err == nil && answer.leased != "" {
			err = errLentOnLastUse
		}
	}
	if err != nil {
		return nil, fromStorage(err)
	}
	answer.Revision = rev
	return answer, nil
}

// action is what a request does in the commit that settles it.
type action func(ctx context.Context, r *logical.Request) (*logical.Response, error)

// act is the action of the endpoint that v is routed to at that moment.
func (v *visit) act(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return v.action.Do(ctx, r)
}

// commit runs act and settles what it answers, in one commit.
func (c *Core) commit(ctx context.Context, v *visit, act action) (answer *Answer, rev storage.Revision, err error) {
	attempts := 0
	rev, err = storage.Update(ctx, c.barrier, func(tx *storage.Tx) error {
		if attempts++; attempts > 1 {
			if err := c.again(v); err != nil {
				return err
			}
		}
		v.request.Part = tx.Below(v.mount.Data)
		v.request.Events, v.request.Tasks = nil, nil
		resp, err := act(ctx, v.request)
		if err != nil {
			return err
		}
		answer, err = c.settle(ctx, tx, v, resp)
		if tx.Changed() {
			// What was written is lost if the mount is gone by now: then don't.
			tx.Expect(mount.TableKey(v.ns)+storage.Plain(v.mount.ID), v.mount.Revision)
		}
		return err
	})
	return answer, rev, err
}

// again routes v anew after a conflict: meanwhile its mount may have been tuned,
// moved or disabled.
func (c *Core) again(v *visit) error {
	l := c.live.Load()
	if l == nil || l.epoch != v.live.epoch {
		return logical.ErrSealed
	}
	m := l.table.ByID(v.mount.ID)
	switch {
	case m == v.mount:
		return nil
	case m == nil || m.Leaving || m.Path != v.mount.Path:
		return noRoute(v.Path)
	}
	endpoint, params := m.Engine.Endpoints.Find(v.rest)
	if endpoint == nil {
		return logical.ErrUnsupportedPath
	}
	action := endpoint.Action(v.Op)
	if action == nil {
		return logical.ErrUnsupportedOp
	}
	v.live, v.mount, v.action, v.params, v.request.Mount = l, m, action, params, m.Point
	return v.request.Accept(action.Fields, params, v.query())
}

// useWrapping uses up the token whose answer was wrapped again. The new one is
// stored by now, so that nothing is lost between, and nobody has seen it yet: if
// another has used the old one meanwhile, it goes.
func (c *Core) useWrapping(ctx context.Context, v *visit, a *Answer) error {
	if a.replaces == nil {
		return nil
	}
	_, err := c.tokens.Use(ctx, a.replaces, v.Now)
	if err == nil {
		return c.tokens.Revoke(ctx, v.ns, a.replaces.ID, v.Now)
	}
	c.undo(a)
	if errors.Is(err, token.ErrUnknown) {
		return errNotWrapping
	}
	return err
}

var errLentOnLastUse = logical.Invalid("Secret cannot be returned; token had one use left, so leased credentials were immediately revoked.")

// revokeUsedUp revokes a token that was used for the last time, and with it what
// this use has given away.
func (c *Core) revokeUsedUp(ctx context.Context, v *visit) {
	if err := c.tokens.Revoke(context.WithoutCancel(ctx), v.ns, v.token.ID, v.Now); err != nil {
		// The token is of no use already, and the due queue does the rest.
		c.log.Warn("revoking a token after its last use", "request", v.ID, "error", err)
	}
}

// fromStorage gives failures of the store a kind.
func fromStorage(err error) error {
	switch {
	case errors.Is(err, storage.ErrConflict):
		return &logical.Error{Kind: logical.ErrConflict, Text: "too many concurrent changes of the same data, try again", Err: err}
	case errors.Is(err, storage.ErrTooLarge):
		return &logical.Error{Kind: logical.ErrTooLarge, Text: "the data, or its path, is too large to be stored at once", Err: err}
	case errors.Is(err, storage.ErrUnknownOutcome):
		return &logical.Error{Kind: errInternal, Text: "outcome unknown: the storage did not confirm the change", Err: err}
	}
	return err
}

// encode marshals an engine's data once, for the answer and for the audit.
func encode(data any) (json.RawMessage, error) {
	switch data := data.(type) {
	case nil:
		return nil, nil
	case json.RawMessage:
		return data, nil
	case logical.Appender:
		return data.AppendJSON(nil), nil
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	return raw, nil
}
