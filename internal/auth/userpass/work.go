package userpass

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"weak"

	"github.com/cofferhq/coffer/internal/logical"
)

// maxPasswordBytes bounds what is hashed.
const maxPasswordBytes = 4096

// maxHashing bounds the memory for hashing where there are many processors.
const maxHashing = 8

// gate lets in as many as hash at once. The others wait outside.
type gate chan struct{}

func newGate() gate { return make(gate, min(runtime.GOMAXPROCS(0), maxHashing)) }

// enter waits for a place until ctx ends. Who has entered leaves.
func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) leave() { <-g }

// findings remember what hashing found out about the password of a request, for as
// long as somebody holds the request: after a conflict its handler runs again,
// and must not cost a second hash.
//
// The key is the request itself and not its id, which a client might choose.
type findings struct {
	byRequest sync.Map // weak.Pointer[logical.Request] → finding
}

// finding says whether hash is one of the request's password.
type finding struct {
	hash string
	good bool
}

func (fs *findings) recall(r *logical.Request) (finding, bool) {
	f, ok := fs.byRequest.Load(weak.Make(r))
	if !ok {
		return finding{}, false
	}
	return f.(finding), true
}

func (fs *findings) keep(r *logical.Request, f finding) {
	key := weak.Make(r)
	if _, again := fs.byRequest.Swap(key, f); !again {
		runtime.AddCleanup(r, func(key weak.Pointer[logical.Request]) { fs.byRequest.Delete(key) }, key)
	}
}

// newHash returns the hash of the password that the request sets.
func (m *method) newHash(ctx context.Context, r *logical.Request) (string, error) {
	password, imported := r.Text("password"), strings.TrimSpace(r.Text("password_hash"))
	switch {
	case password == "" && imported == "":
		return "", logical.Invalid("missing password")
	case password != "" && imported != "":
		return "", logical.Invalid("password and password_hash are mutually exclusive")
	case imported != "" && !isBcrypt(imported):
		return "", logical.Invalid("password_hash is not a bcrypt hash with a cost of at most %d", maxBcryptCost)
	case imported != "":
		return imported, nil
	case len(password) > maxPasswordBytes:
		return "", logical.Invalid("a password has at most %d bytes", maxPasswordBytes)
	}
	if f, ok := m.found.recall(r); ok {
		return f.hash, nil
	}
	if err := m.gate.enter(ctx); err != nil {
		return "", err
	}
	defer m.gate.leave()
	hash := m.cost.hash(password)
	m.found.keep(r, finding{hash, true})
	return hash, nil
}
