package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// minNonce is how many characters of a nonce cannot have been computed for in
// advance.
const minNonce = 8

// application has the secrets in use, and what can be done with them.
type application struct {
	source  source
	secrets atomic.Pointer[secrets] // replaced as a whole

	change sync.Mutex // held by whoever replaces the secrets
}

func newApplication(ctx context.Context, src source) (*application, error) {
	a := &application{source: src}
	return a, a.reload(ctx)
}

// reload reads the secrets again. If that fails, the old ones stay in use.
func (a *application) reload(ctx context.Context) error {
	a.change.Lock()
	defer a.change.Unlock()
	return a.reloadLocked(ctx)
}

func (a *application) reloadLocked(ctx context.Context) error {
	s, err := a.source.Read(ctx)
	if err == nil {
		a.secrets.Store(s)
	}
	return err
}

// rotate makes a new API key, stores it, uses it, and returns its version. A
// real application asks the API's provider for the new key here, and gives the
// old one back when nobody uses it any more.
func (a *application) rotate(ctx context.Context) (int, error) {
	a.change.Lock()
	defer a.change.Unlock()
	version, err := a.source.RotateAPIKey(ctx, rand.Text())
	if err != nil {
		return 0, err
	}
	return version, a.reloadLocked(ctx)
}

// tlsConfig serves with the certificate in use when a connection is made.
func (a *application) tlsConfig() *tls.Config {
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return &a.secrets.Load().certificate, nil
	}}
}

// status is where the secrets come from.
type status struct {
	Source   string         `json:"source"`
	Versions map[string]int `json:"versions"`
}

// proof is what only somebody who has the secrets can compute from a nonce: its
// HMAC-SHA-256 under each, in hex.
type proof struct {
	status
	DatabaseURL string      `json:"database_url"`
	APIKey      string      `json:"api_key"`
	TLSKey      string      `json:"tls_key"`
	TLSCert     description `json:"tls_cert"`
}

type description struct {
	Subject    string    `json:"subject"`
	Issuer     string    `json:"issuer"`
	NotAfter   time.Time `json:"not_after"`
	KeyMatches bool      `json:"key_matches"` // or else it would not have been loaded
}

func (a *application) status() status {
	return status{a.source.Name(), a.secrets.Load().versions}
}

func (a *application) proof(nonce string) proof {
	s := a.secrets.Load()
	cert := s.certificate.Leaf
	return proof{
		status:      status{a.source.Name(), s.versions},
		DatabaseURL: mac(s.databaseURL, nonce),
		APIKey:      mac(s.apiKey, nonce),
		TLSKey:      mac(s.tlsKey, nonce),
		TLSCert:     description{cert.Subject.String(), cert.Issuer.String(), cert.NotAfter, true},
	}
}

func mac(secret, nonce string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(nonce))
	return hex.EncodeToString(h.Sum(nil))
}

func (a *application) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { answer(w, a.status()) })
	mux.HandleFunc("GET /proof", a.serveProof)
	mux.HandleFunc("GET /reload", a.serveReload)
	mux.HandleFunc("POST /reload", a.serveReload)
	mux.HandleFunc("POST /rotate", a.serveRotate)
	return http.NewCrossOriginProtection().Handler(mux) // no web page may rotate our keys
}

func (a *application) serveProof(w http.ResponseWriter, r *http.Request) {
	nonce := r.URL.Query().Get("nonce")
	if len(nonce) < minNonce {
		http.Error(w, "nonce needs 8 characters", http.StatusBadRequest)
		return
	}
	answer(w, a.proof(nonce))
}

func (a *application) serveReload(w http.ResponseWriter, r *http.Request) {
	if err := a.reload(r.Context()); err != nil {
		fail(w, "reload", err)
		return
	}
	answer(w, a.status())
}

func (a *application) serveRotate(w http.ResponseWriter, r *http.Request) {
	version, err := a.rotate(r.Context())
	switch {
	case errors.Is(err, errCannotRotate):
		http.Error(w, err.Error(), http.StatusConflict)
	case err != nil:
		fail(w, "rotate", err)
	default:
		answer(w, map[string]int{"version": version})
	}
}

// fail tells the log why and the caller that.
func fail(w http.ResponseWriter, what string, err error) {
	slog.Error(what, "error", err)
	http.Error(w, what+": the server of the secrets has not answered as expected", http.StatusBadGateway)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(v) // a client that is gone needs no answer
}
