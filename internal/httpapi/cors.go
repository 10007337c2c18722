package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/internal/sys"
)

// methods are what a page of another origin may use.
var methods = []string{
	http.MethodGet, http.MethodHead, "LIST", http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// preflightSeconds is how long a browser remembers what it may do.
const preflightSeconds = "300"

// crossOrigin says whether a request of a page with that origin is served
// further. It has answered if not: the page may not use the server, or only asks
// whether it may.
func (h *Handler) crossOrigin(w http.ResponseWriter, r *http.Request, origin string) bool {
	origins, headers := h.Core.CORS()
	if len(origins) == 0 || sameOrigin(r, origin) {
		return true
	}
	header := w.Header()
	header.Add("Vary", "Origin")
	if origins[0] != "*" && !slices.ContainsFunc(origins, func(o string) bool { return strings.EqualFold(o, origin) }) {
		writeErrors(w, http.StatusForbidden, "", "origin not allowed")
		return false
	}
	header.Set("Access-Control-Allow-Origin", origin)
	wanted := r.Header.Get("Access-Control-Request-Method")
	if r.Method != http.MethodOptions || wanted == "" {
		return true
	}
	if !slices.Contains(methods, wanted) {
		writeErrors(w, http.StatusMethodNotAllowed, "", "method not allowed")
		return false
	}
	header.Set("Access-Control-Allow-Methods", strings.Join(methods, ","))
	header.Set("Access-Control-Allow-Headers", strings.Join(slices.Concat(sys.UsualHeaders, headers), ","))
	header.Set("Access-Control-Max-Age", preflightSeconds)
	header.Del("Content-Type")
	w.WriteHeader(http.StatusNoContent)
	return false
}

// sameOrigin says whether a page came from this server: browsers name the origin
// of its writes as well. The scheme does not count, as a proxy may do the TLS;
// nothing is granted by a yes.
func sameOrigin(r *http.Request, origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}
