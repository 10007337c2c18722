package barrier_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cofferhq/coffer/internal/barrier"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
	"github.com/cofferhq/coffer/internal/storage/storetest"
)

func encryptions(t *testing.T, b *barrier.Barrier) uint64 {
	t.Helper()
	n, err := b.Encryptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func mustSaveUsage(t *testing.T, b *barrier.Barrier) {
	t.Helper()
	if err := b.SaveUsage(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// write encrypts n values.
func write(t *testing.T, b *barrier.Barrier, n int) {
	t.Helper()
	for i := range n {
		put(t, b, storage.Plain(fmt.Sprint(i)), "x")
	}
}

func TestEncryptionsAreCountedForEachTerm(t *testing.T) {
	b, _ := unsealed(t)
	before := encryptions(t, b)
	write(t, b, 3)
	if _, err := b.Apply(t.Context(), nil, []storage.Op{storage.Delete(storage.Plain("0"))}); err != nil {
		t.Fatal(err)
	}
	if got := encryptions(t, b) - before; got != 3 {
		t.Errorf("%d, want 3", got)
	}
	if err := b.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := encryptions(t, b); got != 0 {
		t.Errorf("%d with a new key", got)
	}
	write(t, b, 2)
	if err := b.Rewrap(t.Context(), rootKey(1), rootKey(2)); err != nil {
		t.Fatal(err)
	}
	if got := encryptions(t, b); got != 2 {
		t.Errorf("%d after the root key was changed, want 2", got)
	}
}

func TestTheCountOutlivesRestartsAndIsOfAllNodes(t *testing.T) {
	b, inner := unsealed(t)
	other := barrier.New(inner)
	if err := other.Unseal(t.Context(), rootKey(1)); err != nil {
		t.Fatal(err)
	}
	write(t, b, 500)
	write(t, other, 300)
	mustSaveUsage(t, b)
	mustSaveUsage(t, other)
	mustSaveUsage(t, b) // nothing worth it has happened since
	b.Seal()
	if err := b.Unseal(t.Context(), rootKey(1)); err != nil {
		t.Fatal(err)
	}
	// What it takes to store the count is part of it.
	if got := encryptions(t, b); got < 800 || got > 810 {
		t.Errorf("%d, want about 800", got)
	}
	if err := b.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The other one does not know of the new key yet.
	write(t, other, 200)
	mustSaveUsage(t, b)
	if got := encryptions(t, b); got != 0 {
		t.Errorf("%d with a new key", got)
	}
}

func TestACountThatIsNotSavedIsNotForgotten(t *testing.T) {
	_, inner := unsealed(t)
	disk := &storetest.Faulty{Store: inner, N: 201}
	b := barrier.New(disk)
	if err := b.Unseal(t.Context(), rootKey(1)); err != nil {
		t.Fatal(err)
	}
	write(t, b, 200)
	if err := b.SaveUsage(t.Context()); err == nil {
		t.Fatal("saved on a disk that fails")
	}
	if got := encryptions(t, b); got < 200 {
		t.Errorf("%d, want 200", got)
	}
}

func TestUsageOfANewerVersionIsRefused(t *testing.T) {
	b, _ := unsealed(t)
	put(t, b, storage.Plain("barrier")+storage.Plain("usage"), `{"v":2,"term":1,"n":7}`)
	if _, err := b.Encryptions(t.Context()); err == nil {
		t.Error("read")
	}
}

func TestASealedBarrierHasNoUsage(t *testing.T) {
	b := barrier.New(inmem.New())
	if _, err := b.Encryptions(t.Context()); !errors.Is(err, logical.ErrSealed) {
		t.Errorf("%v", err)
	}
	if err := b.SaveUsage(t.Context()); !errors.Is(err, logical.ErrSealed) {
		t.Errorf("%v", err)
	}
}
