// Command follow is a small web application that signs with an API key. The key is
// rotated while it runs, and it goes on with the new one: no restart, no failed
// request. See README.md.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cofferhq/coffer/secrets"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", os.Getenv("PORT")))
	if err == nil {
		err = run(ctx, l)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "follow:", err)
		os.Exit(1)
	}
}

// run serves at l, which it closes, until ctx ends. Where the server is, and the
// login, is in the environment: COFFER_ADDR, COFFER_ROLE_ID, COFFER_SECRET_ID.
func run(ctx context.Context, l net.Listener, opts ...secrets.Option) error {
	opts = append(opts, secrets.WithErrorHandler(func(err error) { slog.Warn("follow the key", "error", err) }))
	key, err := secrets.Open(ctx, "vault:secret/app/api#key", opts...)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	key.OnChange(func(_ context.Context, v secrets.Value) error {
		slog.Info("the key has changed", "version", v.Version())
		return nil // now the server is told that the version is in use
	})
	err = serve(ctx, l, key)
	return errors.Join(err, key.Close())
}

func serve(ctx context.Context, l net.Listener, key *secrets.Secret) error {
	s := &http.Server{ReadTimeout: 30 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := key.Value() // once a request, so that key and version belong together
		fmt.Fprintf(w, "%d %s\n", v.Version(), sign(v.Reveal(), r.FormValue("text")))
	})}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	fmt.Printf("listening on http://%s\n", l.Addr())
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return s.Shutdown(patience)
}

func sign(key, text string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}
