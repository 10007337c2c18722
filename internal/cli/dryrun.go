package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// dryRun says what becomes of requests.
type dryRun int

const (
	notDry    dryRun = iota
	dryCurl          // the first one that matters is printed as a curl command
	dryPolicy        // … as the policy it needs
)

// errRecorded ends a request that was not made.
var errRecorded = errors.New("request recorded")

// recorder stands in for the network. Requests that only prepare the one that
// was asked for go through.
type recorder struct {
	kind dryRun
	next http.RoundTripper
	text string // of the request; empty: none was made
}

var _ http.RoundTripper = (*recorder)(nil)

// RoundTrip implements [http.RoundTripper].
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	// Without the answer where a secret lies there is no request to show.
	if strings.Contains(req.URL.Path, "/v1/"+mountOf) {
		return r.next.RoundTrip(req)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	if r.kind == dryCurl {
		r.text = curlCommand(req, string(body))
	} else {
		r.text = policyFor(req)
	}
	return nil, errRecorded
}

// finishDryRun prints what was recorded instead of err, which the recording
// caused.
func (c *Call) finishDryRun(err error) error {
	if c.dry == nil || c.dry.text == "" {
		return err
	}
	c.Print(c.dry.text)
	return nil
}

// curlCommand shows the token as a command that prints it, not as itself.
func curlCommand(req *http.Request, body string) string {
	words := []string{"curl"}
	if req.Method != http.MethodGet {
		words = append(words, "-X", req.Method)
	}
	names := make([]string, 0, len(req.Header))
	for name := range req.Header {
		if name != "User-Agent" && name != "Content-Type" {
			names = append(names, name)
		}
	}
	if req.Method == http.MethodPatch {
		names = append(names, "Content-Type")
	}
	slices.Sort(names)
	for _, name := range names {
		value := shellQuote(name + ": " + req.Header.Get(name))
		if name == "X-Vault-Token" {
			value = fmt.Sprintf(`"%s: $(%s print token)"`, name, program)
		}
		words = append(words, "-H", value)
	}
	if body != "" {
		words = append(words, "-d", shellQuote(body))
	}
	return strings.Join(append(words, shellQuote(req.URL.String())), " ")
}

// shellQuote makes s one word for a POSIX shell.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("%+,-./:=@_", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// capabilities are what a policy must grant for a method.
var capabilities = map[string][]string{
	http.MethodGet:    {"read"},
	http.MethodHead:   {"read"},
	http.MethodPut:    {"create", "update"},
	http.MethodPost:   {"create", "update"},
	http.MethodPatch:  {"patch"},
	http.MethodDelete: {"delete"},
}

// sudoPaths are those of Vault's API that want the capability sudo as well, as
// beginnings.
var sudoPaths = []string{
	"auth/token/accessors", "auth/token/create-orphan", "auth/token/revoke-orphan",
	"sys/audit", "sys/auth/", "sys/config/", "sys/leases/lookup/", "sys/leases/revoke-force/",
	"sys/leases/revoke-prefix/", "sys/raw", "sys/remount", "sys/rotate", "sys/seal", "sys/step-down",
}

func policyFor(req *http.Request) string {
	_, path, _ := strings.Cut(req.URL.Path, "/v1/")
	caps := slices.Clone(capabilities[req.Method])
	if req.Method == http.MethodGet && req.URL.Query().Get("list") == "true" {
		caps = []string{"list"}
		path = strings.TrimSuffix(path, "/") + "/"
	}
	if slices.ContainsFunc(sudoPaths, func(p string) bool { return strings.HasPrefix(path, p) }) {
		caps = append(caps, "sudo")
	}
	return fmt.Sprintf("path %q {\n  capabilities = [\"%s\"]\n}", path, strings.Join(caps, `", "`))
}
