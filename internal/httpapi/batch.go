package httpapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/internal/core"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/uuid"
)

const (
	// maxBatchBody is room for as many paths as a batch may have, of a usual length.
	maxBatchBody = 128 << 10

	// maxBatchAnswers is where the answers of a batch are so large together that no
	// more reads are made. They are held until the last one is there.
	maxBatchAnswers = 1 << 20
)

// batch makes many reads in one request. Each of them is a call of its own to the
// core: routed, counted against quotas, authorised and put on record as if it had
// come alone; that they came together is known to nobody but the edge. They are made
// one after another, so that one client is at one place in a queue.
func (h *Handler) batch(w http.ResponseWriter, r *http.Request) {
	id := uuid.New()
	reads, err := h.batchReads(r)
	if err == nil && h.Core.Sealed() {
		err = logical.ErrSealed
	}
	if err != nil {
		h.fail(w, r, id, err)
		return
	}
	all := api.BatchAnswers{Responses: make([]api.BatchAnswer, 0, len(reads))}
	size := 0
	for i := range reads {
		var a api.BatchAnswer
		if size < maxBatchAnswers {
			a = h.batchRead(r, &reads[i])
		} else {
			a = refusal(failure{code: http.StatusRequestEntityTooLarge, texts: []string{"the answers before this one are large: read it in another batch"}})
		}
		size += len(a.Answer)
		all.Responses = append(all.Responses, a)
	}
	data, err := json.Marshal(all)
	if err != nil {
		h.fail(w, r, id, err)
		return
	}
	h.answer(w, r, &core.Answer{RequestID: id, MountType: "system", Data: data})
}

// batchReads reads the body of a batch.
func (h *Handler) batchReads(r *http.Request) ([]api.BatchRead, error) {
	switch {
	case r.Method != http.MethodPost && r.Method != http.MethodPut:
		return nil, logical.ErrUnsupportedOp
	case r.Header.Get("X-Vault-Wrap-Ttl") != "":
		return nil, logical.Invalid("the answers of a batch cannot be wrapped: read what is to be wrapped alone")
	}
	raw, err := h.body(r, maxBatchBody)
	if err != nil {
		return nil, err
	}
	var b api.Batch
	if raw != nil {
		if err := json.Unmarshal(raw, &b); err != nil {
			return nil, logical.Invalid("requests must be a list of objects with path, version, namespace and if_none_match")
		}
	}
	switch n := len(b.Requests); {
	case n == 0:
		return nil, logical.Invalid("requests is missing or empty")
	case n > api.MaxBatch:
		return nil, logical.Invalid("a batch has at most %d requests, not %d", api.MaxBatch, n)
	}
	return b.Requests, nil
}

// batchRead makes one read.
func (h *Handler) batchRead(r *http.Request, read *api.BatchRead) api.BatchAnswer {
	start := time.Now()
	call, err := h.batchCall(r, read)
	if err != nil {
		h.observe(call, "", status(err), start)
		return refusal(h.failure(r, call.ID, err))
	}
	a, err := h.Core.Handle(r.Context(), call)
	if err == nil {
		var answer api.BatchAnswer
		if answer, err = batchAnswer(a); err == nil {
			h.observe(call, a.MountType, answer.Status, start)
			return answer
		}
	}
	h.observe(call, "", status(err), start)
	return refusal(h.failure(r, call.ID, err))
}

// batchCall makes of a read what it would be as a request of its own.
func (h *Handler) batchCall(r *http.Request, read *api.BatchRead) (*core.Call, error) {
	c := &core.Call{
		ID: uuid.New(), Op: logical.Read, Path: strings.TrimPrefix(read.Path, "/"),
		Namespace: r.Header.Get("X-Vault-Namespace"), Token: requestToken(r),
		Method: http.MethodGet, Header: r.Header, Now: h.Core.Now(),
	}
	if read.Namespace != "" {
		c.Namespace = read.Namespace
	}
	if read.Version != 0 {
		c.Query = url.Values{"version": {strconv.Itoa(read.Version)}}
	}
	if read.IfNoneMatch != "" {
		c.Known = parseTags([]string{read.IfNoneMatch})
	}
	var err error
	if c.Remote, err = h.ClientAddr(r); err != nil {
		return c, err
	}
	if c.Path == "" {
		return c, logical.Invalid("path is missing")
	}
	return c, checkText(c.Path)
}

// batchAnswer is what a read earned.
func batchAnswer(a *core.Answer) (api.BatchAnswer, error) {
	answer := api.BatchAnswer{Status: http.StatusOK}
	if a.Tag != "" {
		answer.ETag = tagText(a.Tag)
	}
	switch {
	case a.NotModified:
		answer.Status = http.StatusNotModified
		return answer, nil
	case a.Raw != nil:
		return api.BatchAnswer{}, logical.Invalid("the answer of this path is no JSON: read it alone")
	case a.Empty:
		answer.Status = http.StatusNoContent
		return answer, nil
	case a.NotFound:
		answer.Status = http.StatusNotFound
	case a.Accepted:
		answer.Status = http.StatusAccepted
	}
	var err error
	answer.Answer, err = a.AppendJSON(nil)
	return answer, err
}

func refusal(f failure) api.BatchAnswer {
	return api.BatchAnswer{Status: f.code, Errors: f.texts, Hint: f.hint}
}
