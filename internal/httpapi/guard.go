package httpapi

import (
	"net/http"
	"strings"
)

// guard has the bare paths that begin with prefix need a token with sudo, if
// wanted.
func (h *Handler) guard(wanted bool, prefix string) {
	for path, serve := range h.bare {
		if wanted && strings.HasPrefix(path, prefix) {
			h.bare[path] = h.withSudo(path, serve)
		}
	}
}

// withSudo serves callers that have sudo on the path.
func (h *Handler) withSudo(path string, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		head := r.WithContext(r.Context())
		address := *r.URL
		address.RawQuery = "" // what would be a list for policies is a read for serve
		head.URL = &address
		head.Body = http.NoBody // the body is for serve, and holds a share of a key
		call, err := h.call(head, path)
		if err == nil {
			err = h.Core.Permit(r.Context(), call)
		}
		if err != nil {
			h.fail(w, r, call.ID, err)
			return
		}
		serve(w, r)
	}
}
