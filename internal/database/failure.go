package database

import (
	"context"
	"errors"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// known are the errors that may be the cause of one that leaves a driver: they
// hold nothing but their own text.
var known = []error{ErrRefused, ErrExists, ErrMissing, context.Canceled, context.DeadlineExceeded}

// Upstream returns an error of kind [logical.ErrUpstream]: what was attempted,
// and what err says, unless that may hold a part of one of the secrets. Of err's
// causes it keeps those of this package and the context's.
func Upstream(doing string, err error, secrets ...secret.Bytes) *logical.Error {
	e := logical.Errorf(logical.ErrUpstream, "%s: %s", doing, Hide(err.Error(), secrets...))
	for _, k := range known {
		if errors.Is(err, k) {
			e.Err = errors.Join(e.Err, k)
		}
	}
	return e
}

// hidden stands for an answer that is not shown.
const hidden = "the answer is not shown, as it may hold a secret"

// window is how many bytes of a secret must not be seen together. Systems quote
// the statement that they don't like, from anywhere to anywhere.
const window = 4

// Hide returns text, or a fixed one if text has some bytes of a secret, however
// quoted.
func Hide(text string, secrets ...secret.Bytes) string {
	plain := unquoted.Replace(text)
	for _, s := range secrets {
		value := unquoted.Replace(s.RevealText())
		if value == "" {
			continue
		}
		size := min(window, len(value))
		for i := 0; i+size <= len(value); i++ {
			if strings.Contains(plain, value[i:i+size]) {
				return hidden
			}
		}
	}
	return text
}

// unquoted drops what quoting adds.
var unquoted = strings.NewReplacer(`'`, "", `"`, "", "`", "", `\`, "")
