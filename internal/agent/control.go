package agent

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// control answers what is about the agent itself.
func (p *proxy) control(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/agent/v1/")
	known := path == "cache-clear" && p.cache != nil || path == "quit" && p.cfg.EnableQuit
	switch {
	case !known:
		refuse(w, http.StatusNotFound, "the agent does not know this path, or it is off")
	case r.Method != http.MethodPost && r.Method != http.MethodPut:
		refuse(w, http.StatusMethodNotAllowed, "want POST")
	case r.Header.Get("Origin") != "":
		refuse(w, http.StatusForbidden, "not for pages of a browser")
	case path == "quit":
		w.WriteHeader(http.StatusNoContent)
		p.quit()
	default:
		p.clearCache(w, r)
	}
}

// clearCache forgets what a request of Vault Agent's names.
func (p *proxy) clearCache(w http.ResponseWriter, r *http.Request) {
	var in struct{ Type, Value string }
	if json.NewDecoder(io.LimitReader(r.Body, maxRequestBytes)).Decode(&in) != nil {
		refuse(w, http.StatusBadRequest, `want {"type": "…", "value": "…"}`)
		return
	}
	value := strings.Trim(strings.TrimPrefix(in.Value, "/v1/"), "/")
	switch {
	case in.Type == "all", in.Type == "token", in.Type == "token_accessor":
		p.cache.clear() // all answers are the agent's own token's
	case in.Value == "":
		refuse(w, http.StatusBadRequest, "value is missing")
		return
	case in.Type == "request_path":
		p.cache.end(&ending{prefix: value})
	case in.Type == "lease":
		p.cache.end(&ending{leaseID: value})
	default:
		refuse(w, http.StatusBadRequest, "type is one of all, request_path, lease, token, token_accessor")
		return
	}
	w.WriteHeader(http.StatusOK)
}
