// Command app is a small web application with three secrets: a database URL, an
// API key, and a TLS certificate with its key.
//
// It takes them from the environment if they are there ("coffer run" puts them
// there), and else logs in to the server with AppRole and reads them. It proves
// that it has them without ever showing one. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	withTLS := flag.Bool("tls", false, "serve HTTPS with the certificate")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Getenv, *withTLS); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, getenv func(string) string, withTLS bool) (err error) {
	src, err := openSource(ctx, getenv)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	// What the children of this process, and whoever looks at it, need not see.
	os.Unsetenv("VAULT_SECRET_ID")

	app, err := newApplication(ctx, src)
	if err != nil {
		return err
	}
	hangUp := make(chan os.Signal, 1)
	signal.Notify(hangUp, syscall.SIGHUP)
	defer signal.Stop(hangUp)

	port := getenv("PORT")
	if port == "" {
		port = "0"
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)) // this machine only: see README.md
	if err != nil {
		return err
	}
	return serve(ctx, app, l, withTLS, hangUp)
}

// serve answers requests at l until ctx ends, and reads the secrets again at
// each hangUp. It closes l.
func serve(ctx context.Context, app *application, l net.Listener, withTLS bool, hangUp <-chan os.Signal) error {
	s := &http.Server{Handler: app.handler(), ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	serveOn, scheme := s.Serve, "http"
	if withTLS {
		s.TLSConfig = app.tlsConfig()
		serveOn, scheme = func(l net.Listener) error { return s.ServeTLS(l, "", "") }, "https"
	}
	failed := make(chan error, 1)
	go func() { failed <- serveOn(l) }()
	fmt.Printf("listening on %s://%s\n", scheme, l.Addr())

	for {
		select {
		case <-hangUp:
			if err := app.reload(ctx); err != nil {
				slog.Error("reload", "error", err)
				continue
			}
			slog.Info("secrets read again")
		case err := <-failed:
			return err
		case <-ctx.Done():
			patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			return s.Shutdown(patience)
		}
	}
}
