package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/secrets"
)

// explained is an error with what to do next.
type explained struct {
	error
	next string
}

func (e *explained) Error() string { return e.error.Error() + "\n" + e.next }
func (e *explained) Unwrap() error { return e.error }

// explain adds to what could not be resolved what would help: a login, the lines
// of a policy, or another reference. It asks the server whose fault a refusal is.
func explain(ctx context.Context, c *client.Client, err error) error {
	errs := new(secrets.ResolveError)
	if !errors.As(err, &errs) {
		return err
	}
	denied, absent := map[string]bool{}, false
	for _, f := range errs.Failures {
		switch {
		case client.StatusOf(f.Err) == http.StatusForbidden:
			denied[grant(f)] = true
		case errors.Is(f.Err, secrets.ErrAbsent):
			absent = true
		}
	}
	var next []string
	if len(denied) > 0 {
		next = append(next, whyDenied(ctx, c, slices.Sorted(maps.Keys(denied))))
	}
	if absent {
		next = append(next, "What is absent may be written first, or have ?optional or ?default=… in its reference.")
	}
	if len(next) == 0 {
		return err
	}
	return &explained{error: err, next: strings.Join(next, "\n")}
}

// whyDenied tells a token that is worth nothing from one without the right.
func whyDenied(ctx context.Context, c *client.Client, lines []string) string {
	if c.Token() == "" {
		return "No token was sent: set COFFER_TOKEN, or COFFER_ROLE_ID and COFFER_SECRET_ID, or log in with \"coffer login\"."
	}
	if _, err := c.WithWrapTTL("").Read(ctx, "auth/token/lookup-self"); client.StatusOf(err) == http.StatusForbidden {
		return "The token itself is refused: it has expired, was revoked, or is another server's. Log in again, or set another COFFER_TOKEN."
	}
	return "These lines in a policy of the token would grant what is refused:\n" + strings.Join(lines, "\n")
}

// grant is the line of a policy that would let the reference be read.
func grant(f secrets.Failure) string {
	path := f.Reference.Path
	if refusal := new(client.Error); errors.As(f.Err, &refusal) && strings.Trim(refusal.Path, "/") != path {
		path = refusal.Path // with the data/ of a mount that is known
	} else if mount, rest, ok := strings.Cut(path, "/"); ok && !strings.HasPrefix(rest, "data/") {
		return fmt.Sprintf("  path %q { capabilities = [\"read\"] }  # %q if its mount keeps no versions", mount+"/data/"+rest, path)
	}
	return fmt.Sprintf("  path %q { capabilities = [\"read\"] }", path)
}
