package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/client"
)

// A ceremony is what several holders of shares of a key do together, each with
// a call of their own: what it is about, and how far it is, the server knows.
// Its modes are flags, of which at most one is given; with none the call gives a
// share.
type ceremony struct {
	start, cancel, status *bool
	nonce                 *string
}

func declareCeremony(f *Flags, what string) ceremony {
	return ceremony{
		start:  f.Bool("init", false, "Begin "+what+"."),
		cancel: f.Bool("cancel", false, "End what was begun; the shares given so far are forgotten."),
		status: f.Bool("status", false, "Tell how far it is."),
		nonce:  f.String("nonce", "", "Which attempt the share is for: the begin prints it. Needed where the share is not typed in."),
	}
}

// oneOf refuses calls with two modes: none of them is what was meant.
func oneOf(modes map[string]bool) error {
	var given []string
	for _, name := range slices.Sorted(maps.Keys(modes)) {
		if modes[name] {
			given = append(given, "-"+name)
		}
	}
	if len(given) > 1 {
		return usage("Only one of %s can be given", strings.Join(given, ", "))
	}
	return nil
}

// noKey refuses a share where the call gives none.
func (c *Call) noKey() error {
	if len(c.Args) > 0 {
		return usage("A key is given in a call of its own, without this flag")
	}
	return nil
}

// keyShare is a share of a key, for one attempt.
type keyShare struct {
	Key   string `json:"key"`
	Nonce string `json:"nonce"`
}

// keyShare takes a share off the arguments, the terminal or the standard input.
// Who types sees which attempt it is that is under way; everybody else must know.
func (c *Call) keyShare(nonce, underWay string) (keyShare, error) {
	if len(c.Args) == 0 && c.StdinTTY {
		nonce = cmp.Or(nonce, underWay)
		fmt.Fprintf(c.Stderr, "Operation nonce: %s\n", nonce)
	}
	if nonce == "" {
		return keyShare{}, usage("Missing nonce value: specify it via the -nonce flag")
	}
	key, err := c.unsealKey()
	if err != nil {
		return keyShare{}, err
	}
	if key == "" {
		return keyShare{}, usage("No unseal key was given")
	}
	return keyShare{Key: key, Nonce: nonce}, nil
}

// cancelCeremony deletes path, and tells that it did.
func cancelCeremony(ctx context.Context, c *Call, cl *client.Client, path, doing, done string) error {
	if err := c.noKey(); err != nil {
		return err
	}
	if _, err := call[struct{}](ctx, cl, http.MethodDelete, path, nil); err != nil {
		return failed(err, "%s", doing)
	}
	c.Success("%s", done)
	return nil
}
