// Package builtin names the parts that are built into the program: here, and
// only here, is chosen which.
package builtin

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/cofferhq/coffer/internal/auth/approle"
	"github.com/cofferhq/coffer/internal/auth/userpass"
	"github.com/cofferhq/coffer/internal/config"
	dbms "github.com/cofferhq/coffer/internal/database"
	"github.com/cofferhq/coffer/internal/database/mysql"
	"github.com/cofferhq/coffer/internal/database/postgres"
	"github.com/cofferhq/coffer/internal/database/redis"
	"github.com/cofferhq/coffer/internal/engine/cubbyhole"
	"github.com/cofferhq/coffer/internal/engine/database"
	"github.com/cofferhq/coffer/internal/engine/kv"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/password"
	"github.com/cofferhq/coffer/internal/seal"
	"github.com/cofferhq/coffer/internal/seal/keyfile"
	"github.com/cofferhq/coffer/internal/source"
	databasesource "github.com/cofferhq/coffer/internal/source/database"
	"github.com/cofferhq/coffer/internal/source/exec"
	"github.com/cofferhq/coffer/internal/source/generate"
	"github.com/cofferhq/coffer/internal/source/webhook"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/cache"
	"github.com/cofferhq/coffer/internal/storage/inmem"
	"github.com/cofferhq/coffer/internal/storage/pebble"
)

// Kinds returns the engines and auth methods that can be mounted. passwords finds
// the password policies that engines need.
func Kinds(passwords password.Source) []logical.Kind {
	return []logical.Kind{kv.Kind, cubbyhole.Kind, database.New(Databases(), passwords), approle.Kind, userpass.Kind}
}

// Databases returns the kinds of system that users and passwords are made in.
func Databases() dbms.Kinds { return dbms.Kinds{postgres.Kind, mysql.Kind, redis.Kind} }

// Sources returns where rotations find new secrets. Programs are those that may be
// run for it.
func Sources(passwords password.Source, programs []string) source.Kinds {
	return source.Kinds{
		generate.Kind(passwords), databasesource.Kind(Databases(), passwords), exec.Kind(programs), webhook.Kind(),
	}
}

// OpenStorage opens the store that the configuration asks for.
func OpenStorage(c config.Storage, log *slog.Logger) (storage.Store, error) {
	switch c.Kind {
	case config.Inmem:
		return cache.New(inmem.New(), cache.DefaultBytes), nil // as the others are: what is tried out is what runs
	case config.Pebble:
		s, err := pebble.Open(c.Path, pebble.Options{Logger: log, CacheBytes: c.CacheBytes})
		if err != nil {
			return nil, fmt.Errorf("storage %s: %w", c.Path, err)
		}
		return cache.New(s, cache.DefaultBytes), nil
	}
	return nil, fmt.Errorf("storage of kind %q is not built in", c.Kind)
}

// OpenSeal opens what unseals the server by itself, or returns nil if people do.
// A key is made only for a store that is empty yet: where there is data, a new
// key could not open it, and would hide that the old one is missing.
func OpenSeal(c config.Seal, empty bool) (seal.Seal, error) {
	if c.Kind == config.Shamir {
		return nil, nil
	}
	s, err := keyfile.Load(c.Path)
	switch {
	case err == nil:
		return s, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("unseal key: %w", err)
	case !empty:
		return nil, fmt.Errorf("the unseal key %s is missing, and the data that it opens is there: put the file back from its copy", c.Path)
	}
	// Others may look into the folder: the certificate that they need lies below.
	// The key file itself is its owner's alone.
	if err := os.MkdirAll(filepath.Dir(c.Path), 0o755); err != nil {
		return nil, fmt.Errorf("unseal key: %w", err)
	}
	if s, err = keyfile.Create(c.Path); err != nil {
		return nil, fmt.Errorf("unseal key: %w", err)
	}
	return s, nil
}
