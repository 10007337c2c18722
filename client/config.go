package client

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Defaults of [Config].
const (
	DefaultAddress    = "https://127.0.0.1:8200"
	DefaultTimeout    = 60 * time.Second
	DefaultMaxRetries = 2
)

// NoRetries as Config.MaxRetries makes every request happen once at most.
const NoRetries = -1

// Config says which server, as whom, and how patiently. The zero value is the
// local server without a token.
type Config struct {
	// Address is http://, https:// or unix:// followed by the path of a socket.
	// Empty: DefaultAddress.
	Address   string
	Namespace string
	Token     string

	CACertFile    string // PEM file with the authorities to trust; empty: the system's
	CAPath        string // folder of such files, in place of CACertFile
	CACertPEM     []byte // the authorities themselves; wins over both
	ClientCert    string // PEM file, with ClientKey
	ClientKey     string // PEM file
	TLSServerName string // name to expect in the server's certificate
	SkipVerify    bool   // trust any certificate

	// Timeout bounds a request with all its attempts. Zero: DefaultTimeout;
	// negative: none but the context's.
	Timeout time.Duration

	// MaxRetries is the number of attempts after the first. Zero:
	// DefaultMaxRetries; negative: none.
	MaxRetries int

	UserAgent string      // empty: "coffer-client"
	WrapTTL   string      // wrap every answer for that long; empty: don't
	Header    http.Header // more headers for every request; may be nil

	// WrapTransport, if not nil, is given the transport that the other fields
	// make and returns the one to use: for tracing and tests. It is called a second
	// time, for the transport of upgrades to WebSockets.
	WrapTransport func(http.RoundTripper) http.RoundTripper
}

// Format prints no token under any verb.
func (c Config) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "client.Config{Address: %q, Namespace: %q}", c.Address, c.Namespace)
}

func (c Config) withDefaults() Config {
	if c.Address == "" {
		c.Address = DefaultAddress
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxRetries == 0 {
		c.MaxRetries = DefaultMaxRetries
	}
	if c.UserAgent == "" {
		c.UserAgent = "coffer-client"
	}
	return c
}

// settings are the environment variables without their prefix, in the order in
// which their problems are reported.
var settings = []struct {
	name string
	set  func(c *Config, value string) error
}{
	{"ADDR", func(c *Config, v string) error { c.Address = v; return nil }},
	{"TOKEN", func(c *Config, v string) error { c.Token = v; return nil }},
	{"NAMESPACE", func(c *Config, v string) error { c.Namespace = v; return nil }},
	{"CACERT", func(c *Config, v string) error { c.CACertFile = v; return nil }},
	{"CACERT_BYTES", func(c *Config, v string) error { c.CACertPEM = []byte(v); return nil }},
	{"CAPATH", func(c *Config, v string) error { c.CAPath = v; return nil }},
	{"CLIENT_CERT", func(c *Config, v string) error { c.ClientCert = v; return nil }},
	{"CLIENT_KEY", func(c *Config, v string) error { c.ClientKey = v; return nil }},
	{"TLS_SERVER_NAME", func(c *Config, v string) error { c.TLSServerName = v; return nil }},
	{"SKIP_VERIFY", setSkipVerify},
	{"CLIENT_TIMEOUT", setTimeout},
	{"MAX_RETRIES", setMaxRetries},
	{"WRAP_TTL", func(c *Config, v string) error { c.WrapTTL = v; return nil }},
}

// ConfigFromEnv reads the environment through getenv, usually os.Getenv. Each
// variable has two names, COFFER_ADDR and VAULT_ADDR, of which the first wins;
// what is empty counts as unset. The error tells of every value that cannot be
// read, by the variable's name.
func ConfigFromEnv(getenv func(string) string) (Config, error) {
	var c Config
	var problems []error
	for _, s := range settings {
		name, value := lookup(getenv, s.name)
		if value == "" {
			continue
		}
		if err := s.set(&c, value); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
	}
	return c, errors.Join(problems...)
}

func lookup(getenv func(string) string, suffix string) (name, value string) {
	for _, prefix := range []string{"COFFER_", "VAULT_"} {
		name = prefix + suffix
		if value = getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

func setSkipVerify(c *Config, v string) error {
	b, err := strconv.ParseBool(v)
	if err != nil {
		return errors.New("want true or false")
	}
	c.SkipVerify = b
	return nil
}

// setTimeout takes seconds or a duration. Zero means without limit, as it does
// to Vault's clients.
func setTimeout(c *Config, v string) error {
	d, err := time.ParseDuration(v)
	if n, errInt := strconv.Atoi(v); errInt == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < 0 {
		return errors.New(`want seconds or a duration such as "90s"`)
	}
	if d == 0 {
		d = -1
	}
	c.Timeout = d
	return nil
}

func setMaxRetries(c *Config, v string) error {
	n, err := strconv.Atoi(strings.TrimSpace(v))
	if err != nil || n < 0 {
		return errors.New("want a number, zero or more")
	}
	if n == 0 {
		n = NoRetries
	}
	c.MaxRetries = n
	return nil
}
