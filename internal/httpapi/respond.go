package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/logical"
)

// statuses maps kinds of failure to HTTP status; the first match wins.
var statuses = []struct {
	kind error
	code int
}{
	{logical.ErrInvalid, http.StatusBadRequest},
	{logical.ErrDenied, http.StatusForbidden},
	{logical.ErrNotFound, http.StatusNotFound},
	{logical.ErrUnsupportedPath, http.StatusNotFound},
	{logical.ErrUnsupportedOp, http.StatusMethodNotAllowed},
	{logical.ErrTooLarge, http.StatusRequestEntityTooLarge},
	{logical.ErrMediaType, http.StatusUnsupportedMediaType},
	{logical.ErrQuota, http.StatusTooManyRequests},
	{logical.ErrUpstream, http.StatusBadGateway},
	{logical.ErrSealed, http.StatusServiceUnavailable},
	{logical.ErrStandby, http.StatusServiceUnavailable},
	{logical.ErrConflict, http.StatusInternalServerError},
	{context.DeadlineExceeded, http.StatusGatewayTimeout},
	{context.Canceled, http.StatusServiceUnavailable},
}

// serve does a request of the core's.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, path string) {
	start := time.Now()
	call, err := h.call(r, path)
	if err != nil {
		h.fail(w, r, call.ID, err)
		h.observe(call, "", status(err), start)
		return
	}
	if call.Op == logical.Read && call.Query.Has("help") {
		h.help(w, r, call)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.MaxDuration)
	defer cancel()
	a, err := h.Core.Handle(ctx, call)
	if call.Standing != nil {
		tellStanding(w.Header(), call.Standing)
	}
	if err != nil {
		h.fail(w, r, call.ID, err)
		h.observe(call, "", status(err), start)
		return
	}
	mountType := a.MountType // beyond this, an answer is not held while a client takes its time
	code := h.answer(w, r, a)
	h.observe(call, mountType, code, start)
}

func (h *Handler) observe(c *core.Call, mountType string, code int, start time.Time) {
	if h.Observe != nil {
		h.Observe(c.Op.String(), mountType, code, time.Since(start))
	}
}

// help tells what can be done with a path, from the engines' tables.
func (h *Handler) help(w http.ResponseWriter, r *http.Request, call *core.Call) {
	text, err := h.Core.Help(r.Context(), call)
	if call.Standing != nil {
		tellStanding(w.Header(), call.Standing)
	}
	if err != nil {
		h.fail(w, r, call.ID, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"help": text, "see_also": nil})
}

var buffers = sync.Pool{New: func() any { return new([]byte) }} // of answers

// lengthIsKnown is how long an answer may be for net/http to find its length out
// by itself.
const lengthIsKnown = 2 << 10

// maxPooledBytes keeps the buffer of one large answer from being kept for ever.
const maxPooledBytes = 64 << 10

// describe sets the headers that tell of what was read. Their values share one
// array: every read comes by here.
func describe(h http.Header, a *core.Answer) {
	values := make([]string, 0, 2)
	if a.Revision > 0 {
		values = append(values, strconv.FormatUint(uint64(a.Revision), 10))
		h["X-Vault-Index"] = values[:1:1]
	}
	if n := len(values); a.Tag != "" {
		values = append(values, tagText(a.Tag))
		h["Etag"] = values[n : n+1 : n+1]
	}
}

// answer writes a and returns its status. It may take what a holds apart.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, a *core.Answer) int {
	describe(w.Header(), a)
	switch {
	case a.NotModified:
		delete(w.Header(), "Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified
	case a.Raw != nil:
		w.Header().Set("Content-Type", a.Raw.ContentType)
		w.WriteHeader(a.Raw.Status)
		w.Write(a.Raw.Body)
		return a.Raw.Status
	case a.Empty:
		delete(w.Header(), "Content-Type")
		w.WriteHeader(http.StatusNoContent)
		return http.StatusNoContent
	}
	code := http.StatusOK
	switch {
	case a.NotFound:
		code = http.StatusNotFound
	case a.Accepted:
		code = http.StatusAccepted
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	body, err := a.AppendJSON((*buf)[:0])
	if err != nil {
		h.Log.Error("encoding an answer", "request", a.RequestID, "error", err)
		writeErrors(w, http.StatusInternalServerError, "", "internal error")
		return http.StatusInternalServerError
	}
	body = append(body, '\n')
	*a = core.Answer{}
	code = h.write(w, r, code, body)
	clear(body) // secrets should not lie about in a pool
	if cap(body) <= maxPooledBytes {
		*buf = body
	}
	return code
}

func status(err error) int {
	for _, s := range statuses {
		if errors.Is(err, s.kind) {
			return s.code
		}
	}
	return http.StatusInternalServerError
}

// fail answers with an error.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, requestID string, err error) {
	f := h.failure(r, requestID, err)
	writeErrors(w, f.code, f.hint, f.texts...)
}

// failure is what a caller sees of an error.
type failure struct {
	code  int
	hint  string // for people; may be empty
	texts []string
}

// failure tells what the caller sees of err: a text that someone wrote for them, or
// the kind, or that it is internal; the log sees all.
func (h *Handler) failure(r *http.Request, requestID string, err error) failure {
	code := status(err)
	var e *logical.Error
	isText := errors.As(err, &e)
	switch {
	case isText:
		return failure{code, e.Hint, []string{e.Error()}}
	case errors.Is(err, logical.ErrNotFound):
		return failure{code: code}
	case errors.Is(err, logical.ErrSealed):
		return failure{code, "unseal the server first: coffer operator unseal", []string{"Vault is sealed"}}
	case code == http.StatusInternalServerError:
		h.Log.Error("request failed", "request", requestID, "method", r.Method, "error", err)
		return failure{code: code, texts: []string{"internal error: the server's log has more under request " + requestID}}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return failure{code: code, texts: []string{"the request was not finished in time"}}
	}
	return failure{code: code, texts: []string{kindText(err)}}
}

func kindText(err error) string {
	for _, s := range statuses {
		if errors.Is(err, s.kind) {
			return s.kind.Error()
		}
	}
	return "internal error"
}

// writeErrors answers in the form that every client reads. hint, for people, may
// be empty.
func writeErrors(w http.ResponseWriter, code int, hint string, texts ...string) {
	body := struct {
		Errors []string `json:"errors"`
		Hint   string   `json:"hint,omitempty"`
	}{Errors: texts, Hint: hint}
	if texts == nil {
		body.Errors = []string{}
	}
	raw, err := json.Marshal(body)
	if err != nil {
		raw = []byte(`{"errors":["internal error"]}`)
	}
	w.WriteHeader(code)
	w.Write(append(raw, '\n'))
}
