package database

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// ClientTLS returns the TLS settings of the connection for a server of that
// name, which tls_server_name overrides; nil if the configuration says nothing
// about TLS.
func (c Config) ClientTLS(server string) (*tls.Config, error) {
	if !c.TLS && c.CA == "" && c.Certificate.Empty() && c.Key.Empty() && c.ServerName == "" && !c.SkipTLSVerify {
		return nil, nil
	}
	t := &tls.Config{ServerName: server, MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.SkipTLSVerify}
	if c.ServerName != "" {
		t.ServerName = c.ServerName
	}
	if c.CA != "" {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM([]byte(c.CA)) {
			return nil, errors.New("the CA has no PEM certificate")
		}
	}
	if !c.Certificate.Empty() || !c.Key.Empty() {
		pair, err := tls.X509KeyPair(c.Certificate.Reveal(), c.Key.Reveal())
		if err != nil {
			return nil, errors.New("certificate and key are not a PEM pair") // the cause might quote them
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}
