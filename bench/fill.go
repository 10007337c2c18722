package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// secretsServed is how many secrets the servers hold that are read and written.
const secretsServed = 10_000

// value is the one field of each secret: 32 bytes.
var value = strings.Repeat("0123456789abcdef", 2)

// fill calls do for 0 to n-1, by many clients at once. It ends at the first error.
func fill(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// secretPath returns the path of a secret, for reads and writes alike.
func secretPath(i int) string { return fmt.Sprintf("secret/data/app-%06d", i) }

// secretBody is what is written to each of them.
func secretBody() any { return map[string]any{"data": map[string]string{"value": value}} }

// fillSecrets writes n secrets.
func (s *server) fillSecrets(ctx context.Context, n int) error {
	s.lab.note("%s: writing %d secrets", s.name, n)
	return fill(ctx, n, func(ctx context.Context, i int) error {
		return s.call(ctx, s.reader, http.MethodPost, secretPath(i), secretBody(), nil)
	})
}

// fillTokens makes n tokens, each with a lease of the seconds that ttl returns.
func (s *server) fillTokens(ctx context.Context, n int, ttl func(i int) int) error {
	s.lab.note("%s: making %d tokens", s.name, n)
	return fill(ctx, n, func(ctx context.Context, i int) error {
		_, err := s.newToken(ctx, map[string]any{"policies": []string{"bench"}, "ttl": ttl(i)})
		return err
	})
}

// server returns a running server with secretsServed secrets, which scenarios
// share by its name.
func (l *lab) server(ctx context.Context, name string) (*server, error) {
	if s := l.servers[name]; s != nil {
		return s, nil
	}
	s, err := l.newServer(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := s.fillSecrets(ctx, secretsServed); err != nil {
		delete(l.servers, name)
		s.stop()
		return nil, err
	}
	return s, nil
}

// secretRequests returns one request for each of the secrets that are served.
func (s *server) secretRequests(method string, body any) ([]*http.Request, error) {
	all := make([]*http.Request, secretsServed)
	for i := range all {
		r, err := s.request(s.reader, method, secretPath(i), body)
		if err != nil {
			return nil, err
		}
		all[i] = r
	}
	return all, nil
}
