package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// clients is how many requests at once a server is filled with.
const clients = 64

// server is a coffer with a folder of its own, unsealed by one share.
type server struct {
	lab     *lab
	name    string
	address string
	data    string // folder
	share   string
	root    string   // token
	reader  string   // token that a policy allows the secrets, and no more
	process *process // nil: stopped
	http    *http.Client
}

// newServer starts and unseals a server without anything in it.
func (l *lab) newServer(ctx context.Context, name string) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &server{
		lab: l, name: name, address: address, data: filepath.Join(l.dir, name),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}},
	}
	l.servers[name] = s // from here on close stops it
	config := fmt.Sprintf(`storage "pebble" { path = %q }
listener "tcp" {
  address     = %q
  tls_disable = true
}
log_level = "error"
`, s.data, s.address)
	if err := os.WriteFile(s.config(), []byte(config), 0o600); err != nil {
		return nil, err
	}
	if err := s.launch(ctx); err != nil {
		return nil, err
	}
	var made struct {
		Keys []string `json:"keys_base64"`
		Root string   `json:"root_token"`
	}
	shares := map[string]any{"secret_shares": 1, "secret_threshold": 1}
	if err := s.call(ctx, "", http.MethodPut, "sys/init", shares, &made); err != nil {
		return nil, err
	}
	if len(made.Keys) != 1 {
		return nil, fmt.Errorf("sys/init gave %d shares instead of one", len(made.Keys))
	}
	s.share, s.root = made.Keys[0], made.Root
	if _, err := s.unseal(ctx); err != nil {
		return nil, err
	}
	return s, s.furnish(ctx)
}

// furnish mounts the engines and makes the policy and the token of the readers.
func (s *server) furnish(ctx context.Context) error {
	kv := map[string]any{"type": "kv", "options": map[string]string{"version": "2"}}
	policy := map[string]string{"policy": `path "secret/*" { capabilities = ["create", "update", "read", "list"] }`}
	err := errors.Join(
		s.call(ctx, s.root, http.MethodPost, "sys/mounts/secret", kv, nil),
		s.call(ctx, s.root, http.MethodPut, "sys/policies/acl/bench", policy, nil),
	)
	if err != nil {
		return err
	}
	s.reader, err = s.newToken(ctx, map[string]any{"policies": []string{"bench"}, "ttl": "24h"})
	return err
}

// newToken makes a token as fields say.
func (s *server) newToken(ctx context.Context, fields map[string]any) (string, error) {
	var made struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	err := s.call(ctx, s.root, http.MethodPost, "auth/token/create-orphan", fields, &made)
	return made.Auth.Token, err
}

func (s *server) config() string { return s.data + ".hcl" }

// launch starts the process and waits until it answers, sealed.
func (s *server) launch(ctx context.Context) error {
	p, err := s.lab.start(s.name+".log", nil, s.lab.coffer, "server", "-config", s.config())
	if err != nil {
		return err
	}
	s.process = p
	_, _, err = p.await(ctx, s.url("sys/health"), http.StatusNotImplemented, http.StatusServiceUnavailable, http.StatusOK)
	return err
}

// unseal gives the share, and returns how long after its start the server was
// ready.
func (s *server) unseal(ctx context.Context) (time.Duration, error) {
	if err := s.call(ctx, "", http.MethodPut, "sys/unseal", map[string]string{"key": s.share}, nil); err != nil {
		return 0, err
	}
	_, took, err := s.process.await(ctx, s.url("sys/health"), http.StatusOK)
	return took, err
}

// restart stops the server, and returns how long it takes from exec until it is
// ready again.
func (s *server) restart(ctx context.Context) (time.Duration, error) {
	if err := s.stop(); err != nil {
		return 0, err
	}
	if err := s.launch(ctx); err != nil {
		return 0, err
	}
	return s.unseal(ctx)
}

// stop ends the process, if there is one.
func (s *server) stop() error {
	if s.process == nil {
		return nil
	}
	s.http.CloseIdleConnections()
	p := s.process
	s.process = nil
	return p.stop()
}

// retire stops a server that only one scenario uses, and removes its data.
func (s *server) retire() error {
	delete(s.lab.servers, s.name)
	return errors.Join(s.stop(), os.RemoveAll(s.data))
}

func (s *server) endpoint() endpoint { return endpoint{s.address, s.process.pid()} }

// url returns the URL of an API path, which may have a query.
func (s *server) url(path string) string { return "http://" + s.address + "/v1/" + path }

// request makes a request of the API. body is made to JSON unless it is nil.
func (s *server) request(token, method, path string, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, s.url(path), content)
	if err != nil {
		return nil, err
	}
	if token != "" {
		r.Header.Set("X-Vault-Token", token)
	}
	return r, nil
}

// call makes a request and reads the answer into out, unless that is nil. What
// the server says of an error is not repeated.
func (s *server) call(ctx context.Context, token, method, path string, body, out any) error {
	r, err := s.request(token, method, path, body)
	if err != nil {
		return err
	}
	resp, err := s.http.Do(r.WithContext(ctx))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 400 {
		return fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("parse the answer of %s %s: %w", method, path, err)
	}
	return nil
}
