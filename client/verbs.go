package client

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"

	"github.com/cofferhq/coffer/api"
)

// Read reads path. What its results mean is told at [Client.Do].
func (c *Client) Read(ctx context.Context, path string) (*api.Secret, error) {
	return c.ReadQuery(ctx, path, nil)
}

// ReadQuery reads path with parameters.
func (c *Client) ReadQuery(ctx context.Context, path string, query url.Values) (*api.Secret, error) {
	return c.Do(ctx, Request{Path: path, Query: query})
}

// List lists path. The names are in Data under "keys".
func (c *Client) List(ctx context.Context, path string) (*api.Secret, error) {
	// GET, as proxies do not know the verb LIST.
	return c.Do(ctx, Request{Path: path, Query: url.Values{"list": {"true"}}})
}

// Write writes body, sent as JSON, to path. Nil: no body.
func (c *Client) Write(ctx context.Context, path string, body any) (*api.Secret, error) {
	return c.Do(ctx, Request{Method: http.MethodPut, Path: path, Body: body})
}

// Patch changes what body names at path and leaves the rest (RFC 7386).
func (c *Client) Patch(ctx context.Context, path string, body any) (*api.Secret, error) {
	return c.Do(ctx, Request{Method: http.MethodPatch, Path: path, Body: body})
}

// Delete deletes path.
func (c *Client) Delete(ctx context.Context, path string) (*api.Secret, error) {
	return c.DeleteQuery(ctx, path, nil)
}

// DeleteQuery deletes path with parameters.
func (c *Client) DeleteQuery(ctx context.Context, path string, query url.Values) (*api.Secret, error) {
	return c.Do(ctx, Request{Method: http.MethodDelete, Path: path, Query: query})
}

// Unwrap returns the answer that was put away under a wrapping token, once.
// Empty: the client's own token is the wrapping token.
func (c *Client) Unwrap(ctx context.Context, wrapping string) (*api.Secret, error) {
	r := Request{Method: http.MethodPut, Path: "sys/wrapping/unwrap"}
	plain := c.WithWrapTTL("")
	switch {
	case wrapping == "" || wrapping == c.Token():
	case c.Token() == "":
		plain.SetToken(wrapping)
	default:
		r.Body = map[string]string{"token": wrapping}
	}
	return plain.Do(ctx, r)
}

// Login writes body to auth/MOUNT/PATH without a token and returns what was
// earned. It does not change c: see [Client.SetToken] and [Client.WithToken].
func (c *Client) Login(ctx context.Context, mount, path string, body map[string]any) (*api.Auth, error) {
	full := "auth/" + mount + "/" + path
	s, err := c.WithToken("").Write(ctx, full, maps.Clone(body))
	if err != nil {
		return nil, err
	}
	if s == nil || s.Auth == nil {
		return nil, fmt.Errorf("PUT %s: the server's answer has no token", full)
	}
	return s.Auth, nil
}

// LoginAppRole logs in with a role id and a secret id, which may be empty if the
// role needs none. Mount is usually "approle". It does not change c.
func (c *Client) LoginAppRole(ctx context.Context, mount, roleID, secretID string) (*api.Auth, error) {
	body := map[string]any{"role_id": roleID}
	if secretID != "" {
		body["secret_id"] = secretID
	}
	return c.Login(ctx, mount, "login", body)
}
