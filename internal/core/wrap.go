package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/token"
)

// A wrapped answer lies in the cubbyhole of a token that can be used once.
const (
	wrappingPolicy = "response-wrapping"
	wrappingPath   = "response" // in the cubbyhole
)

var errNotWrapping = logical.Invalid("wrapping token is not valid or does not exist")

// wrap puts a away and returns the answer that tells how to get it.
func (c *Core) wrap(ctx context.Context, tx *storage.Tx, v *visit, a *Answer) (*Answer, error) {
	payload, err := a.AppendJSON(nil)
	if err != nil {
		return nil, err
	}
	told := &Answer{RequestID: a.RequestID, Warnings: a.Warnings, issued: a.issued, leased: a.leased, after: a.after}
	if err := c.putAway(ctx, tx, v, payload, v.Path, v.WrapTTL, told); err != nil {
		return nil, err
	}
	if a.Auth != nil {
		told.Wrap.WrappedAccessor = a.Auth.Accessor
	}
	return told, nil
}

// wrapAgain puts away what another wrapping token stood for, as it was put away
// the first time. That token is used up by useWrapping.
func (c *Core) wrapAgain(ctx context.Context, tx *storage.Tx, v *visit, resp *logical.Response, a *Answer) (err error) {
	text := v.request.Text("token")
	if text == "" {
		text = v.Token
	}
	a.MountType = ""
	if a.replaces, err = c.wrappingToken(ctx, v.ns, text, v.Now); err != nil {
		return err
	}
	if err := c.putAway(ctx, tx, v, resp.Wrapped, resp.Rewrap.Path, resp.Rewrap.TTL, a); err != nil {
		return err
	}
	var inner envelope
	if err := json.Unmarshal(resp.Wrapped, &inner); err != nil {
		return fmt.Errorf("wrapped answer: %w", err)
	}
	if inner.Auth != nil {
		a.Wrap.WrappedAccessor = inner.Auth.Accessor
	}
	return nil
}

// putAway makes a wrapping token, of which a tells, and writes payload into its
// cubbyhole.
func (c *Core) putAway(ctx context.Context, tx *storage.Tx, v *visit, payload json.RawMessage, path string, ttl time.Duration, a *Answer) error {
	t := &token.Token{
		Namespace: v.ns, Type: logical.TokenService, Path: path,
		Policies: []string{wrappingPolicy}, Display: "wrapping", TTL: ttl, ExplicitMax: ttl,
		NumUses: 1, Orphan: true,
	}
	t.Grant(v.Now, token.Limits{Default: ttl, Max: ttl})
	text, err := c.tokens.Create(ctx, tx, t, "")
	if err != nil {
		return err
	}
	a.issued = append(a.issued, t.ID)
	a.Wrap = &Wrap{
		Token: text, Accessor: t.Accessor, TTL: int64(ttl / time.Second),
		CreationTime: v.Now.Format(time.RFC3339Nano), CreationPath: path,
	}
	body, err := json.Marshal(map[string]string{"response": string(payload)})
	if err != nil {
		return err
	}
	_, err = c.inCubbyhole(ctx, tx, v.live, t, logical.Write, body, v.Now)
	return err
}

// inCubbyhole does op on the wrapped answer of t.
func (c *Core) inCubbyhole(ctx context.Context, tx *storage.Tx, l *live, t *token.Token, op logical.Op, body json.RawMessage, now time.Time) (*logical.Response, error) {
	m := l.cubbyhole()
	if m == nil {
		return nil, errors.New("core: internal error: no cubbyhole is mounted")
	}
	endpoint, params := m.Engine.Endpoints.Find(wrappingPath)
	action := endpoint.Action(op)
	r := &logical.Request{
		Op: op, Path: wrappingPath, Mount: m.Point, Body: body, Caller: t.Caller(), Now: now,
		Part: tx.Below(m.Data),
	}
	if err := r.Accept(action.Fields, params, nil); err != nil {
		return nil, err
	}
	return action.Do(ctx, r)
}

func (l *live) cubbyhole() *mount.Mounted { return l.table.At("cubbyhole") }

// wrappingToken returns the living wrapping token with that text.
func (c *Core) wrappingToken(ctx context.Context, ns, text string, now time.Time) (*token.Token, error) {
	t, err := c.tokens.Lookup(ctx, ns, text, now)
	if errors.Is(err, token.ErrUnknown) || err == nil && !isWrapping(t) {
		return nil, errNotWrapping
	}
	return t, err
}

func isWrapping(t *token.Token) bool {
	return len(t.Policies) == 1 && t.Policies[0] == wrappingPolicy
}

// payload reads what is wrapped by t.
func (c *Core) payload(ctx context.Context, t *token.Token, now time.Time) (raw json.RawMessage, err error) {
	l := c.live.Load()
	if l == nil {
		return nil, logical.ErrSealed
	}
	err = storage.View(ctx, c.barrier, func(tx *storage.Tx) error {
		resp, err := c.inCubbyhole(ctx, tx, l, t, logical.Read, nil, now)
		if errors.Is(err, logical.ErrNotFound) {
			return errNotWrapping
		}
		if err != nil {
			return err
		}
		data, err := encode(resp.Data)
		if err != nil {
			return err
		}
		var hole struct {
			Response string `json:"response"`
		}
		if err := json.Unmarshal(data, &hole); err != nil {
			return err
		}
		raw = json.RawMessage(hole.Response)
		return nil
	})
	return raw, err
}

// Unwrap returns the answer that a wrapping token gives, once.
func (c *Core) Unwrap(ctx context.Context, ns, text string, now time.Time) (json.RawMessage, error) {
	t, err := c.wrappingToken(ctx, ns, text, now)
	if err != nil {
		return nil, err
	}
	// Read first: from its last use on, what is in the token's cubbyhole may be
	// gone any moment.
	raw, err := c.payload(ctx, t, now)
	if err != nil {
		return nil, err
	}
	if _, err := c.tokens.Use(ctx, t, now); errors.Is(err, token.ErrUnknown) {
		return nil, errNotWrapping
	} else if err != nil {
		return nil, err
	}
	if err := c.tokens.Revoke(ctx, ns, t.ID, now); err != nil {
		c.log.Warn("revoking a wrapping token after its use", "error", err) // the due queue does the rest
	}
	return raw, nil
}

// Wrapping tells of a wrapping token without using it up.
func (c *Core) Wrapping(ctx context.Context, ns, text string, now time.Time) (*token.Token, error) {
	return c.wrappingToken(ctx, ns, text, now)
}

// Wrapped returns what a wrapping token gives, without using it up: for wrapping
// it again.
func (c *Core) Wrapped(ctx context.Context, ns, text string, now time.Time) (json.RawMessage, error) {
	t, err := c.wrappingToken(ctx, ns, text, now)
	if err != nil {
		return nil, err
	}
	return c.payload(ctx, t, now)
}
