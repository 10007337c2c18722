package httpapi

import (
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/uuid"
)

// call reads a request off the wire.
func (h *Handler) call(r *http.Request, path string) (*core.Call, error) {
	c := &core.Call{
		ID: uuid.New(), Path: path, Namespace: r.Header.Get("X-Vault-Namespace"),
		Token: requestToken(r), Method: r.Method, Header: r.Header, Now: h.Core.Now(),
	}
	var err error
	if c.Remote, err = h.ClientAddr(r); err != nil {
		return c, err
	}
	if r.URL.RawQuery != "" {
		c.Query = r.URL.Query()
	}
	if err := setOp(c, r); err != nil {
		return c, err
	}
	if err := checkText(c.Path); err != nil {
		return c, err
	}
	if ttl := r.Header.Get("X-Vault-Wrap-Ttl"); ttl != "" {
		if c.WrapTTL, err = logical.ParseDuration(ttl); err == nil && c.WrapTTL > 0 && c.WrapTTL < time.Second {
			err = errors.New("it is less than a second")
		}
		if err != nil {
			return c, logical.Invalid("error parsing X-Vault-Wrap-TTL: %s", err)
		}
	}
	if tags := r.Header["If-None-Match"]; len(tags) > 0 && c.Op == logical.Read {
		c.Known = parseTags(tags)
	}
	if c.Op == logical.Write || c.Op == logical.Patch {
		limit := h.MaxBodyBytes
		if _, large := r.Body.(*largeBody); large {
			limit = h.Core.BodyLimit(c, limit)
		}
		c.Body, err = h.body(r, limit)
	}
	return c, err
}

// requestToken is the token in either of the headers that clients use.
func requestToken(r *http.Request) string {
	if t := r.Header.Get("X-Vault-Token"); t != "" {
		return t
	}
	if scheme, t, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(t)
	}
	return ""
}

// setOp reads the operation off the method. A list has a path that ends in a
// slash, as Vault gives it one before policies see it.
func setOp(c *core.Call, r *http.Request) error {
	switch r.Method {
	case http.MethodGet:
		c.Op = logical.Read
		if text := c.Query.Get("list"); text != "" {
			list, err := strconv.ParseBool(text)
			if err != nil {
				return logical.Invalid("the query parameter \"list\" must be true or false")
			}
			if list {
				c.Op = logical.List
			}
			c.Query.Del("list")
		}
	case "LIST":
		c.Op = logical.List
	case http.MethodPost, http.MethodPut:
		c.Op = logical.Write
	case http.MethodPatch:
		c.Op = logical.Patch
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != "application/merge-patch+json" {
			return logical.Errorf(logical.ErrMediaType, "PATCH requires Content-Type of application/merge-patch+json, provided %q",
				printable(r.Header.Get("Content-Type")))
		}
	case http.MethodDelete:
		c.Op = logical.Delete
	default:
		return logical.ErrUnsupportedOp
	}
	if c.Op == logical.List && !strings.HasSuffix(c.Path, "/") {
		c.Path += "/"
	}
	return nil
}

// checkText refuses paths that could not be shown or kept.
func checkText(path string) error {
	switch {
	case len(path) > maxPathBytes:
		return logical.Invalid("path is longer than %d bytes", maxPathBytes)
	case !utf8.ValidString(path):
		return logical.Invalid("path is not valid UTF-8")
	case strings.ContainsFunc(path, func(c rune) bool { return !unicode.IsPrint(c) }):
		return logical.Invalid("path cannot contain non-printable characters")
	}
	return nil
}

// printable is s without what could disturb a terminal or a log.
func printable(s string) string {
	const enough = 200
	if len(s) > enough {
		s = s[:enough] + "…"
	}
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return '\uFFFD'
	}, s)
}
