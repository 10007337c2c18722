package pebble_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/pebble"
	"github.com/cofferhq/coffer/internal/storage/storetest"
)

// open opens a store that the test closes.
func open(t testing.TB, dir string, opts pebble.Options) *pebble.Store {
	t.Helper()
	s, err := pebble.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStoreKeepsTheContractInMemory(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storage.Store {
		return open(t, "data", pebble.Options{FS: vfs.NewMem()})
	})
}

func TestStoreKeepsTheContractOnDisk(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storage.Store {
		return open(t, t.TempDir(), pebble.Options{})
	})
}

func TestStoreIsDurable(t *testing.T) {
	storetest.RunDurable(t, func(t *testing.T, dir string) storage.Store {
		return open(t, dir, pebble.Options{})
	})
}
