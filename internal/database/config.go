package database

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// Config says how to reach a system and who its administrator is. Which fields
// count depends on the kind.
type Config struct {
	Plugin Plugin

	URL             secret.Bytes // connection_url; it may hold a password
	Host            string
	Port            int
	Username        string
	Password        secret.Bytes
	DisableEscaping bool // the values already have the form that URL needs

	MaxOpen     int           // connections
	MaxIdle     int           // connections; below zero: none
	MaxLifetime time.Duration // of a connection; zero: no end

	TLS           bool         // for kinds that do not say so in URL
	CA            string       // PEM certificates
	Certificate   secret.Bytes // PEM, for the client; other blocks do not matter
	Key           secret.Bytes // PEM, for Certificate
	ServerName    string       // in the server's certificate
	SkipTLSVerify bool

	UsernameTemplate string // empty: the plugin's
	Verifier         bool   // passwords go to the system as verifiers
	Persistence      Persistence
}

// Persistence says how Redis keeps changes of users.
type Persistence string

// The ways to keep changes.
const (
	PersistNone    Persistence = ""
	PersistRewrite Persistence = "REWRITE" // CONFIG REWRITE
	PersistACLFile Persistence = "ACLFILE" // ACL SAVE
)

// The fields of connections. Those of a kind are a choice of them.
var fields = logical.Fields{
	"connection_url":          {Type: logical.Text, Help: "Address of the system, with {{username}} and {{password}} in the place of the credentials."},
	"host":                    {Type: logical.Text, Help: "Host to connect to."},
	"port":                    {Type: logical.Int, Help: "Port to connect to."},
	"username":                {Type: logical.Text, Help: "User that creates and revokes others."},
	"password":                {Type: logical.Text, Help: "Password of that user. It is never shown."},
	"disable_escaping":        {Type: logical.Bool, Help: "Put username and password into connection_url as they are."},
	"max_open_connections":    {Type: logical.Int, Help: "Most connections that are open at a time; 4 if not given."},
	"max_idle_connections":    {Type: logical.Int, Help: "Most connections that are kept for later; 0 means as many as may be open, below zero none."},
	"max_connection_lifetime": {Type: logical.Duration, Help: "Time after which a connection is not used again; 0 means no end."},
	"tls":                     {Type: logical.Bool, Help: "Connect with TLS."},
	"tls_ca":                  {Type: logical.Text, Help: "PEM certificates by which the server's certificate is checked."},
	"ca_cert":                 {Type: logical.Text, Help: "PEM certificates by which the server's certificate is checked."},
	"tls_certificate":         {Type: logical.Text, Help: "PEM certificate to authenticate with."},
	"private_key":             {Type: logical.Text, Help: "PEM key of tls_certificate. It is never shown."},
	"tls_certificate_key":     {Type: logical.Text, Help: "PEM certificate and key to authenticate with. It is never shown."},
	"tls_server_name":         {Type: logical.Text, Help: "Name that the server's certificate must have."},
	"tls_skip_verify":         {Type: logical.Bool, Help: "Accept any certificate of the server."},
	"insecure_tls":            {Type: logical.Bool, Help: "Accept any certificate of the server."},
	"username_template":       {Type: logical.Text, Help: "Template of the names of dynamic users."},
	"password_authentication": {Type: logical.Text, Help: "How passwords are sent: as \"password\", or as \"scram-sha-256\" verifiers."},
	"persistence_mode":        {Type: logical.Text, Help: "How changes of users are kept: None, REWRITE or ACLFILE."},
}

// Choose returns the named fields of connections.
func Choose(names ...string) logical.Fields {
	chosen := logical.Fields{}
	for _, name := range names {
		f, ok := fields[name]
		if !ok {
			panic(fmt.Sprintf("database: internal error: no field %q", name))
		}
		chosen[name] = f
	}
	return chosen
}

// SecretFields are the fields that are never shown. A connection_url is shown as
// [Config.DisplayURL] has it.
var SecretFields = []string{"password", "private_key", "tls_certificate_key"}

// defaultMaxOpen is how many connections are open at most, if nothing is said.
const defaultMaxOpen = 4

// Parse reads the JSON fields of a connection, as a client of Vault sends them.
// It touches nothing else. Fields that the kind does not know are ignored. It
// returns an error of kind [logical.ErrInvalid] that names every problem.
func (k *Kind) Parse(plugin string, raw json.RawMessage) (Config, error) {
	p, ok := k.Plugin(plugin)
	if !ok {
		return Config{}, logical.Invalid("plugin_name: unknown")
	}
	r := &logical.Request{Body: raw}
	if err := r.Accept(k.Fields, nil, nil); err != nil {
		return Config{}, err
	}
	cfg, problems := configOf(p, r)
	problems = append(problems, k.Check(cfg)...)
	if _, err := NewUsernames(cfg); err != nil {
		problems = append(problems, Problem{"username_template", err.Error()})
	}
	if _, err := cfg.ClientTLS(""); err != nil {
		problems = append(problems, Problem{"tls", err.Error()})
	}
	return cfg, refuse(problems)
}

func configOf(p Plugin, r *logical.Request) (Config, []Problem) {
	cfg := Config{
		Plugin:           p,
		URL:              secret.Text(r.Text("connection_url")),
		Host:             r.Text("host"),
		Port:             r.Int("port"),
		Username:         r.Text("username"),
		Password:         secret.Text(r.Text("password")),
		DisableEscaping:  r.Bool("disable_escaping"),
		MaxOpen:          r.Int("max_open_connections"),
		MaxIdle:          r.Int("max_idle_connections"),
		MaxLifetime:      r.Duration("max_connection_lifetime"),
		TLS:              r.Bool("tls"),
		CA:               cmp.Or(r.Text("tls_ca"), r.Text("ca_cert")),
		Certificate:      secret.Text(r.Text("tls_certificate")),
		Key:              secret.Text(r.Text("private_key")),
		ServerName:       r.Text("tls_server_name"),
		SkipTLSVerify:    r.Bool("tls_skip_verify") || r.Bool("insecure_tls"),
		UsernameTemplate: r.Text("username_template"),
	}
	if both := secret.Text(r.Text("tls_certificate_key")); !both.Empty() {
		cfg.Certificate, cfg.Key = both, both
	}
	if cfg.MaxOpen <= 0 {
		cfg.MaxOpen = defaultMaxOpen
	}
	if cfg.MaxIdle == 0 || cfg.MaxIdle > cfg.MaxOpen {
		cfg.MaxIdle = cfg.MaxOpen
	}
	return cfg, cfg.choices(r)
}

// choices reads the fields that have a few known values.
func (c *Config) choices(r *logical.Request) (problems []Problem) {
	switch r.Text("password_authentication") {
	case "", "password":
	case "scram-sha-256":
		c.Verifier = true
	default:
		problems = append(problems, Problem{"password_authentication", `must be "password" or "scram-sha-256"`})
	}
	switch mode := strings.ToUpper(r.Text("persistence_mode")); mode {
	case "", "NONE":
	case string(PersistRewrite), string(PersistACLFile):
		c.Persistence = Persistence(mode)
	default:
		problems = append(problems, Problem{"persistence_mode", "must be None, REWRITE or ACLFILE"})
	}
	return problems
}

// DisplayURL returns connection_url without a password that stands in it.
func (c Config) DisplayURL() string {
	text := c.URL.RevealText()
	if at := strings.LastIndexByte(beforeQuery(text), '@'); at >= 0 {
		start := 0
		if i := strings.Index(text[:at], "://"); i >= 0 {
			start = i + len("://")
		}
		if user, password, ok := strings.Cut(text[start:at], ":"); ok {
			text = text[:start] + user + ":" + mask(password) + text[at:]
		}
	}
	return passwordPair.ReplaceAllStringFunc(text, func(pair string) string {
		name, value, _ := strings.Cut(pair, "=")
		return name + "=" + mask(strings.TrimSpace(value))
	})
}

// passwordPair is a password in a query or among the keywords of libpq.
var passwordPair = regexp.MustCompile(`(?i)(ssl)?password\s*=\s*('(\\.|[^'\\])*'?|(\\.|[^\s&\\])*)`)

func mask(password string) string {
	if password == "{{password}}" || password == "'{{password}}'" {
		return password
	}
	return "*****"
}

// beforeQuery cuts off what follows the last question mark that no at sign
// follows: passwords may have any characters.
func beforeQuery(text string) string {
	if i := strings.LastIndexByte(text, '?'); i >= 0 && strings.IndexByte(text[i:], '@') < 0 {
		return text[:i]
	}
	return text
}

// Templated says whether the connection's password can be changed: whether
// connection_url, if the kind has one, takes it from the field.
func (c Config) Templated() bool {
	return c.URL.Empty() || strings.Contains(c.URL.RevealText(), "{{password}}")
}
