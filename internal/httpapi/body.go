package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/cofferhq/coffer/internal/logical"
)

const (
	// smallBytes is up to where a body, or an answer, is read without asking for
	// room.
	smallBytes = 64 << 10

	// bodyRoom is for the large bodies of all requests under way. A body is copied
	// some four times until its request is on record. One of the default limit
	// takes all of it.
	bodyRoom = 32 << 20

	// roomTime is how long a body waits for it.
	roomTime = 15 * time.Second

	// Limits of JSON, which costs a multiple of its size once it is taken apart.
	// They are beyond those that Vault has for single objects and lists.
	maxJSONDepth  = 500
	maxJSONValues = 100_000
)

// largeBody is a body that may be of more than smallBytes: the rest of it is read
// only when there is room for all.
type largeBody struct {
	io.ReadCloser
	room *room
	size int64 // as the client tells it; below zero: it does not
	held int64 // of room
}

// makeRoom has r wait for room where its body needs some. The func that it returns
// gives it back, when nobody holds the body any more.
func (h *Handler) makeRoom(r *http.Request) (giveBack func()) {
	if r.ContentLength >= 0 && r.ContentLength <= smallBytes {
		return func() {}
	}
	b := &largeBody{ReadCloser: r.Body, room: &h.bodies, size: r.ContentLength}
	r.Body = b
	return func() { b.room.giveBack(b.held) }
}

// readBody reads a body of at most limit bytes, or any if that is below zero.
func readBody(ctx context.Context, body io.ReadCloser, limit int64) ([]byte, error) {
	limited := body
	if limit >= 0 {
		limited = http.MaxBytesReader(nil, body, limit)
	}
	large, ok := body.(*largeBody)
	if !ok {
		return io.ReadAll(limited)
	}
	if limit >= 0 && large.size > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	begin, err := io.ReadAll(io.LimitReader(limited, smallBytes))
	if err != nil || len(begin) < smallBytes {
		return begin, err
	}
	want := large.size
	if want < 0 {
		want = bodyRoom
	}
	waiting, cancel := context.WithTimeout(ctx, roomTime)
	defer cancel()
	if large.held, err = large.room.take(waiting, want); err != nil {
		return nil, logical.Errorf(logical.ErrQuota, "too many large requests are under way: try again")
	}
	all := bytes.NewBuffer(make([]byte, 0, max(large.size, 0)+bytes.MinRead))
	all.Write(begin)
	_, err = all.ReadFrom(limited)
	return all.Bytes(), err
}

// maxBareBody is for the paths that answer while the server is sealed.
const maxBareBody = 1 << 20

// body reads a JSON object of at most limit bytes, or the fields of a form in its
// place. No body at all is nil.
func (h *Handler) body(r *http.Request, limit int64) (json.RawMessage, error) {
	raw, err := readBody(r.Context(), r.Body, limit)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, logical.Errorf(logical.ErrTooLarge, "http: request body too large: the limit is %d bytes", limit)
	case errors.Is(err, logical.ErrQuota):
		return nil, err
	case err != nil:
		return nil, logical.Invalid("failed to read the request body")
	}
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil, nil
	case raw[0] != '{' && isForm(r):
		return formObject(raw)
	}
	return raw, checkJSON(raw)
}

// checkJSON refuses what is no JSON object, and what would cost too much.
func checkJSON(raw []byte) error {
	depth, values := weigh(raw)
	switch {
	case depth > maxJSONDepth:
		return logical.Invalid("failed to parse JSON input: the body is nested more than %d deep", maxJSONDepth)
	case values > maxJSONValues:
		return logical.Invalid("failed to parse JSON input: the body has more than %d values", maxJSONValues)
	case !json.Valid(raw):
		return logical.Invalid("failed to parse JSON input: the body is not valid JSON")
	case raw[0] != '{':
		return logical.Invalid("failed to parse JSON input: the body must be a JSON object")
	case !utf8.Valid(raw):
		return logical.Invalid("failed to parse JSON input: the body is not valid UTF-8")
	}
	return nil
}

// weigh returns how deep JSON is nested and about how many values it has. Of what
// is no JSON it returns some numbers.
func weigh(raw []byte) (depth, values int) {
	now := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			i = textEnd(raw, i+1)
		case '{', '[':
			now++
			values++
			depth = max(depth, now)
		case '}', ']':
			now--
		case ',':
			values++
		}
	}
	return depth, values
}

// textEnd returns the place of the quote that ends the text which begins at i.
func textEnd(raw []byte, i int) int {
	for ; i < len(raw) && raw[i] != '"'; i++ {
		if raw[i] == '\\' {
			i++
		}
	}
	return i
}

func isForm(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/x-www-form-urlencoded"
}

func formObject(raw []byte) (json.RawMessage, error) {
	values, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, logical.Invalid("failed to parse form input")
	}
	object := make(map[string]any, len(values))
	for name, list := range values {
		if object[name] = list; len(list) == 1 {
			object[name] = list[0]
		}
	}
	return json.Marshal(object)
}
