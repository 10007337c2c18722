package inmem_test

import (
	"testing"

	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
	"github.com/cofferhq/coffer/internal/storage/storetest"
)

func TestStoreKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) storage.Store { return inmem.New() })
}
