package logical

import (
	"errors"
	"fmt"
)

// The kinds of failure. Every error that leaves an engine or the core is one of
// them (errors.Is), or else internal; internal/httpapi maps them to HTTP status.
var (
	ErrInvalid         = errors.New("invalid request")             // 400: the caller can mend it
	ErrDenied          = errors.New("permission denied")           // 403: not allowed, or not known
	ErrNotFound        = errors.New("not found")                   // 404 without a text
	ErrUnsupportedPath = errors.New("unsupported path")            // 404: no such path in the engine
	ErrUnsupportedOp   = errors.New("unsupported operation")       // 405: the path does not take this verb
	ErrTooLarge        = errors.New("request too large")           // 413
	ErrMediaType       = errors.New("unsupported media type")      // 415
	ErrQuota           = errors.New("quota exceeded")              // 429
	ErrConflict        = errors.New("too many concurrent changes") // 500 in Vault's terms: try again
	ErrUpstream        = errors.New("upstream failed")             // 502: an outside system said no
	ErrSealed          = errors.New("sealed")                      // 503
	ErrStandby         = errors.New("standby")                     // 503
)

// Error is a failure with a text for the caller. Nothing in Text or Hint is
// secret. Err is for the log and is never shown.
type Error struct {
	Kind error  // one of the kinds above
	Text string // for the caller
	Hint string // for a human: what to do next; may be empty
	Err  error  // the cause; may be nil
}

// Errorf returns an Error of kind with a text for the caller.
func Errorf(kind error, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// Invalid is Errorf of [ErrInvalid], the most frequent kind.
func Invalid(format string, args ...any) *Error { return Errorf(ErrInvalid, format, args...) }

// WithHint returns a copy of e with a hint.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// Error returns the text for the caller.
func (e *Error) Error() string {
	if e.Text == "" {
		return e.Kind.Error()
	}
	return e.Text
}

// Unwrap makes errors.Is see the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}
