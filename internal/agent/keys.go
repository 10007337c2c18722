package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/config"
	"github.com/cofferhq/coffer/internal/stanza"
)

// draft is a configuration while it is read.
type draft struct {
	Config
	templates []templateDraft
	env       []templateDraft
}

// topKeys are the stanzas of a configuration.
var topKeys = keys[draft]{
	"vault":           block(func(d *draft) *Server { return &d.Server }, serverKeys),
	"auto_auth":       block(func(d *draft) *draft { return d }, autoAuthKeys),
	"template":        readTemplates,
	"env_template":    readEnvTemplates,
	"template_config": block(func(d *draft) *Config { return &d.Config }, templateConfigKeys),
	"exec":            readExec,
	"cache":           readCache,
	"api_proxy":       block(func(d *draft) *draft { return d }, proxyKeys),
	"listener":        readListeners,
	"pid_file":        text(func(d *draft) *string { return &d.PidFile }),
	"exit_after_auth": flag(func(d *draft) *bool { return &d.ExitAfterAuth }),
	"log_level":       readLevel,
	"log_format":      readFormat,

	"log_file":                         ignored[draft]("the log goes to standard error; a supervisor keeps it"),
	"log_rotate_bytes":                 ignored[draft]("the log goes to standard error"),
	"log_rotate_duration":              ignored[draft]("the log goes to standard error"),
	"log_rotate_max_files":             ignored[draft]("the log goes to standard error"),
	"telemetry":                        ignored[draft]("the agent has no metrics of its own"),
	"disable_idle_connections":         ignored[draft]("connections are closed when they have been idle for 90 seconds"),
	"disable_keep_alives":              ignored[draft]("connections are kept"),
	"disable_mlock":                    ignored[draft]("memory is not locked"),
	"agent_metadata":                   ignored[draft]("nothing is sent to anybody"),
	"plugin_directory":                 ignored[draft]("there are no plugins"),
	"enable_reauth_on_new_credentials": ignored[draft]("the agent logs in again as soon as its token has ended"),
}

var serverKeys = keys[Server]{
	"address":         text(func(s *Server) *string { return &s.Address }),
	"namespace":       text(func(s *Server) *string { return &s.Namespace }),
	"ca_cert":         text(func(s *Server) *string { return &s.CACert }),
	"ca_path":         text(func(s *Server) *string { return &s.CAPath }),
	"client_cert":     text(func(s *Server) *string { return &s.ClientCert }),
	"client_key":      text(func(s *Server) *string { return &s.ClientKey }),
	"tls_server_name": text(func(s *Server) *string { return &s.TLSServerName }),
	"tls_skip_verify": flag(func(s *Server) *bool { return &s.TLSSkipVerify }),
	"retry":           block(func(s *Server) *Server { return s }, retryKeys),
}

var retryKeys = keys[Server]{
	"num_retries": count(func(s *Server) *int { return &s.Retries }),
	"enabled":     ignored[Server]("num_retries alone says how often"),
	"backoff":     ignored[Server]("tries come after one second, two, four, up to five minutes"),
	"max_backoff": ignored[Server]("tries come after one second, two, four, up to five minutes"),
}

var autoAuthKeys = keys[draft]{
	"method":                           readMethod,
	"sink":                             readSinks,
	"sinks":                            block(func(d *draft) *draft { return d }, keys[draft]{"sink": readSinks}),
	"enable_reauth_on_new_credentials": ignored[draft]("the agent logs in again as soon as its token has ended"),
}

var templateConfigKeys = keys[Config]{
	"exit_on_retry_failure":         flag(func(c *Config) *bool { return &c.ExitOnRetryFailure }),
	"static_secret_render_interval": duration(func(c *Config) *time.Duration { return &c.Interval }),
	"max_connections_per_host":      ignored[Config]("eight requests are under way at a time"),
	"lease_renewal_threshold":       ignored[Config]("leases are renewed at two thirds of their time"),
}

var methodKeys = keys[Method]{
	"mount_path":  text(func(m *Method) *string { return &m.Mount }),
	"namespace":   text(func(m *Method) *string { return &m.Namespace }),
	"min_backoff": duration(func(m *Method) *time.Duration { return &m.MinBackOff }),
	"max_backoff": duration(func(m *Method) *time.Duration { return &m.MaxBackOff }),
	"exit_on_err": flag(func(m *Method) *bool { return &m.ExitOnError }),
	"wrap_ttl":    refused[Method]("the agent needs the token itself; wrap_ttl of a sink wraps what the sink gets"),
}

var appRoleKeys = keys[Method]{
	"role_id_file_path":   text(func(m *Method) *string { return &m.RoleIDFile }),
	"secret_id_file_path": text(func(m *Method) *string { return &m.SecretIDFile }),
	"remove_secret_id_file_after_reading": func(_ scope, m *Method, e stanza.Entry) error {
		remove, err := e.Value.Bool()
		m.KeepSecretIDFile = !remove
		return err
	},
	"secret_id_response_wrapping_path": text(func(m *Method) *string { return &m.WrappingPath }),
}

var tokenFileKeys = keys[Method]{
	"token_file_path": text(func(m *Method) *string { return &m.TokenFile }),
}

var sinkKeys = keys[Sink]{
	"wrap_ttl": duration(func(s *Sink) *time.Duration { return &s.WrapTTL }),
	"config": block(func(s *Sink) *Sink { return s }, keys[Sink]{
		"path":  text(func(s *Sink) *string { return &s.Path }),
		"mode":  func(_ scope, s *Sink, e stanza.Entry) (err error) { s.Mode, err = modeOf(e.Value); return err },
		"owner": refused[Sink]("the file belongs to who runs the agent"),
		"group": refused[Sink]("the file belongs to who runs the agent"),
	}),
	"dh_type":     refused[Sink]("tokens are not encrypted for a sink; wrap_ttl protects them"),
	"dh_path":     refused[Sink]("tokens are not encrypted for a sink; wrap_ttl protects them"),
	"derive_key":  refused[Sink]("tokens are not encrypted for a sink; wrap_ttl protects them"),
	"aad":         refused[Sink]("tokens are not encrypted for a sink; wrap_ttl protects them"),
	"aad_env_var": refused[Sink]("tokens are not encrypted for a sink; wrap_ttl protects them"),
}

func readMethod(s scope, d *draft, e stanza.Entry) error {
	all, err := labels(e.Value)
	if err != nil {
		return err
	}
	for _, one := range all {
		if d.Method != nil {
			s.problem(one.line, "method", "there can be but one")
			continue
		}
		m := &Method{Kind: MethodKind(one.label), Mount: one.label}
		inner := keys[Method]{}
		for key, set := range methodKeys {
			inner[key] = set
		}
		switch m.Kind {
		case AppRole:
			inner["config"] = block(func(m *Method) *Method { return m }, appRoleKeys)
		case TokenFile:
			inner["config"] = block(func(m *Method) *Method { return m }, tokenFileKeys)
		default:
			s.problem(one.line, "method", fmt.Sprintf("%q is not supported; known are approle and token_file", one.label))
			continue
		}
		at := s.in(fmt.Sprintf("method %q", one.label))
		inner.decode(at, m, one.body.Entries)
		m.Mount = strings.TrimPrefix(strings.Trim(m.Mount, "/"), "auth/")
		m.check(at, one.line)
		d.Method = m
	}
	return nil
}

// check reports what is missing.
func (m *Method) check(s scope, line int) {
	if m.Kind == AppRole && m.RoleIDFile == "" {
		s.problem(line, "config.role_id_file_path", "is missing")
	}
	if m.Kind == AppRole && m.WrappingPath != "" && m.SecretIDFile == "" {
		s.problem(line, "config.secret_id_file_path", "is missing: secret_id_response_wrapping_path is about it")
	}
	if m.Kind == TokenFile && m.TokenFile == "" {
		s.problem(line, "config.token_file_path", "is missing")
	}
	if m.MaxBackOff > 0 && m.MaxBackOff < m.MinBackOff {
		s.problem(line, "max_backoff", "is below min_backoff")
	}
}

func readSinks(s scope, d *draft, e stanza.Entry) error {
	all, err := labels(e.Value)
	if err != nil {
		return err
	}
	for _, one := range all {
		if one.label != "file" {
			s.problem(one.line, "sink", fmt.Sprintf("%q is not supported; known is file", one.label))
			continue
		}
		sink := Sink{Mode: defaultSinkMode, line: one.line}
		at := s.in(`sink "file"`)
		sinkKeys.decode(at, &sink, one.body.Entries)
		if sink.Path == "" {
			at.problem(one.line, "config.path", "is missing")
		}
		d.Sinks = append(d.Sinks, sink)
	}
	return nil
}

// readCache takes the stanza as the wish to have one; what Vault's Enterprise edition
// keeps is not kept.
func readCache(s scope, d *draft, e stanza.Entry) error {
	d.Cache = true
	k := keys[draft]{
		"use_auto_auth_token":  readUseToken,
		"enforce_consistency":  ignored[draft]("a node of coffer always has its own writes"),
		"when_inconsistent":    ignored[draft]("a node of coffer always has its own writes"),
		"persist":              ignored[draft]("what is cached stays in memory"),
		"cache_static_secrets": ignored[draft]("an answer without a lease can change at any time, and is asked for each time"),
		"static_secret_token_capability_refresh_interval": ignored[draft]("an answer without a lease is asked for each time"),
		"static_secret_token_capability_refresh_behavior": ignored[draft]("an answer without a lease is asked for each time"),
		"disable_caching_dynamic_secrets": func(_ scope, d *draft, e stanza.Entry) error {
			off, err := e.Value.Bool()
			d.Cache = !off
			return err
		},
	}
	return block(func(d *draft) *draft { return d }, k)(s, d, e)
}

var proxyKeys = keys[draft]{
	"use_auto_auth_token":          readUseToken,
	"enforce_consistency":          ignored[draft]("a node of coffer always has its own writes"),
	"when_inconsistent":            ignored[draft]("a node of coffer always has its own writes"),
	"prepend_configured_namespace": refused[draft]("callers name their namespace whole"),
}

// readUseToken reads true, false or "force".
func readUseToken(_ scope, d *draft, e stanza.Entry) error {
	s, err := e.Value.Plain()
	if err != nil {
		return err
	}
	if strings.EqualFold(s, "force") {
		d.Proxy = Proxy{UseToken: true, Force: true}
		return nil
	}
	on, err := e.Value.Bool()
	if err != nil {
		return errors.New(`expected true, false or "force"`)
	}
	d.Proxy = Proxy{UseToken: on}
	return nil
}

var levels = map[string]slog.Level{
	"trace": slog.LevelDebug, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn,
	"warning": slog.LevelWarn, "error": slog.LevelError, "err": slog.LevelError, "notice": slog.LevelInfo,
}

// ParseLevel reads how much is logged, in Vault's words.
func ParseLevel(s string) (slog.Level, error) {
	level, ok := levels[strings.ToLower(s)]
	if !ok {
		return 0, errors.New("expected trace, debug, info, warn or error")
	}
	return level, nil
}

func readLevel(_ scope, d *draft, e stanza.Entry) error {
	s, err := e.Value.Plain()
	if err == nil {
		d.LogLevel, err = ParseLevel(s)
	}
	return err
}

func readFormat(_ scope, d *draft, e stanza.Entry) error {
	s, err := e.Value.Plain()
	if err == nil && !slices.Contains([]string{"", "standard", "json"}, s) {
		err = errors.New("expected standard or json")
	}
	d.LogJSON = s == "json"
	return err
}

// listenerKeys are those of one address.
var listenerKeys = keys[Listener]{
	"address":                            text(func(l *Listener) *string { return &l.Address }),
	"tls_disable":                        flag(func(l *Listener) *bool { return &l.TLS.Disabled }),
	"tls_cert_file":                      text(func(l *Listener) *string { return &l.TLS.CertFile }),
	"tls_key_file":                       text(func(l *Listener) *string { return &l.TLS.KeyFile }),
	"tls_require_and_verify_client_cert": flag(func(l *Listener) *bool { return &l.TLS.RequireClientCert }),
	"tls_client_ca_file":                 text(func(l *Listener) *string { return &l.TLS.ClientCAFile }),
	"socket_mode":                        mode(func(l *Listener) *fs.FileMode { return &l.Socket.Mode }),
	"socket_user":                        text(func(l *Listener) *string { return &l.Socket.User }),
	"socket_group":                       text(func(l *Listener) *string { return &l.Socket.Group }),
	"require_request_header":             flag(func(l *Listener) *bool { return &l.RequireHeader }),
	"role": func(_ scope, _ *Listener, e stanza.Entry) error {
		if s, err := e.Value.Plain(); err != nil || s != "default" {
			return errors.New("expected default: the agent has no metrics to listen for")
		}
		return nil
	},
}

func readListeners(s scope, d *draft, e stanza.Entry) error {
	all, err := labels(e.Value)
	if err != nil {
		return err
	}
	for _, one := range all {
		l := Listener{line: one.line}
		l.Network = config.Network(one.label)
		if l.Network != config.TCP && l.Network != config.Unix {
			s.problem(one.line, "listener", fmt.Sprintf("%q is not supported; known are tcp and unix", one.label))
			continue
		}
		l.TLS.Disabled = l.Network == config.Unix
		at := s.in(fmt.Sprintf("listener %q", one.label))
		known := keys[Listener]{}
		for key, set := range listenerKeys {
			known[key] = set
		}
		known["agent_api"] = block(func(*Listener) *Config { return &d.Config }, keys[Config]{
			"enable_quit": flag(func(c *Config) *bool { return &c.EnableQuit }),
		})
		known.decode(at, &l, one.body.Entries)
		if l.Address == "" {
			at.problem(one.line, "address", "is missing")
		}
		d.Listeners = append(d.Listeners, l)
	}
	return nil
}
