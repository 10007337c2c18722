package barrier

import (
	"context"
	"errors"
	"fmt"

	"github.com/cofferhq/coffer/internal/storage"
)

// How often a data key has encrypted is an estimate: each process counts for
// itself and adds what it has counted to a row that all share, now and then and
// before it is sealed. One that dies takes along what it has counted since.
// XAES-256-GCM needs no limit; operators and their auditors may want one.

// usage is the stored count of one term.
type usage struct {
	Term        int    `json:"term"`
	Encryptions uint64 `json:"n"`
}

var usageForm = storage.Form[usage]{Name: "count of encryptions", Version: 1}

func usageKey() string { return storage.Plain("barrier") + storage.Plain("usage") }

// worthSaving is a count that is worth a commit.
const worthSaving = 100

// Encryptions returns about how many values were encrypted with the newest data
// key, by any node.
func (b *Barrier) Encryptions(ctx context.Context) (n uint64, err error) {
	k, err := b.unsealed()
	if err != nil {
		return 0, err
	}
	err = storage.View(ctx, b, func(tx *storage.Tx) error {
		stored, err := readUsage(ctx, tx, k.term())
		n = stored.Encryptions + k.used.Load()
		return err
	})
	return n, err
}

// SaveUsage adds to the stored count what this process has counted.
func (b *Barrier) SaveUsage(ctx context.Context) error {
	k, err := b.unsealed()
	if err != nil {
		return err
	}
	if k.used.Load() < worthSaving {
		return nil
	}
	counted := k.used.Swap(0)
	_, err = storage.Update(ctx, b, func(tx *storage.Tx) error {
		stored, err := readUsage(ctx, tx, k.term())
		if err != nil || stored.Term > k.term() {
			return err // the key has been rotated: nobody asks about this one any more
		}
		stored.Encryptions += counted
		value, err := usageForm.Encode(&stored)
		if err != nil {
			return err
		}
		tx.Put(usageKey(), value)
		return nil
	})
	if err != nil {
		k.used.Add(counted) // rather twice than not at all
		return fmt.Errorf("save the count of encryptions: %w", err)
	}
	return nil
}

// readUsage returns the count of the term, or of a newer one, if that is what is
// stored.
func readUsage(ctx context.Context, tx *storage.Tx, term int) (usage, error) {
	fresh := usage{Term: term}
	e, err := tx.Get(ctx, usageKey())
	if errors.Is(err, storage.ErrNotFound) {
		return fresh, nil
	}
	if err != nil {
		return usage{}, err
	}
	var stored usage
	if err := usageForm.Decode(e.Value, &stored); err != nil {
		return usage{}, err
	}
	if stored.Term < term {
		return fresh, nil
	}
	return stored, nil
}
