package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/cofferhq/coffer/api"
)

// ErrNotFound says that there is no such secret. Of the methods only those that
// return a value rather than a pointer return it.
var ErrNotFound = errors.New("no such secret")

// ErrNotModified says that what the caller has, and named in IfNoneMatch, is what
// would be answered.
var ErrNotModified = errors.New("not modified")

// Error is a refusal by the server. It never holds a body that is not Vault's
// list of errors.
type Error struct {
	Status int      // of HTTP
	Errors []string // what the server says; may be empty
	Hint   string   // what the server says to do next; may be empty
	Method string
	Path   string // below /v1, without the query
}

var _ error = (*Error)(nil)

func (e *Error) Error() string {
	text := strings.Join(e.Errors, "; ")
	if text == "" {
		text = strings.ToLower(http.StatusText(e.Status))
	}
	return fmt.Sprintf("%s %s: %d: %s", e.Method, e.Path, e.Status, text)
}

// StatusOf returns the HTTP status of a refusal, or zero if err is none.
func StatusOf(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// Refusal makes an [*Error] of the answer to a request of [Client.Raw].
func Refusal(a *Answer, method, path string) *Error {
	var f api.Failure
	// A body that is no list of errors comes from a proxy: the status must do.
	_ = json.Unmarshal(a.Body, &f)
	return &Error{Status: a.Status, Errors: f.Errors, Hint: f.Hint, Method: method, Path: path}
}

func newError(r Request, a *Answer) *Error { return Refusal(a, r.method(), r.Path) }

// networkError adds where the request was going, and drops from the cause its
// URL, whose query is not ours to show.
func networkError(r Request, u *url.URL, err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return fmt.Errorf("%s %s at %s://%s: %w", r.method(), r.Path, u.Scheme, u.Host, err)
}
