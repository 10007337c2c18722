// Package webhook is the source of secrets that a web service of the operator's
// makes and sets. It is asked by POST, in the protocol of [source.Spoken], with a
// signature of the Standard Webhooks specification (https://www.standardwebhooks.com),
// and answers in its response.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/source"
)

// Kind returns the kind of source.
func Kind() *source.Kind {
	return &source.Kind{
		Type: "webhook", Help: "Secrets that a web service of the operator's makes and sets.",
		Strategies: []source.Strategy{source.Replace, source.Alternate},
		Secret:     []string{"signing_key", "settings"},
		Open:       func(config json.RawMessage, _ source.Strategy) (source.Source, error) { return open(config) },
	}
}

type settings struct {
	source.SpokenConfig
	URL        string `json:"url"`
	SigningKey string `json:"signing_key"` // base64, perhaps after whsec_; at least 24 bytes
	CA         string `json:"ca_cert"`     // PEM; empty: the system's
}

// hook asks a web service.
type hook struct {
	*source.Spoken
	url    string
	key    []byte
	client *http.Client
}

func open(config json.RawMessage) (source.Source, error) {
	var s settings
	if err := json.Unmarshal(config, &s); err != nil {
		return nil, logical.Invalid("config: a field is of a wrong type")
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return nil, logical.Invalid("config: url must be an http or https address without credentials")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return nil, logical.Invalid("config: url must be https, for what is sent is secret").
			WithHint("http is for services on this machine only: http://127.0.0.1:8080/")
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s.SigningKey, "whsec_"))
	if err != nil || len(key) < minKey {
		return nil, logical.Invalid("config: signing_key must be at least %d bytes in base64", minKey)
	}
	transport, err := transportOf(s.CA)
	if err != nil {
		return nil, err
	}
	h := &hook{url: s.URL, key: key, client: &http.Client{
		Transport: transport,
		// A redirect would take the secrets elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if h.Spoken, err = s.Source(h.ask); err != nil {
		return nil, err
	}
	return h, nil
}

// minKey is the shortest key of the specification, in bytes.
const minKey = 24

func loopback(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }

func transportOf(ca string) (*http.Transport, error) {
	t := &http.Transport{TLSHandshakeTimeout: 10 * time.Second, MaxIdleConns: 1, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if ca == "" {
		return t, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(ca)) {
		return nil, logical.Invalid("config: ca_cert holds no certificate in PEM")
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}

// maxAnswer bounds what a service may answer, in bytes.
const maxAnswer = 1 << 20

func (h *hook) ask(ctx context.Context, question []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(question))
	if err != nil {
		return nil, logical.Errorf(logical.ErrUpstream, "the web service can't be asked")
	}
	id := "msg_" + rand.Text()
	at := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", at)
	req.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(sign(h.key, id, at, question)))
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, &logical.Error{Kind: logical.ErrUpstream, Text: "the web service did not answer", Err: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, logical.Errorf(logical.ErrUpstream, "the web service answered with status %d", resp.StatusCode)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil || len(answer) > maxAnswer {
		return nil, logical.Errorf(logical.ErrUpstream, "the web service's answer could not be read, or has more than %d bytes", maxAnswer)
	}
	return answer, nil
}

// sign is the signature of the specification.
func sign(key []byte, id, at string, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// Close implements [source.Source].
func (h *hook) Close() error {
	h.client.CloseIdleConnections()
	return nil
}
