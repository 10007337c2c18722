package demo

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// proof is what only somebody who has the secrets can compute from a nonce: its
// HMAC-SHA-256 under each, in hex. That the certificate's key is there as well
// is proved by the connection.
type proof struct {
	DatabaseURL string `json:"database_url"`
	APIKey      string `json:"api_key"`
}

func prove(databaseURL, apiKey, nonce string) proof {
	mac := func(secret string) string {
		h := hmac.New(sha256.New, []byte(secret))
		h.Write([]byte(nonce))
		return hex.EncodeToString(h.Sum(nil))
	}
	return proof{DatabaseURL: mac(databaseURL), APIKey: mac(apiKey)}
}

// loginVariables must not reach an application: it is given what they buy.
var loginVariables = []string{"COFFER_ROLE_ID", "COFFER_SECRET_ID", "COFFER_TOKEN"}

// Application is the application of the demo, for a process of its own. It finds
// its secrets in the environment, knows of no server, and serves HTTPS on a
// loopback port that it tells out, until ctx ends.
func Application(ctx context.Context, getenv func(string) string, out io.Writer) error {
	for _, name := range loginVariables {
		if getenv(name) != "" {
			return fmt.Errorf("%s has reached the application", name)
		}
	}
	databaseURL, apiKey := getenv("DATABASE_URL"), getenv("API_KEY")
	if databaseURL == "" || apiKey == "" || strings.HasPrefix(apiKey, "vault:") {
		return errors.New("DATABASE_URL and API_KEY hold no secrets: start the application with coffer run")
	}
	pair, err := tls.X509KeyPair([]byte(getenv("TLS_CERT")), []byte(getenv("TLS_KEY")))
	if err != nil {
		return errors.New("TLS_CERT and TLS_KEY hold no certificate with its key")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			// A client that is gone needs no answer.
			_ = json.NewEncoder(w).Encode(prove(databaseURL, apiKey, r.URL.Query().Get("nonce")))
		}),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(l, "", "") }()
	fmt.Fprintf(out, "listening on https://%s\n", l.Addr())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}
