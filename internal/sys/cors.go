package sys

import (
	"context"
	"slices"

	"github.com/cofferhq/coffer/internal/logical"
)

var corsFields = logical.Fields{
	"allowed_origins": {Type: logical.Texts, Help: "Origins whose pages may use the server; * alone: any."},
	"allowed_headers": {Type: logical.Texts, Help: "Headers that they may send, beside the usual ones."},
}

var corsRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "config/cors", Do: (*system).readCORS, Sudo: true, Help: "Tell which web pages of other origins may use the server."},
	{Op: logical.Write, Path: "config/cors", Do: (*system).writeCORS, Sudo: true, Fields: corsFields, Help: "Say which web pages of other origins may use the server."},
	{Op: logical.Delete, Path: "config/cors", Do: (*system).deleteCORS, Sudo: true, Help: "Let no web page of another origin use the server."},
}

// UsualHeaders are what pages of allowed origins may send in any case.
var UsualHeaders = []string{
	"Content-Type", "X-Requested-With", "X-Vault-AWS-IAM-Server-ID", "X-Vault-No-Request-Forwarding",
	"X-Vault-Token", "Authorization", "X-Vault-Wrap-Format", "X-Vault-Wrap-TTL",
}

func (s *system) readCORS(context.Context, *logical.Request) (*logical.Response, error) {
	origins, headers := s.House.CORS()
	data := object{"enabled": len(origins) > 0}
	if len(origins) > 0 {
		data["allowed_origins"], data["allowed_headers"] = origins, slices.Concat(UsualHeaders, headers)
	}
	return &logical.Response{Data: data, TopLevel: true}, nil
}

func (s *system) writeCORS(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	origins, headers := r.Texts("allowed_origins"), r.Texts("allowed_headers")
	switch {
	case len(origins) == 0:
		return nil, logical.Invalid("at least one origin or the wildcard must be provided in allowed_origins")
	case len(origins) > 1 && slices.Contains(origins, "*"):
		return nil, logical.Invalid("the wildcard must be the only value of allowed_origins")
	}
	for _, name := range headers {
		if !isToken(name) {
			return nil, logical.Invalid("%q cannot be the name of a header", name)
		}
	}
	return nil, s.House.SetCORS(ctx, origins, headers)
}

func (s *system) deleteCORS(ctx context.Context, _ *logical.Request) (*logical.Response, error) {
	return nil, s.House.SetCORS(ctx, nil, nil)
}
