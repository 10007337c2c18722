package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

const (
	roleID   = "role"
	secretID = "secret id"
)

// fakeVault speaks the few calls of Vault's API that the example makes.
type fakeVault struct {
	*httptest.Server

	mu      sync.Mutex // guards the fields below
	secrets map[string][]map[string]any
	tokens  map[string]bool
	logins  int
	barred  string // path that no token may read
}

func newFakeVault(t *testing.T) *fakeVault {
	v := &fakeVault{secrets: map[string][]map[string]any{}, tokens: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/auth/approle/login", v.login)
	mux.HandleFunc("PUT /v1/auth/token/revoke-self", v.withToken(v.revoke))
	mux.HandleFunc("GET /v1/auth/token/lookup-self", v.withToken(v.lookup))
	mux.HandleFunc("GET /v1/secret/data/{path...}", v.withToken(v.read))
	mux.HandleFunc("PATCH /v1/secret/data/{path...}", v.withToken(v.patch))
	v.Server = httptest.NewServer(mux)
	t.Cleanup(v.Close)
	return v
}

// put adds a version to a secret.
func (v *fakeVault) put(path string, data map[string]any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.secrets[path] = append(v.secrets[path], data)
}

// newest returns the newest version of a secret.
func (v *fakeVault) newest(path string) map[string]any {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.secrets[path][len(v.secrets[path])-1]
}

// withToken lets requests with a living token through, one at a time.
func (v *fakeVault) withToken(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if !v.tokens[r.Header.Get("X-Vault-Token")] || v.barred != "" && strings.HasSuffix(r.URL.Path, v.barred) {
			refuse(w, http.StatusForbidden, "permission denied")
			return
		}
		next(w, r)
	}
}

func (v *fakeVault) login(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var body map[string]string
	if json.NewDecoder(r.Body).Decode(&body) != nil || body["role_id"] != roleID || body["secret_id"] != secretID {
		refuse(w, http.StatusBadRequest, "invalid role or secret ID")
		return
	}
	v.logins++
	token := fmt.Sprintf("token-%d", v.logins)
	v.tokens[token] = true
	answer(w, map[string]any{"auth": map[string]any{
		"client_token": token, "lease_duration": 3600, "renewable": false,
	}})
}

func (v *fakeVault) revoke(w http.ResponseWriter, r *http.Request) {
	delete(v.tokens, r.Header.Get("X-Vault-Token"))
	w.WriteHeader(http.StatusNoContent)
}

func (v *fakeVault) lookup(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{"data": map[string]any{"ttl": 3600}})
}

func (v *fakeVault) read(w http.ResponseWriter, r *http.Request) {
	all := v.secrets[r.PathValue("path")]
	if len(all) == 0 {
		refuse(w, http.StatusNotFound)
		return
	}
	answer(w, map[string]any{"data": map[string]any{"data": all[len(all)-1], "metadata": metadata(len(all))}})
}

func (v *fakeVault) patch(w http.ResponseWriter, r *http.Request) {
	var body struct{ Data map[string]any }
	if r.Header.Get("Content-Type") != "application/merge-patch+json" || json.NewDecoder(r.Body).Decode(&body) != nil {
		refuse(w, http.StatusUnsupportedMediaType)
		return
	}
	path := r.PathValue("path")
	all := v.secrets[path]
	merged := maps.Clone(all[len(all)-1])
	maps.Copy(merged, body.Data)
	v.secrets[path] = append(all, merged)
	answer(w, map[string]any{"data": metadata(len(all) + 1)})
}

func metadata(version int) map[string]any {
	return map[string]any{
		"version": version, "created_time": "2030-01-02T03:04:05Z", "deletion_time": "", "destroyed": false,
	}
}

func refuse(w http.ResponseWriter, status int, errors ...string) {
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string][]string{"errors": errors})
}
