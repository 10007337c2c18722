package cli

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/version"
)

// options are the values of the flags that many commands have.
type options struct {
	address, agent, namespace *string
	caCert, caPath            *string
	clientCert, clientKey     *string
	serverName                *string
	skipVerify                *bool
	wrapTTL                   *string
	header                    *map[string]string
	mfa                       *[]string
	override, stay            *bool
	curl, policy, noQuestions *bool
	format, field             *string
	given                     func(flag string) bool
}

var formats = []string{"table", "json", "yaml", "yml", "raw", "pretty"}

func (o *options) declare(f *Flags, groups FlagGroup, sys System) {
	own := len(f.specs)
	o.given = f.Given
	if groups&ClientFlags != 0 {
		o.declareClient(f)
	}
	if groups&FormatFlag != 0 {
		format := sys.setting("FORMAT")
		if format == "" {
			format = "table"
		}
		o.format = f.Choice("format", strings.ToLower(format), formats, "How to print. Also COFFER_FORMAT.")
	}
	if groups&FieldFlag != 0 {
		o.field = f.String("field", "", "Print only this field, bare; in a pipe without a line end.")
	}
	for i := own; i < len(f.specs); i++ {
		f.specs[i].global = true
	}
}

func (o *options) declareClient(f *Flags) {
	o.address = f.String("address", "", "Address of the server. Also COFFER_ADDR.")
	o.agent = f.String("agent-address", "", "Address of an agent in front of the server; it wins. Also COFFER_AGENT_ADDR.")
	o.namespace = f.String("namespace", "", "Namespace of the request. Also COFFER_NAMESPACE.")
	f.Alias("ns", "namespace")
	o.caCert = f.String("ca-cert", "", "PEM file with the authorities to trust. Also COFFER_CACERT.")
	o.caPath = f.String("ca-path", "", "Folder of such files. Also COFFER_CAPATH.")
	o.clientCert = f.String("client-cert", "", "PEM file with our certificate. Also COFFER_CLIENT_CERT.")
	o.clientKey = f.String("client-key", "", "PEM file with its key. Also COFFER_CLIENT_KEY.")
	o.serverName = f.String("tls-server-name", "", "Name to expect in the server's certificate. Also COFFER_TLS_SERVER_NAME.")
	o.skipVerify = f.Bool("tls-skip-verify", false, "Trust any certificate. Also COFFER_SKIP_VERIFY.")
	o.wrapTTL = f.Duration("wrap-ttl", "Put the answer away for so long and print a token for it. Also COFFER_WRAP_TTL.")
	o.header = f.Map("header", "Header to send.")
	o.mfa = f.List("mfa", "Credential for a second factor: METHOD:VALUE.")
	o.override = f.Bool("policy-override", false, "Override policies that let themselves be overridden.")
	o.stay = f.Bool("disable-redirects", false, "Do not follow the server's redirects.")
	o.curl = f.Bool("output-curl-string", false, "Print the request as a curl command instead of making it.")
	o.policy = f.Bool("output-policy", false, "Print the policy that the request needs instead of making it.")
	o.noQuestions = f.Bool("non-interactive", false, "Never ask on the terminal.")
}

// config merges the environment with the flags, which win.
func (o *options) config(sys System) (client.Config, error) {
	cfg, err := client.ConfigFromEnv(sys.Getenv)
	if err != nil {
		return cfg, err
	}
	for _, s := range []struct {
		flag, name string
		to         *string
	}{
		{*o.address, "address", &cfg.Address}, {*o.namespace, "namespace", &cfg.Namespace},
		{*o.caCert, "ca-cert", &cfg.CACertFile}, {*o.caPath, "ca-path", &cfg.CAPath},
		{*o.clientCert, "client-cert", &cfg.ClientCert}, {*o.clientKey, "client-key", &cfg.ClientKey},
		{*o.serverName, "tls-server-name", &cfg.TLSServerName}, {*o.wrapTTL, "wrap-ttl", &cfg.WrapTTL},
	} {
		if s.flag != "" || o.given(s.name) {
			*s.to = s.flag
		}
	}
	if o.given("ca-cert") || o.given("ca-path") {
		cfg.CACertPEM = nil
	}
	if agent := cmp.Or(*o.agent, sys.setting("AGENT_ADDR")); agent != "" {
		cfg.Address = agent
	}
	if o.given("tls-skip-verify") {
		cfg.SkipVerify = *o.skipVerify
	}
	if *o.stay || sys.setting("DISABLE_REDIRECTS") == "true" {
		cfg.WrapTransport = func(next http.RoundTripper) http.RoundTripper { return stayer{next} }
	}
	if sys.setting("MAX_RETRIES") == "" {
		cfg.MaxRetries = client.NoRetries // someone is waiting: the truth now, not later
	}
	cfg.UserAgent = program + "/" + version.Coffer
	if cfg.Header, err = headers(*o.header); err != nil {
		return cfg, err
	}
	for _, credential := range *o.mfa {
		cfg.Header.Add("X-Vault-MFA", credential)
	}
	if *o.override {
		cfg.Header.Set("X-Vault-Policy-Override", "true")
	}
	return cfg, nil
}

// stayer takes from redirects what would make the client follow them.
type stayer struct{ next http.RoundTripper }

var _ http.RoundTripper = stayer{}

// RoundTrip implements [http.RoundTripper].
func (s stayer) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := s.next.RoundTrip(req)
	if err == nil {
		resp.Header.Del("Location")
	}
	return resp, err
}

func headers(given map[string]string) (http.Header, error) {
	h := http.Header{}
	for name, value := range given {
		if strings.HasPrefix(strings.ToLower(name), "x-vault-") {
			return nil, fmt.Errorf("-header: %s is the program's own", name)
		}
		h.Set(name, value)
	}
	return h, nil
}

func (o *options) dryRun() (dryRun, error) {
	curl := o.curl != nil && *o.curl
	policy := o.policy != nil && *o.policy
	switch {
	case curl && policy:
		return 0, errors.New("-output-curl-string and -output-policy exclude each other")
	case curl:
		return dryCurl, nil
	case policy:
		return dryPolicy, nil
	}
	return notDry, nil
}
