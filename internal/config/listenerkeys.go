package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/stanza"
)

// listenerKeys are what each kind of listener takes.
var listenerKeys = map[Network]keys[Listener]{
	TCP:  tcpKeys.and(commonKeys),
	Unix: unixKeys.and(commonKeys),
}

// and returns a table with the keys of both.
func (k keys[T]) and(more keys[T]) keys[T] {
	both := maps.Clone(k)
	maps.Copy(both, more)
	return both
}

var tcpKeys = keys[Listener]{
	"address":         as(hostPort, func(l *Listener) *string { return &l.Address }),
	"cluster_address": ignored[Listener]("servers do not talk to each other"),

	"tls_disable":                        flag(func(l *Listener) *bool { return &l.TLS.Disabled }),
	"tls_cert_file":                      text(func(l *Listener) *string { return &l.TLS.CertFile }),
	"tls_key_file":                       text(func(l *Listener) *string { return &l.TLS.KeyFile }),
	"tls_self_signed_dir":                text(func(l *Listener) *string { return &l.TLS.SelfSignedDir }),
	"tls_min_version":                    as(tlsVersion, func(l *Listener) *uint16 { return &l.TLS.MinVersion }),
	"tls_max_version":                    as(tlsVersion, func(l *Listener) *uint16 { return &l.TLS.MaxVersion }),
	"tls_client_ca_file":                 text(func(l *Listener) *string { return &l.TLS.ClientCAFile }),
	"tls_require_and_verify_client_cert": flag(func(l *Listener) *bool { return &l.TLS.RequireClientCert }),
	"tls_disable_client_certs":           flag(func(l *Listener) *bool { return &l.TLS.NoClientCert }),
	"tls_cipher_suites":                  ignored[Listener]("the suites are chosen by the hardware, among safe ones"),
	"tls_prefer_server_cipher_suites":    accepted[Listener],

	"x_forwarded_for_authorized_addrs": as(value.networks, func(l *Listener) *[]netip.Prefix {
		return &l.Forwarded.Proxies
	}),
	"x_forwarded_for_hop_skips":             count(func(l *Listener) *int { return &l.Forwarded.HopSkips }),
	"x_forwarded_for_reject_not_present":    unless(func(l *Listener) *bool { return &l.Forwarded.AcceptAbsent }),
	"x_forwarded_for_reject_not_authorized": unless(func(l *Listener) *bool { return &l.Forwarded.AcceptUnauthorized }),
	"x_forwarded_for_client_cert_header":    refused[Listener]("certificates of clients are only taken from TLS itself"),
	"proxy_protocol_behavior": refused[Listener](
		"have the proxy send X-Forwarded-For, and name it in x_forwarded_for_authorized_addrs"),
	"proxy_protocol_authorized_addrs": ignored[Listener]("the PROXY protocol is not spoken"),
}

var unixKeys = keys[Listener]{
	"address":      text(func(l *Listener) *string { return &l.Address }),
	"socket_mode":  as(value.mode, func(l *Listener) *fs.FileMode { return &l.Socket.Mode }),
	"socket_user":  text(func(l *Listener) *string { return &l.Socket.User }),
	"socket_group": text(func(l *Listener) *string { return &l.Socket.Group }),
	"tls_disable":  accepted[Listener], // there is none on a Unix socket
}

var commonKeys = keys[Listener]{
	"max_request_size":     size(func(l *Listener) *int64 { return &l.MaxRequestBytes }),
	"max_request_duration": duration(func(l *Listener) *time.Duration { return &l.MaxRequestDuration }),
	"max_connections":      count(func(l *Listener) *int { return &l.MaxConnections }),

	"http_read_header_timeout": duration(func(l *Listener) *time.Duration { return &l.ReadHeaderTimeout }),
	"http_read_timeout":        duration(func(l *Listener) *time.Duration { return &l.ReadTimeout }),
	"http_write_timeout":       duration(func(l *Listener) *time.Duration { return &l.WriteTimeout }),
	"http_idle_timeout":        duration(func(l *Listener) *time.Duration { return &l.IdleTimeout }),

	"telemetry": block(func(l *Listener) *Listener { return l }, keys[Listener]{
		"unauthenticated_metrics_access": flag(func(l *Listener) *bool { return &l.UnauthenticatedMetrics }),
		"disallow_metrics":               refused[Listener]("metrics are had at every listener"),
	}),
	"disable_unauthed_rekey_endpoints":         flag(func(l *Listener) *bool { return &l.DisableUnauthedRekey }),
	"disable_unauthed_generate_root_endpoints": flag(func(l *Listener) *bool { return &l.DisableUnauthedGenerateRoot }),

	"custom_response_headers":   ignored[Listener]("answers carry the headers that the API defines"),
	"profiling":                 ignored[Listener]("there is no profiling endpoint"),
	"inflight_requests_logging": ignored[Listener]("there is no such endpoint"),
	"chroot_namespace":          refused[Listener]("a listener serves every namespace"),
	"redact_addresses":          refused[Listener]("sys/leader names the address everywhere"),
	"redact_cluster_name":       refused[Listener]("sys/health names the cluster everywhere"),
	"redact_version":            refused[Listener]("sys/health names the version everywhere"),
}

func addListeners(s scope, l *loading, e stanza.Entry) error {
	stanzas, err := value(e.Value).stanzas()
	if err != nil {
		return err
	}
	for _, st := range stanzas {
		l.addListener(s, st)
	}
	return nil
}

func (l *loading) addListener(s scope, st labelled) {
	at := st.scope(s, "listener")
	one := Listener{Network: Network(st.label)}
	k, known := listenerKeys[one.Network]
	if !known {
		at.problem(st.line, "", fmt.Errorf(`there is no listener %q: it is "tcp" or "unix"`, st.label))
		return
	}
	if one.Network == TCP {
		one.Address = DefaultAddress
	} else {
		one.TLS.Disabled = true
	}
	k.decode(at, &one, st.body.Entries)
	one.check(at, st.line)
	for _, other := range l.Listeners {
		// Port 0 is another one each time.
		if other.Network == one.Network && other.Address == one.Address && !strings.HasSuffix(one.Address, ":0") {
			at.problem(st.line, "address", errors.New("another listener has this address"))
		}
	}
	l.Listeners = append(l.Listeners, one)
}

// check reports what is wrong with fields of l that fit each other badly.
func (l *Listener) check(s scope, line int) {
	tls := l.TLS
	for _, rule := range []struct {
		broken bool
		field  string
		text   string
	}{
		{l.Address == "", "address", "the path of the socket must be given"},
		{tls.CertFile != "" && tls.KeyFile == "", "tls_key_file", "a certificate needs its key"},
		{tls.CertFile == "" && tls.KeyFile != "", "tls_cert_file", "a key needs its certificate"},
		{tls.MaxVersion != 0 && tls.MaxVersion < tls.MinVersion, "tls_max_version", "is below tls_min_version"},
		{tls.RequireClientCert && tls.NoClientCert, "tls_disable_client_certs", "contradicts tls_require_and_verify_client_cert"},
		{tls.Disabled && tls.RequireClientCert, "tls_require_and_verify_client_cert", "contradicts tls_disable"},
		{l.Forwarded.HopSkips < 0, "x_forwarded_for_hop_skips", "cannot be negative"},
		{l.MaxConnections < 0, "max_connections", "cannot be negative"},
	} {
		if rule.broken {
			s.problem(line, rule.field, errors.New(rule.text))
		}
	}
	if tls.ClientCAFile != "" && !tls.RequireClientCert {
		s.warn(line, "tls_client_ca_file", "has no effect without tls_require_and_verify_client_cert", "")
	}
	if tls.Disabled && l.Network == TCP && !isLoopback(l.Address) {
		s.warn(line, "tls_disable", "secrets and tokens cross the network in the clear",
			"leave tls_disable out: without a certificate the server makes one")
	}
}

// isLoopback says whether only this machine reaches address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// hostPort reads an address to listen on. An empty host is every address.
func hostPort(v value) (string, error) {
	s, err := v.plain()
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", errors.New(`expected an address such as "127.0.0.1:8200"`)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", errors.New("expected a port between 0 and 65535")
	}
	return s, nil
}

// tlsVersion reads Vault's name for a version of TLS. What has been broken is
// refused (RFC 8996).
func tlsVersion(v value) (uint16, error) {
	s, err := v.plain()
	switch s {
	case "tls12":
		return tls.VersionTLS12, nil
	case "tls13":
		return tls.VersionTLS13, nil
	case "tls10", "tls11":
		return 0, complaint{text: s + " is no longer safe", hint: "tls12 is the lowest"}
	}
	if err == nil {
		err = errors.New("expected tls12 or tls13")
	}
	return 0, err
}
