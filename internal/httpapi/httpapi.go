// Package httpapi is Vault's HTTP API in front of the core: wire to call, answer
// to wire. It knows JSON, headers and status codes, and decides nothing.
package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/custody"
)

// Defaults of Options, as Vault has them.
const (
	DefaultMaxBodyBytes = 32 << 20
	DefaultMaxDuration  = 90 * time.Second

	maxPathBytes = 8 << 10
)

// Options is what a Handler is made of. Core, Log and ClientAddr are needed.
type Options struct {
	Core        *core.Core
	Log         *slog.Logger
	ClientAddr  func(*http.Request) (netip.AddrPort, error)
	StorageType string
	ClusterName string

	MaxBodyBytes int64         // zero: DefaultMaxBodyBytes
	MaxDuration  time.Duration // of a request; zero: DefaultMaxDuration

	// Hostname is told in a header of every answer; empty: no such header.
	Hostname string

	// Sudo paths need a token that has sudo on them.
	SudoRekey        bool // sys/rekey/ and sys/rekey-recovery-key/
	SudoGenerateRoot bool // sys/generate-root/

	// OpenMetrics serves sys/metrics without a token.
	OpenMetrics bool
	Metrics     func(format string) (contentType string, body []byte, err error)

	// Observe is told of every request that was answered; may be nil.
	Observe func(op, mountType string, status int, took time.Duration)

	// StallTime is how long a client may take for a piece of a large answer that
	// comes as one of many on a connection. Zero: the server has a limit of its own.
	StallTime time.Duration
}

// Handler serves the API below /v1/.
type Handler struct {
	Options
	bare     map[string]http.HandlerFunc
	hostname []string // nil: no such header
	bodies   room     // for large bodies
	answers  room     // for large answers
}

var _ http.Handler = (*Handler)(nil)

// New returns a Handler.
func New(o Options) *Handler {
	if o.MaxBodyBytes == 0 {
		o.MaxBodyBytes = DefaultMaxBodyBytes
	}
	if o.MaxDuration == 0 {
		o.MaxDuration = DefaultMaxDuration
	}
	h := &Handler{Options: o, bodies: room{size: bodyRoom}, answers: room{size: answerRoom}}
	if o.Hostname != "" {
		h.hostname = []string{o.Hostname}
	}
	h.bare = map[string]http.HandlerFunc{
		"sys/health":      h.health,
		"sys/seal-status": h.sealStatus,
		"sys/init":        h.init,
		"sys/unseal":      h.unseal,
		"sys/leader":      h.leader,
		api.BatchPath:     h.batch,

		"sys/generate-root":         h.generateRoot,
		"sys/generate-root/attempt": h.generateRoot,
		"sys/generate-root/update":  h.generateRootUpdate,
	}
	for prefix, key := range map[string]custody.HeldKey{
		"sys/rekey/": custody.RootKey, "sys/rekey-recovery-key/": custody.RecoveryKey,
	} {
		rekey := rekeying{h, key}
		h.bare[prefix+"init"], h.bare[prefix+"update"], h.bare[prefix+"verify"] = rekey.attempt, rekey.update, rekey.verify
		h.guard(o.SudoRekey, prefix)
	}
	h.guard(o.SudoGenerateRoot, "sys/generate-root")
	return h
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer h.makeRoom(r)()
	defer h.survive(w, r)
	header := w.Header()
	header["Cache-Control"] = noStore
	header["Content-Type"] = jsonType
	if h.hostname != nil {
		header["X-Vault-Hostname"] = h.hostname
	}
	if r.TLS != nil {
		header["Strict-Transport-Security"] = onlyTLS
	}
	if origin := r.Header.Get("Origin"); origin != "" && !h.crossOrigin(w, r, origin) {
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok {
		h.elsewhere(w, r)
		return
	}
	if strings.HasPrefix(path, "/") || strings.Contains(path, "//") {
		redirectToClean(w, r, path)
		return
	}
	if serve := h.bare[strings.TrimSuffix(path, "/")]; serve != nil {
		ctx, cancel := context.WithTimeout(r.Context(), h.MaxDuration)
		defer cancel()
		serve(w, r.WithContext(ctx))
		return
	}
	if h.OpenMetrics && path == "sys/metrics" && r.Method == http.MethodGet {
		h.metrics(w, r)
		return
	}
	if wantsEvents(r, path) {
		h.subscribe(w, r, path)
		return
	}
	h.serve(w, r, path)
}

// Header values are shared: net/http does not change them.
var (
	noStore  = []string{"no-store"}
	jsonType = []string{"application/json"}
	onlyTLS  = []string{"max-age=31536000; includeSubDomains"}
)

// redirectToClean answers to a path with empty segments with the one without, as
// Vault does, but so that a write stays one.
func redirectToClean(w http.ResponseWriter, r *http.Request, path string) {
	clean := *r.URL
	clean.Scheme, clean.Host, clean.User, clean.RawPath = "", "", nil, ""
	clean.Path = "/v1/" + strings.TrimPrefix(singleSlashes(path), "/")
	w.Header().Set("Location", clean.String())
	writeErrors(w, http.StatusTemporaryRedirect, "", "the path has empty segments: use the one in Location")
}

func singleSlashes(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

// elsewhere answers outside of the API.
func (h *Handler) elsewhere(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" {
		writeJSON(w, http.StatusOK, map[string]string{"coffer": "the API is below /v1/", "health": "/v1/sys/health"})
		return
	}
	writeErrors(w, http.StatusNotFound, "", "no handler for route \""+printable(r.URL.Path)+"\": the API is below /v1/")
}

// survive keeps a panic from ending the server. What panicked with may hold a
// secret, so only where is logged.
func (h *Handler) survive(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	h.Log.Error("panic while serving", "method", r.Method, "stack", string(debug.Stack()))
	writeErrors(w, http.StatusInternalServerError, "", "internal error")
}

// metrics serves the metrics to anyone, where the listener allows that.
func (h *Handler) metrics(w http.ResponseWriter, r *http.Request) {
	contentType, body, err := h.Metrics(r.URL.Query().Get("format"))
	if err != nil {
		h.fail(w, r, "", err)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Write(body)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		writeErrors(w, http.StatusInternalServerError, "", "internal error")
		return
	}
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}
