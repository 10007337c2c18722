package cli

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/cofferhq/coffer/client"
)

// Exit codes. They are API: scripts branch on them.
const (
	exitOK     = 0
	exitLocal  = 1 // wrong arguments, or this machine's files and settings
	exitServer = 2 // the server refused, was not there, or has no such thing
)

// failure is an error that knows its exit code. Every other error a command
// returns comes from talking to the server.
type failure struct {
	code int
	text string // empty: print nothing, the code says it
	hint string // what to do next; may be empty
}

func (f *failure) Error() string { return f.text }

// usage says that the call is wrong.
func usage(format string, args ...any) error {
	return &failure{code: exitLocal, text: fmt.Sprintf(format, args...), hint: "Add -help for how to call it."}
}

// local says that something on this machine is wrong. It returns nil for nil.
func local(err error) error {
	if err == nil {
		return nil
	}
	return &failure{code: exitLocal, text: err.Error()}
}

// noValue says that the server has nothing at path.
func noValue(path string) error {
	return &failure{code: exitServer, text: "No value found at " + path}
}

// silently ends the call with a code and no words.
func silently(code int) error { return &failure{code: code} }

// attempt is an error with what was attempted: "reading secret/db".
type attempt struct {
	doing string
	err   error
}

// failed returns nil for nil.
func failed(err error, doing string, args ...any) error {
	if err == nil {
		return nil
	}
	return &attempt{doing: fmt.Sprintf(doing, args...), err: err}
}

func (a *attempt) Error() string { return "Error " + a.doing + ": " + a.err.Error() }
func (a *attempt) Unwrap() error { return a.err }

// report prints err, if it is one, and returns the exit code.
func (c *Call) report(err error) int {
	if err == nil {
		return exitOK
	}
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{code: exitServer, text: c.describe(err), hint: c.hint(err)}
	}
	if f.text != "" {
		fmt.Fprintln(c.Stderr, c.paint(red, f.text))
		if f.hint != "" {
			fmt.Fprintln(c.Stderr, f.hint)
		}
	}
	return f.code
}

// describe is the text of err, refusals laid out as scripts expect them.
func (c *Call) describe(err error) string {
	text := err.Error()
	var refusal *client.Error
	if !errors.As(err, &refusal) || c.client == nil {
		return text
	}
	var b strings.Builder
	b.WriteString(strings.TrimSuffix(text, refusal.Error()))
	b.WriteString("Error making API request.\n\n")
	if ns := c.client.Namespace(); ns != "" {
		fmt.Fprintf(&b, "Namespace: %s/\n", ns)
	}
	fmt.Fprintf(&b, "URL: %s %s\nCode: %d.", refusal.Method, c.client.URL(refusal.Path, url.Values{}).Redacted(), refusal.Status)
	if len(refusal.Errors) == 0 {
		fmt.Fprintf(&b, " %s", http.StatusText(refusal.Status))
		return b.String()
	}
	b.WriteString(" Errors:\n")
	for _, e := range refusal.Errors {
		fmt.Fprintf(&b, "\n* %s", e)
	}
	return b.String()
}

// hint tells what to do about err, or nothing.
func (c *Call) hint(err error) string {
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var dns *net.DNSError
	switch {
	case client.StatusOf(err) != 0:
		return c.refusalHint(err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("Hint: nothing listens at %s. Is the server running? Start one with \"%s server\", or say where it is: COFFER_ADDR.", c.server(), program)
	case errors.Is(err, http.ErrSchemeMismatch):
		return "Hint: the server speaks plain HTTP. Set COFFER_ADDR to http://… instead of https://…."
	case errors.As(err, &unknown):
		return "Hint: the server's certificate is signed by an authority unknown here. Name its PEM file with -ca-cert or COFFER_CACERT."
	case errors.As(err, &wrongName):
		return "Hint: the server's certificate is for another name. If that is as it should be, give the name with -tls-server-name."
	case errors.As(err, &dns):
		return "Hint: check the host name in COFFER_ADDR or -address."
	case errors.Is(err, context.DeadlineExceeded):
		return "Hint: the server did not answer in time. COFFER_CLIENT_TIMEOUT sets how long to wait."
	}
	return ""
}

// mountOf is where the server tells which mount a path is on.
const mountOf = "sys/internal/ui/mounts/"

func (c *Call) refusalHint(err error) string {
	var refusal *client.Error
	errors.As(err, &refusal)
	text := strings.Join(refusal.Errors, "\n")
	switch {
	case refusal.Status == http.StatusForbidden && isLogin(refusal.Path):
		return "Hint: the login is refused, or no auth method is enabled there: -path says where it is."
	case refusal.Status == http.StatusForbidden && c.client.Token() == "":
		return fmt.Sprintf("Hint: no token was sent. Log in with \"%s login\", or set COFFER_TOKEN.", program)
	case refusal.Status == http.StatusForbidden && strings.HasPrefix(refusal.Path, mountOf):
		return fmt.Sprintf("Hint: the token has no right at or below %s, or nothing is mounted there.", strings.TrimPrefix(refusal.Path, mountOf))
	case refusal.Status == http.StatusForbidden && refusal.Path == "auth/token/lookup-self":
		return fmt.Sprintf("Hint: the token is none of this server's, has expired or was revoked. Log in with \"%s login\".", program)
	case refusal.Status == http.StatusForbidden && strings.Contains(text, "bad token"):
		return "Hint: the token that the call is about is unknown, has expired or was revoked."
	case refusal.Status == http.StatusForbidden && refusal.Path == explainPath:
		return "Hint: " + cmp.Or(refusal.Hint, fmt.Sprintf("the token may not ask, or the server is none of coffer's. \"%s policy read\" and -policy-file explain policies here.", program))
	case refusal.Status == http.StatusForbidden:
		capability, or := capabilityOf(refusal.Method)
		return fmt.Sprintf("Hint: \"%[1]s policy explain %[2]s %[3]s\"%[4]s tells why, \"%[1]s token lookup\" whose token this is.", program, capability, refusal.Path, or)
	case refusal.Status == http.StatusServiceUnavailable && strings.Contains(strings.ToLower(text), "sealed"):
		return fmt.Sprintf("Hint: unseal the server with \"%s operator unseal\".", program)
	case refusal.Status == http.StatusNotFound && strings.Contains(text, "no handler for route"):
		return fmt.Sprintf("Hint: nothing is mounted there. \"%[1]s secrets list\" and \"%[1]s auth list\" show what is.", program)
	case refusal.Status == http.StatusBadRequest && text == "" && c.client.URL("", nil).Scheme == "http":
		return "Hint: if the server speaks TLS, set COFFER_ADDR to https://… instead of http://…."
	case refusal.Hint != "":
		return "Hint: " + refusal.Hint
	}
	return ""
}

// capabilityOf is what a request by method takes. Lists are sent as reads, so that
// the method does not tell.
func capabilityOf(method string) (word, or string) {
	switch method {
	case http.MethodGet, http.MethodHead:
		return "read", " (or with list)"
	case http.MethodPatch:
		return "patch", ""
	case http.MethodDelete:
		return "delete", ""
	}
	return "write", ""
}

// isLogin says whether a path is one that people log in at.
func isLogin(path string) bool {
	return strings.HasPrefix(path, "auth/") && (strings.HasSuffix(path, "/login") || strings.Contains(path, "/login/"))
}

// server is the address of requests, without path.
func (c *Call) server() string {
	if c.client == nil {
		return ""
	}
	u := c.client.URL("", nil)
	return u.Scheme + "://" + u.Host
}
