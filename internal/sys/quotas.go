package sys

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/quota"
)

var quotaFields = logical.Fields{
	"rate":           {Type: logical.Text, Help: "Requests an interval that a client may make; may have a fraction."},
	"interval":       {Type: logical.Duration, Help: "The time that rate is for; a second if absent."},
	"block_interval": {Type: logical.Duration, Help: "How long all is refused to a client that was over the limit."},
	"path":           {Type: logical.Text, Help: "A mount, or a path below one, with * at its end all that begin so; empty: the whole server."},
	"role":           {Type: logical.Text, Help: "Limit logins with this role only; path is an auth method with roles."},
	"inheritable":    {Type: logical.Bool, Help: "Kept for clients; there are no namespaces below."},
	"type":           {Type: logical.Text, Help: "Kept for clients; always rate-limit."},
}

var quotaConfigFields = logical.Fields{
	"rate_limit_exempt_paths":            {Type: logical.Texts, Help: "Paths that no quota is for."},
	"enable_rate_limit_audit_logging":    {Type: logical.Bool, Help: "Put requests that a quota refuses on record."},
	"enable_rate_limit_response_headers": {Type: logical.Bool, Help: "Tell of the quota in headers of the answers."},
}

var quotaRoutes = logical.Routes[*system]{
	{Op: logical.List, Path: "quotas/rate-limit", Do: (*system).listQuotas, Help: "List the names of the rate limit quotas."},
	{Op: logical.Read, Path: "quotas/rate-limit/{name}", Do: (*system).readQuota, Help: "Read a rate limit quota."},
	{Op: logical.Write, Path: "quotas/rate-limit/{name}", Do: (*system).writeQuota, Fields: quotaFields, Help: "Create or replace a rate limit quota."},
	{Op: logical.Delete, Path: "quotas/rate-limit/{name}", Do: (*system).deleteQuota, Help: "Delete a rate limit quota."},
	{Op: logical.Read, Path: "quotas/config", Do: (*system).readQuotaConfig, Help: "Read what is for all quotas."},
	{Op: logical.Write, Path: "quotas/config", Do: (*system).writeQuotaConfig, Fields: quotaConfigFields, Help: "Change what is for all quotas."},
}

func (s *system) listQuotas(context.Context, *logical.Request) (*logical.Response, error) {
	names := s.House.Quotas().Names()
	if len(names) == 0 {
		return nil, logical.ErrNotFound
	}
	return &logical.Response{Data: object{"keys": names}}, nil
}

func (s *system) readQuota(_ context.Context, r *logical.Request) (*logical.Response, error) {
	q, ok := s.House.Quotas().Rule(r.Text("name"))
	if !ok {
		return nil, logical.ErrNotFound
	}
	path := q.Path
	if q.MountID != "" {
		m := s.House.Mounts().ByID(q.MountID)
		if m == nil {
			return nil, logical.ErrNotFound
		}
		path = m.Path + q.Path
	}
	return &logical.Response{Data: object{
		"name": q.Name, "type": "rate-limit", "path": path, "role": q.Role, "rate": q.Rate,
		"interval": seconds(q.Interval), "block_interval": seconds(q.Block), "inheritable": q.Inheritable,
	}}, nil
}

func (s *system) writeQuota(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	rate, err := strconv.ParseFloat(r.Text("rate"), 64)
	if err != nil {
		return nil, logical.Invalid("'rate' is invalid: expected a number")
	}
	q := quota.Rule{
		Name: r.Text("name"), Rate: rate, Role: r.Text("role"),
		Interval: r.Duration("interval"), Block: r.Duration("block_interval"),
	}
	if q.Interval == 0 {
		q.Interval = time.Second
	}
	var m *mount.Mounted
	if path := r.Text("path"); path != "" {
		if m, q.Path = s.House.Mounts().Find(strings.TrimPrefix(path, "/")); m == nil {
			return nil, logical.Invalid("invalid quota path %q: no mount is there", path)
		}
		q.MountID = m.ID
	}
	if q.Role != "" && (m == nil || m.Engine.LoginRole == nil) {
		return nil, logical.Invalid("'role' needs the path of an auth mount that has roles")
	}
	// What is for the whole server is for all namespaces; a mount has none below.
	if q.Inheritable = m == nil; r.Has("inheritable") {
		q.Inheritable = r.Bool("inheritable")
	}
	if q.Inheritable && m != nil {
		return nil, logical.Invalid("'inheritable' is for quotas of a namespace only")
	}
	rev, err := s.House.Quotas().Put(ctx, q)
	if err != nil {
		return nil, err
	}
	return nil, s.House.Await(ctx, rev)
}

func (s *system) deleteQuota(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	rev, err := s.House.Quotas().Delete(ctx, r.Text("name"))
	if err != nil {
		return nil, err
	}
	return nil, s.House.Await(ctx, rev)
}

func (s *system) readQuotaConfig(context.Context, *logical.Request) (*logical.Response, error) {
	settings := s.House.Quotas().Settings()
	return &logical.Response{Data: object{
		"rate_limit_exempt_paths":            append([]string{}, settings.ExemptPaths...), // a list also if it is empty
		"enable_rate_limit_audit_logging":    settings.Audit,
		"enable_rate_limit_response_headers": settings.Headers,
	}}, nil
}

func (s *system) writeQuotaConfig(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	rev, err := s.House.Quotas().Configure(ctx, func(to *quota.Settings) {
		setTexts(r, "rate_limit_exempt_paths", &to.ExemptPaths)
		if r.Has("enable_rate_limit_audit_logging") {
			to.Audit = r.Bool("enable_rate_limit_audit_logging")
		}
		if r.Has("enable_rate_limit_response_headers") {
			to.Headers = r.Bool("enable_rate_limit_response_headers")
		}
	})
	if err != nil {
		return nil, err
	}
	return nil, s.House.Await(ctx, rev)
}
