package core

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/cofferhq/coffer/internal/audit"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/token"
)

// What a caller learns when no audit device took the entry. After a change it
// must know that the change may stand.
const (
	notRecorded = "the request could not be recorded by any audit device"
	notAnswered = "outcome unknown: the answer could not be recorded by any audit device"
)

// recordRequest puts the request on record before anything is done. refusal is
// why it will not be done, or nil.
func (c *Core) recordRequest(ctx context.Context, v *visit, refusal error) error {
	return c.record(ctx, v, refusal, nil, c.devices.LogRequest, notRecorded)
}

// recordRefusal puts on record that the call was answered with err, and returns
// it, or why that could not be recorded.
func (c *Core) recordRefusal(ctx context.Context, v *visit, err error) error {
	if auditErr := c.record(ctx, v, err, nil, c.logResponse, notRecorded); auditErr != nil {
		return auditErr
	}
	return err
}

// recordAnswer puts the answer on record before its first byte leaves.
func (c *Core) recordAnswer(ctx context.Context, v *visit, a *Answer) error {
	text := notAnswered
	if v.Op == logical.Read || v.Op == logical.List {
		text = notRecorded
	}
	return c.record(ctx, v, nil, a, c.logResponse, text)
}

// logResponse records what became of a request. That the client has gone away is
// no reason to record less.
func (c *Core) logResponse(ctx context.Context, e *audit.Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	return c.devices.LogResponse(ctx, e)
}

func (c *Core) record(ctx context.Context, v *visit, failure error, a *Answer, log func(context.Context, *audit.Entry) error, text string) error {
	var err error
	if !c.devices.Empty() {
		var e *audit.Entry
		if e, err = c.entry(v, failure); err == nil {
			if a != nil {
				e.Response = answerEntry(v, a)
			}
			err = log(ctx, e)
		}
	}
	// Sealing closes the devices, and without any nothing need be recorded: that
	// was not meant for what is still under way.
	if l := c.live.Load(); l == nil || l.epoch != v.live.epoch {
		return logical.ErrSealed
	}
	if err == nil {
		return nil
	}
	c.log.Error("audit failed", "request", v.ID, "error", err)
	return &logical.Error{Kind: errInternal, Text: text, Err: err}
}

// errInternal is the kind of failures that are nobody's fault but ours.
var errInternal = errors.New("internal error")

func (c *Core) entry(v *visit, failure error) (*audit.Entry, error) {
	e := &audit.Entry{
		Time: c.Now(), Error: callerText(failure),
		Request: audit.Request{
			ID: v.ID, Op: v.request.Op, ClientToken: v.Token, Namespace: audit.Namespace{ID: v.ns},
			Path: v.Path, Data: v.Body, Remote: v.Remote, WrapTTL: v.WrapTTL,
		},
	}
	if len(v.live.surface.headers) > 0 {
		e.Request.Headers = v.live.surface.of(v.Call)
	}
	if len(v.Body) == 0 && len(v.Query) > 0 {
		var err error
		if e.Request.Data, err = queryObject(v.Query); err != nil {
			return nil, err
		}
	}
	if m := v.mount; m != nil {
		e.Request.Mount = audit.Mount{Point: m.Path, Type: m.Type, Accessor: m.Accessor, Class: "secret"}
		if m.Auth() {
			e.Request.Mount.Class = "auth"
		}
		e.PlainRequestKeys, e.PlainResponseKeys = m.Config.AuditRequestKeys, m.Config.AuditResponseKeys
	}
	if t := v.token; t != nil {
		e.Request.TokenAccessor = t.Accessor
		e.Auth = callerEntry(t, v.Token)
		e.Auth.Results = &audit.PolicyResults{Allowed: v.verdict.Allowed, Granting: v.verdict.Policies}
	}
	return e, nil
}

func callerEntry(t *token.Token, text string) *audit.Auth {
	return &audit.Auth{
		ClientToken: text, Accessor: t.Accessor, DisplayName: t.Display,
		Policies: t.Policies, TokenPolicies: t.Policies, Metadata: t.Meta, EntityID: t.EntityID,
		NumUses: t.NumUses, TokenType: t.Type, TokenTTL: t.TTL, TokenIssueTime: t.Created,
	}
}

func answerEntry(v *visit, a *Answer) *audit.Response {
	r := &audit.Response{Data: a.Data, LeaseID: a.LeaseID, Warnings: a.Warnings, NotModified: a.NotModified}
	if a.Auth != nil {
		r.Auth = &audit.Auth{
			ClientToken: a.Auth.ClientToken, Accessor: a.Auth.Accessor, DisplayName: a.Auth.display, Policies: a.Auth.Policies,
			TokenPolicies: a.Auth.TokenPolicies, Metadata: a.Auth.Metadata, EntityID: a.Auth.EntityID,
			NumUses: a.Auth.NumUses, TokenType: a.Auth.TokenType,
			TokenTTL: time.Duration(a.Auth.LeaseDuration) * time.Second,
		}
	}
	if a.Wrap != nil {
		r.Wrap = &audit.Wrap{
			Token: a.Wrap.Token, Accessor: a.Wrap.Accessor, WrappedAccessor: a.Wrap.WrappedAccessor,
			TTL: time.Duration(a.Wrap.TTL) * time.Second, CreationTime: v.Now, CreationPath: a.Wrap.CreationPath,
		}
	}
	return r
}

func queryObject(query map[string][]string) (json.RawMessage, error) {
	object := make(map[string]any, len(query))
	for name, list := range query {
		if object[name] = list; len(list) == 1 {
			object[name] = list[0]
		}
	}
	return json.Marshal(object)
}

// callerText is what the caller sees of a failure; all else stays in the log.
func callerText(err error) string {
	var e *logical.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Error()
	}
	for _, kind := range []error{logical.ErrDenied, logical.ErrNotFound, logical.ErrUnsupportedPath, logical.ErrUnsupportedOp, logical.ErrSealed} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return errInternal.Error()
}
