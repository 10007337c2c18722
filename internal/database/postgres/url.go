package postgres

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cofferhq/coffer/internal/database"
)

// setting is a parameter of a connection string.
type setting struct{ key, value string }

// nobody marks that connection_url names no host or no user (RFC 2606 §2).
const nobody = "none.invalid"

// plain are the values of what connection_url does not say. All that pgconn would
// otherwise take from the server's environment and home folder is here: only the
// configuration says whom to dial, with what.
var plain = []setting{
	{"host", nobody}, {"port", "5432"}, {"user", nobody}, {"password", ""}, {"dbname", ""},
	{"passfile", ""}, {"servicefile", ""}, {"sslmode", "prefer"}, {"sslcert", ""}, {"sslkey", ""}, {"sslrootcert", ""},
	{"sslpassword", ""}, {"sslcertmode", "allow"}, {"sslsni", "1"}, {"sslnegotiation", ""}, {"channel_binding", "prefer"},
	{"require_auth", ""}, {"min_protocol_version", ""}, {"max_protocol_version", ""}, {"target_session_attrs", "any"},
	{"connect_timeout", "10"}, {"application_name", "coffer"}, {"options", ""}, {"timezone", ""},
}

// sessionKeys are parameters of the session that connection_url may set too.
var sessionKeys = []string{
	"ssl", "fallback_application_name", "search_path", "client_encoding", "datestyle", "statement_timeout", "lock_timeout",
	"idle_in_transaction_session_timeout",
}

var errURL = errors.New("it is no connection string of PostgreSQL that coffer can use")

// parse returns what connection_url says, with the credentials in their place.
// Its errors quote nothing.
func parse(cfg database.Config) (*pgx.ConnConfig, error) {
	text := cfg.URL.RevealText()
	// Where the credentials belong is seen with marks that need no escaping.
	user, password := "u"+rand.Text(), "p"+rand.Text()
	if cfg.DisableEscaping {
		user, password = cfg.Username, cfg.Password.RevealText()
	}
	text = strings.NewReplacer("{{username}}", user, "{{password}}", password).Replace(text)
	text, err := complete(text)
	if err != nil {
		return nil, err
	}
	allowed := slices.Clone(sessionKeys)
	for _, s := range plain {
		allowed = append(allowed, s.key)
	}
	options := pgx.ParseConfigOptions{ParseConfigOptions: pgconn.ParseConfigOptions{ConnStringAllowedKeys: allowed}}
	cc, err := pgx.ParseConfigWithOptions(text, options)
	if err != nil {
		return nil, errURL // the cause might quote a password
	}
	if !cfg.DisableEscaping {
		put := strings.NewReplacer(user, cfg.Username, password, cfg.Password.RevealText())
		cc.User, cc.Password, cc.Database = put.Replace(cc.User), put.Replace(cc.Password), put.Replace(cc.Database)
	}
	return cc, finish(cc, cfg)
}

func finish(cc *pgx.ConnConfig, cfg database.Config) error {
	hosts := []string{cc.Host}
	for _, f := range cc.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	if slices.Contains(hosts, nobody) {
		return errors.New("it names no host")
	}
	if cc.User == "" || cc.User == nobody {
		return errors.New("it names no user")
	}
	if cc.Database == "" {
		cc.Database = cc.User // as the server would; for other users the same
	}
	for key, value := range cc.RuntimeParams {
		if value == "" {
			delete(cc.RuntimeParams, key)
		}
	}
	cc.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing is kept on the server, which may be a pool
	cc.StatementCacheCapacity, cc.DescriptionCacheCapacity = 0, 0
	return secure(cc, cfg)
}

// complete adds what a connection string does not say.
func complete(text string) (string, error) {
	_, rest, isURL := strings.Cut(text, "://")
	if !isURL || !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://") {
		var b strings.Builder // keywords and values: the last of a kind counts
		for _, s := range plain {
			if s.key != "passfile" && s.key != "servicefile" {
				b.WriteString(s.key + "='" + s.value + "' ")
			}
		}
		return b.String() + text + " passfile='' servicefile=''", nil
	}
	rest, _, _ = strings.Cut(rest, "#")
	base, query, _ := strings.Cut(rest, "?")
	given, err := url.ParseQuery(query)
	if err != nil || given.Has("passfile") || given.Has("servicefile") {
		return "", errURL
	}
	said := func(key string) bool { return given.Has(key) || inBase(base, key) }
	if given.Has("database") {
		given.Set("dbname", "")
	}
	if given.Has("ssl") {
		given.Set("sslmode", "")
	}
	scheme, _, _ := strings.Cut(text, "://")
	var b strings.Builder
	b.WriteString(scheme + "://" + base + "?")
	for _, s := range plain {
		if !said(s.key) {
			b.WriteString(s.key + "=" + url.QueryEscape(s.value) + "&")
		}
	}
	return strings.TrimSuffix(b.String()+query, "&"), nil
}

// inBase says whether the part of a URL before the query has the key's value.
func inBase(base, key string) bool {
	authority, path, _ := strings.Cut(base, "/")
	userinfo, hosts := "", authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		userinfo, hosts = authority[:at], authority[at+1:]
	}
	user, password, _ := strings.Cut(userinfo, ":")
	switch key {
	case "user":
		return user != ""
	case "password":
		return password != ""
	case "host":
		return hosts != ""
	case "port":
		// Several hosts bring a list of ports of their own.
		return strings.Contains(hosts, ",") || strings.LastIndexByte(hosts, ':') > strings.LastIndexByte(hosts, ']')
	case "dbname":
		return path != ""
	}
	return false
}

// secure applies the configuration's certificates. With a CA every host must
// show a certificate of it, with the host's name unless sslmode is verify-ca.
func secure(cc *pgx.ConnConfig, cfg database.Config) error {
	if cfg.CA == "" && cfg.Certificate.Empty() && cfg.Key.Empty() {
		return nil
	}
	all := append([]*pgconn.FallbackConfig{{Host: cc.Host, Port: cc.Port, TLSConfig: cc.TLSConfig}}, cc.Fallbacks...)
	all = slices.DeleteFunc(all, func(f *pgconn.FallbackConfig) bool { return f.TLSConfig == nil })
	if len(all) == 0 {
		return errors.New("its sslmode is disable, but there are certificates for TLS")
	}
	for _, f := range all {
		own, err := cfg.ClientTLS(f.Host)
		if err != nil {
			return err
		}
		f.TLSConfig.Certificates = own.Certificates
		if cfg.CA == "" {
			continue
		}
		chainOnly := f.TLSConfig.VerifyPeerCertificate != nil
		f.TLSConfig.RootCAs, f.TLSConfig.ServerName = own.RootCAs, f.Host
		f.TLSConfig.VerifyPeerCertificate, f.TLSConfig.InsecureSkipVerify = nil, chainOnly
		if chainOnly {
			f.TLSConfig.VerifyConnection = verifyChain(own.RootCAs)
		}
	}
	cc.Host, cc.Port, cc.TLSConfig, cc.Fallbacks = all[0].Host, all[0].Port, all[0].TLSConfig, all[1:]
	return nil
}

// verifyChain checks a server's certificate without its name.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the server has shown no certificate")
		}
		between := x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			between.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
		return err
	}
}
