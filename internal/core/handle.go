package core

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/policy"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/token"
)

// RootNamespace is the id of the only namespace there is.
const RootNamespace = "root"

// visit is one call on its way through Handle. Each step fills its part.
type visit struct {
	*Call
	ns   string
	left chan struct{} // closed when the call is over; guarded by underway, nil if nobody waits

	// route
	live   *live
	mount  *mount.Mounted
	rest   string // path below the mount
	action *logical.Action
	params []logical.Param
	found  bool // the engine has the path

	// identify
	token   *token.Token
	who     atomic.Pointer[token.Token] // token, for those who look on
	lastUse bool                        // this call has used the token up
	acl     *policy.ACL

	// decide
	request *logical.Request
	verdict policy.Verdict
}

// Handle does one call: route, limit, wait for its turn, identify, decide, record,
// engine and settle, record. No record, no work; no record, no answer. What is
// over a limit is no work, and is answered without a record unless one is wanted;
// nor is what gave up waiting.
//
// Every error is one of the kinds of package logical, or internal.
func (c *Core) Handle(ctx context.Context, call *Call) (*Answer, error) {
	v := &visit{Call: call}
	c.underway.enter(v)
	defer c.underway.leave(v)
	answer, err := c.answer(ctx, v)
	if err != nil {
		return nil, err
	}
	c.observe(v, answer)
	if answer.after != nil {
		answer.after()
	}
	return answer, nil
}

// answer does all of a call that may fail.
func (c *Core) answer(ctx context.Context, v *visit) (*Answer, error) {
	if err := c.route(v); err != nil {
		return nil, err
	}
	if err := c.limit(ctx, v); err != nil {
		return nil, c.refuseOverLimit(ctx, v, err)
	}
	q := c.queueOf(v)
	if err := q.enter(ctx); err != nil {
		return nil, err
	}
	defer q.leave()
	if err := c.admit(ctx, v); err != nil {
		return nil, err
	}
	answer, err := c.perform(ctx, v)
	if err != nil {
		return nil, c.recordRefusal(ctx, v, err)
	}
	if err := c.recordAnswer(ctx, v, answer); err != nil {
		c.undo(answer)
		return nil, err
	}
	return answer, nil
}

// admit identifies the caller, decides, and puts the request on record. After an
// error there is nothing left to do: a refusal is on record, too.
func (c *Core) admit(ctx context.Context, v *visit) error {
	refusal := c.identify(ctx, v)
	if refusal == nil {
		refusal = c.decide(ctx, v)
	}
	if err := c.recordRequest(ctx, v, refusal); err != nil {
		return err
	}
	// A request that is refused uses the token too: one of few uses is not for
	// trying doors.
	if err := c.spend(ctx, v); err != nil && refusal == nil {
		refusal = err
	}
	if refusal == nil {
		return nil
	}
	if v.lastUse {
		c.revokeUsedUp(ctx, v)
	}
	return c.recordRefusal(ctx, v, refusal)
}

// route finds the mount and the endpoint. That there is none is told later, to
// those who may know.
func (c *Core) route(v *visit) error {
	if v.live = c.live.Load(); v.live == nil {
		return logical.ErrSealed
	}
	switch strings.Trim(v.Namespace, "/") {
	case "", RootNamespace:
		v.ns = RootNamespace
	default:
		return logical.Errorf(logical.ErrNotFound, "no such namespace: %q", v.Namespace)
	}
	if err := checkPath(v.Path); err != nil {
		return err
	}
	v.mount, v.rest = v.live.table.Find(v.Path)
	v.request = &logical.Request{
		ID: v.ID, Op: v.Op, Path: v.rest, Body: v.Body,
		RemoteAddr: v.Remote.Addr(), Now: v.Now, WrapTTL: v.WrapTTL,
	}
	if v.Op == logical.Read && v.WrapTTL == 0 {
		v.request.Known = v.Known
	}
	if v.mount == nil {
		return nil
	}
	v.request.Mount = v.mount.Point
	if v.mount.Type == "system" || v.mount.Type == "token" {
		v.request.Token = v.Token
	}
	endpoint, params := v.mount.Engine.Endpoints.Find(v.rest)
	if v.found = endpoint != nil; v.found {
		v.action, v.params = endpoint.Action(v.Op), params
	}
	return nil
}

// maxOpenBody bounds what those who have shown nothing yet can have taken apart
// and put on record. No login needs as much.
const maxOpenBody = 1 << 20

// BodyLimit returns how large the body of a call may be, which is not read yet:
// limit, or less if that is more than anybody needs where the call goes. Below
// zero: any size.
func (c *Core) BodyLimit(call *Call, limit int64) int64 {
	v := &visit{Call: call}
	if c.route(v) == nil && v.action != nil && v.action.Open && (limit < 0 || limit > maxOpenBody) {
		return maxOpenBody
	}
	return limit
}

// checkPath refuses what no client means and some proxy might read otherwise.
func checkPath(path string) error {
	for rest, more := path, true; more; {
		var seg string
		seg, rest, more = strings.Cut(rest, "/")
		switch {
		case seg == "." || seg == "..":
			return logical.Invalid("path cannot contain parent references")
		case seg == "" && more:
			return logical.Invalid("path cannot contain empty segments")
		}
	}
	return nil
}

// identify finds out who calls.
func (c *Core) identify(ctx context.Context, v *visit) error {
	open := v.action != nil && v.action.Open
	if v.Token == "" {
		if open {
			return nil
		}
		return logical.Errorf(logical.ErrDenied, "permission denied").
			WithHint("the request has no token: log in first")
	}
	t, err := c.tokens.Lookup(ctx, v.ns, v.Token, v.Now)
	if err == nil && !t.UsableFrom(v.request.RemoteAddr) {
		err = token.ErrUnknown
	}
	switch {
	case errors.Is(err, token.ErrUnknown) && open:
		return nil
	case errors.Is(err, token.ErrUnknown):
		return logical.ErrDenied
	case err != nil:
		return err
	}
	v.token = t
	v.who.Store(t)
	v.request.Caller = t.Caller()
	v.acl, err = c.policies.ACL(ctx, t.Policies, t.EntityID)
	return err
}

// decide says whether the caller may do what it asks for.
func (c *Core) decide(ctx context.Context, v *visit) error {
	open := v.action != nil && v.action.Open
	err := c.read(ctx, v)
	if err == nil && v.action != nil && v.action.Max > 0 && len(v.Body) > v.action.Max {
		err = logical.Errorf(logical.ErrTooLarge, "the body is larger than the %d bytes this path takes", v.action.Max)
	}
	if open {
		return err
	}
	// A caller without any right learns nothing about the input.
	if v.verdict = v.acl.Check(v.check()); !v.verdict.Allowed {
		return logical.ErrDenied
	}
	switch {
	case err != nil:
		return err
	case v.mount == nil:
		return noRoute(v.Path)
	case !v.found:
		return logical.ErrUnsupportedPath
	case v.action == nil:
		return logical.ErrUnsupportedOp
	}
	return nil
}

// noRoute is what Vault answers about a path that is below no mount.
func noRoute(path string) error {
	return logical.Errorf(logical.ErrUnsupportedPath, "no handler for route %q. route entry not found.", path)
}

// read takes the fields off the request, and finds out whether a write creates.
func (c *Core) read(ctx context.Context, v *visit) error {
	if v.action == nil {
		return nil
	}
	if err := v.request.Accept(v.action.Fields, v.params, v.query()); err != nil {
		return err
	}
	return c.tellCreateFromUpdate(ctx, v)
}

// query is what fields may also come from: writes have a body instead.
func (v *visit) query() map[string][]string {
	switch v.Op {
	case logical.Read, logical.List, logical.Delete:
		return v.Query
	}
	return nil
}

func (v *visit) check() policy.Query {
	op := v.request.Op
	if op == logical.Write {
		op = logical.Update
	}
	return policy.Query{
		Op: op, Path: v.Path, Body: v.Body, WrapTTL: v.WrapTTL,
		Sudo: v.action != nil && v.action.Sudo,
	}
}

func (c *Core) tellCreateFromUpdate(ctx context.Context, v *visit) error {
	if v.Op != logical.Write {
		return nil
	}
	v.request.Op = logical.Update
	if v.action.Exists == nil || v.action.Open {
		return nil
	}
	return storage.View(ctx, c.barrier, func(tx *storage.Tx) error {
		v.request.Part = tx.Below(v.mount.Data)
		exists, err := v.action.Exists(ctx, v.request)
		if err == nil && !exists {
			v.request.Op = logical.Create
		}
		return err
	})
}

// spend takes one use off a token that has a limited number.
func (c *Core) spend(ctx context.Context, v *visit) error {
	if v.token == nil || v.token.NumUses == 0 || v.action != nil && v.action.Open {
		return nil
	}
	left, err := c.tokens.Use(ctx, v.token, v.Now)
	if err != nil {
		return unknownIsDenied(err)
	}
	v.token.NumUses, v.lastUse = left, left == 0
	return nil
}
