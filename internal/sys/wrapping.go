package sys

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

var wrappingFields = logical.Fields{
	"token": {Type: logical.Text, Help: "The wrapping token, if it is not the request's own."},
}

// The routes that take a wrapping token are open: to have one is the right to
// use it, and lookups are to tell whether somebody else has.
var wrappingRoutes = logical.Routes[*system]{
	{Op: logical.Write, Path: "wrapping/wrap", Do: (*system).wrap, Help: "Wrap the fields of the request."},
	{Op: logical.Write, Path: "wrapping/unwrap", Do: (*system).unwrap, Fields: wrappingFields, Open: true, Help: "Give back a wrapped answer, once."},
	{Op: logical.Write, Path: "wrapping/rewrap", Do: (*system).rewrap, Fields: wrappingFields, Open: true, Help: "Exchange a wrapping token for a new one."},
	{Op: logical.Write, Path: "wrapping/lookup", Do: (*system).lookupWrapping, Fields: wrappingFields, Open: true, Help: "Tell when and where a wrapping token was made."},
	{Op: logical.Read, Path: "wrapping/lookup", Do: (*system).lookupWrapping, Fields: wrappingFields, Open: true, Help: "Tell when and where the request's own wrapping token was made."},
}

func (s *system) wrap(_ context.Context, r *logical.Request) (*logical.Response, error) {
	if r.WrapTTL == 0 {
		return nil, logical.Invalid("endpoint requires response wrapping to be used").
			WithHint("send the header X-Vault-Wrap-TTL")
	}
	body := r.Body
	if len(body) == 0 {
		body = json.RawMessage("{}")
	}
	return &logical.Response{Data: body}, nil
}

// wrappingText is the text of the token that the request is about.
func wrappingText(r *logical.Request) string {
	if text := r.Text("token"); text != "" {
		return text
	}
	return r.Token
}

func (s *system) unwrap(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	stored, err := s.House.Unwrap(ctx, rootNS, wrappingText(r), r.Now)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Wrapped: stored}, nil
}

func (s *system) rewrap(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	t, err := s.House.Wrapping(ctx, rootNS, wrappingText(r), r.Now)
	if err != nil {
		return nil, err
	}
	// The core uses the token up once the new one is stored.
	stored, err := s.House.Wrapped(ctx, rootNS, wrappingText(r), r.Now)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Wrapped: stored, Rewrap: &logical.Rewrap{Path: t.Path, TTL: t.TTL}}, nil
}

func (s *system) lookupWrapping(ctx context.Context, r *logical.Request) (*logical.Response, error) {
	if wrappingText(r) == "" {
		return nil, logical.Invalid("missing \"token\" value in input")
	}
	t, err := s.House.Wrapping(ctx, rootNS, wrappingText(r), r.Now)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: object{
		"creation_path": t.Path,
		"creation_time": t.Created.Format(time.RFC3339Nano),
		"creation_ttl":  seconds(t.TTL),
	}}, nil
}
