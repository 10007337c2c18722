package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// secrets are what the application works with. They are immutable, and have no
// exported fields for a logger or an encoder to find.
type secrets struct {
	databaseURL string
	apiKey      string
	tlsKey      string // PEM
	certificate tls.Certificate
	versions    map[string]int // name of a secret → its version; empty if that is not known
}

// Format hides the values from fmt, under every verb.
func (s *secrets) Format(f fmt.State, _ rune) { io.WriteString(f, "[secrets]") }

// source is where the secrets come from.
type source interface {
	// Name is "environment" or "vault".
	Name() string
	// Read returns the newest secrets.
	Read(ctx context.Context) (*secrets, error)
	// RotateAPIKey stores a new API key and returns the version that has it, or
	// errCannotRotate.
	RotateAPIKey(ctx context.Context, key string) (int, error)
	Close() error
}

var (
	_ source = (*environment)(nil)
	_ source = (*vault)(nil)
)

// errCannotRotate says that a source only reads.
var errCannotRotate = errors.New("the secrets are the environment's: rotate them where they are stored")

// values are the variables that hold the secrets themselves.
var values = []string{"DATABASE_URL", "API_KEY", "TLS_CERT", "TLS_KEY"}

// openSource returns where the secrets come from, going by what is in the
// environment. If the values are there, they are used; if none of them is, the
// server is asked. Some of them are a mistake that is better found now.
func openSource(ctx context.Context, getenv func(string) string) (source, error) {
	var there, missing []string
	for _, name := range values {
		if getenv(name) != "" {
			there = append(there, name)
		} else {
			missing = append(missing, name)
		}
	}
	switch {
	case len(missing) == 0:
		return newEnvironment(getenv)
	case len(there) > 0:
		return nil, fmt.Errorf("%s is set but not %s", strings.Join(there, ", "), strings.Join(missing, ", "))
	}
	return login(ctx, getenv)
}

// environment has the secrets that somebody, such as "coffer run", has put into
// the environment. They never change: a new value is a new process.
type environment struct{ secrets *secrets }

func newEnvironment(getenv func(string) string) (*environment, error) {
	for _, name := range values {
		if isReference(getenv(name)) {
			return nil, fmt.Errorf("%s is a reference: start the application with \"coffer run\"", name)
		}
	}
	cert, err := readPEM(getenv("TLS_CERT"))
	if err != nil {
		return nil, err
	}
	key, err := readPEM(getenv("TLS_KEY"))
	if err != nil {
		return nil, err
	}
	s, err := newSecrets(getenv("DATABASE_URL"), getenv("API_KEY"), cert, key)
	return &environment{s}, err
}

// isReference says whether s names a secret and is none.
func isReference(s string) bool {
	for _, scheme := range []string{"vault:", "coffer://", "ref+vault://"} {
		if strings.HasPrefix(s, scheme) {
			return true
		}
	}
	return false
}

// readPEM returns s if it is PEM, and else the text of the file that it names.
func readPEM(s string) (string, error) {
	if strings.HasPrefix(strings.TrimSpace(s), "-----BEGIN") {
		return s, nil
	}
	text, err := os.ReadFile(s)
	return string(text), err
}

// newSecrets checks that certificate and key belong together.
func newSecrets(databaseURL, apiKey, cert, key string) (*secrets, error) {
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	return &secrets{databaseURL: databaseURL, apiKey: apiKey, tlsKey: key, certificate: pair}, nil
}

func (e *environment) Name() string                                      { return "environment" }
func (e *environment) Read(context.Context) (*secrets, error)            { return e.secrets, nil }
func (e *environment) RotateAPIKey(context.Context, string) (int, error) { return 0, errCannotRotate }
func (e *environment) Close() error                                      { return nil }
