package sys

import (
	"context"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
)

var auditedHeaderFields = logical.Fields{
	"hmac": {Type: logical.Bool, Help: "Record a hash of the value instead of the value."},
}

var auditingRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "config/auditing/request-headers", Do: (*system).listAuditedHeaders, Sudo: true, Help: "List the headers of requests that the audit records."},
	{Op: logical.Read, Path: "config/auditing/request-headers/{header}", Do: (*system).readAuditedHeader, Sudo: true, Help: "Tell how the audit records a header."},
	{Op: logical.Write, Path: "config/auditing/request-headers/{header}", Do: (*system).auditHeader, Sudo: true, Fields: auditedHeaderFields, Help: "Have the audit record a header."},
	{Op: logical.Delete, Path: "config/auditing/request-headers/{header}", Do: (*system).ignoreHeader, Sudo: true, Help: "Have the audit record a header no longer."},
}

func (s *system) listAuditedHeaders(context.Context, *logical.Request) (*logical.Response, error) {
	headers := object{}
	for name, hash := range s.House.AuditedHeaders() {
		headers[name] = object{"hmac": hash}
	}
	return &logical.Response{Data: object{"headers": headers}, TopLevel: true}, nil
}

func (s *system) readAuditedHeader(_ context.Context, r *logical.Request) (*logical.Response, error) {
	name := r.Text("header")
	hash, ok := s.House.AuditedHeaders()[strings.ToLower(name)]
	if !ok {
		return nil, logical.Invalid("the audit does not record the header %q", name)
	}
	return &logical.Response{Data: object{name: object{"hmac": hash}}, TopLevel: true}, nil
}

func (s *system) auditHeader(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	name := r.Text("header")
	if !isToken(name) {
		return nil, logical.Invalid("%q cannot be the name of a header", name)
	}
	return nil, s.House.AuditHeader(ctx, name, r.Bool("hmac"))
}

func (s *system) ignoreHeader(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	return nil, s.House.IgnoreHeader(ctx, r.Text("header"))
}

// isToken says whether s may name a header (RFC 9110 §5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}
