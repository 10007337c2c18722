package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"
	"unicode/utf8"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/config"
	"github.com/cofferhq/coffer/internal/stanza"
	"github.com/cofferhq/coffer/internal/template"
)

// Config is what an agent does. [Parse] makes it of Vault Agent's configuration.
type Config struct {
	Server       Server
	Method       *Method // nil: no login; the caller's tokens are all there is
	Sinks        []Sink
	Templates    []Template
	EnvTemplates []EnvTemplate
	Exec         *Exec
	Listeners    []Listener
	Proxy        Proxy
	Cache        bool

	// Interval is how often what has no lease is read; zero: that of package template.
	Interval           time.Duration
	ExitOnRetryFailure bool // a template that cannot be rendered, after Server.Retries tries, ends the agent

	PidFile       string
	ExitAfterAuth bool
	LogLevel      slog.Level
	LogJSON       bool
	EnableQuit    bool // POST /agent/v1/quit ends the agent
}

// Server is where the secrets are.
type Server struct {
	Address, Namespace    string
	CACert, CAPath        string
	ClientCert, ClientKey string
	TLSServerName         string
	TLSSkipVerify         bool
	Retries               int // after the first try; zero: DefaultRetries, below zero: none
}

// DefaultRetries is Vault Agent's.
const DefaultRetries = 12

// client returns how to reach the server: what the file leaves open is as over says.
func (s *Server) client(over client.Config) client.Config {
	for _, f := range []struct {
		own string
		to  *string
	}{
		{s.Address, &over.Address}, {s.Namespace, &over.Namespace}, {s.CACert, &over.CACertFile}, {s.CAPath, &over.CAPath},
		{s.ClientCert, &over.ClientCert}, {s.ClientKey, &over.ClientKey}, {s.TLSServerName, &over.TLSServerName},
	} {
		if *f.to == "" {
			*f.to = f.own
		}
	}
	over.SkipVerify = over.SkipVerify || s.TLSSkipVerify
	over.Token, over.WrapTTL = "", ""
	return over
}

// MethodKind is how an agent logs in.
type MethodKind string

// The methods.
const (
	AppRole   MethodKind = "approle"
	TokenFile MethodKind = "token_file"
)

// Method is auto_auth's.
type Method struct {
	Kind                   MethodKind
	Mount                  string // without auth/; empty: "approle"
	Namespace              string // empty: the server's
	MinBackOff, MaxBackOff time.Duration
	ExitOnError            bool

	RoleIDFile, SecretIDFile string
	KeepSecretIDFile         bool
	WrappingPath             string // where the wrapped secret id must come from; empty: it is not wrapped
	TokenFile                string
}

// Sink is a file that gets the token.
type Sink struct {
	Path    string
	Mode    fs.FileMode
	WrapTTL time.Duration // zero: the token itself
	line    int
}

// defaultSinkMode is Vault's.
const defaultSinkMode fs.FileMode = 0o640

// Template is a file that is rendered.
type Template struct {
	Name        string // for people: the source, or the destination
	Parsed      *template.Template
	Destination template.Destination
	Command     []string // run after a change; empty: none
	Timeout     time.Duration
}

// EnvTemplate is a variable of the program of Exec.
type EnvTemplate struct {
	Name   string
	Parsed *template.Template
}

// Exec is a program that runs with EnvTemplates in its environment.
type Exec struct {
	Command     []string
	KeepRunning bool   // a change does not restart it
	StopSignal  string // empty: SIGTERM
}

// Listener is where the proxy takes requests.
type Listener struct {
	config.Listener
	RequireHeader bool // X-Vault-Request
	line          int
}

// Proxy is what goes with the requests of others.
type Proxy struct {
	UseToken bool // the agent's token, if they have none
	Force    bool // the agent's token, always
}

// maxConfigBytes is how large a configuration may be.
const maxConfigBytes = 1 << 20

// Load reads the configuration at path; see [Parse].
func Load(path string, o ParseOptions) (*Config, []Problem, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return nil, nil, err
	}
	return Parse(path, text, o)
}

// ParseOptions says what a configuration may reach.
type ParseOptions struct {
	Getenv   func(string) string // of templates; nil: the environment is empty
	ReadFile func(path string) ([]byte, error)
}

// Parse reads a configuration in Vault Agent's HCL, or in JSON, and the templates
// that it names, with o.ReadFile. If anything is wrong the error is a [*ConfigError]
// with all of it. The warnings tell of what has no effect, in either case.
func Parse(name string, content []byte, o ParseOptions) (*Config, []Problem, error) {
	fail := func(line int, text string) (*Config, []Problem, error) {
		return nil, nil, &ConfigError{File: name, Problems: []Problem{{Line: line, Text: text}}}
	}
	switch {
	case len(content) > maxConfigBytes:
		return fail(0, fmt.Sprintf("larger than %d bytes", maxConfigBytes))
	case !utf8.Valid(content):
		return fail(0, "not a text in UTF-8")
	}
	parse := stanza.ParseHCL
	if bytes.HasPrefix(bytes.TrimSpace(content), []byte("{")) {
		parse = stanza.ParseJSON
	}
	root, err := parse(content)
	if se := new(stanza.SyntaxError); errors.As(err, &se) {
		return fail(se.Line, se.Text)
	}
	if root.Shape != stanza.Object {
		return fail(0, "expected an object")
	}
	r := &report{}
	draft := &draft{}
	topKeys.decode(scope{report: r}, draft, root.Entries)
	draft.finish(scope{report: r}, o)
	if len(r.problems) > 0 {
		return nil, byLine(r.warnings), &ConfigError{File: name, Problems: byLine(r.problems)}
	}
	return &draft.Config, byLine(r.warnings), nil
}
