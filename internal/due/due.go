// Package due is the durable, time-ordered queue of everything that must happen
// later: expiry of tokens and leases, retries of what failed. An item is a row of
// the store whose key begins with its time, so that a million items cost no
// memory and no start-up time, and after a crash the queue is simply still there.
//
// An item is written and removed in the transaction of what it belongs to
// ([Schedule], [Cancel]); a [Runner] does what has fallen due.
package due

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cofferhq/coffer/internal/storage"
)

// Kind says who handles an item.
type Kind string

// Item is something that must happen at a time. Time, kind, namespace and
// reference together identify it.
type Item struct {
	At        time.Time
	Kind      Kind
	Namespace string
	Ref       string // what it is about, in the terms of the kind; not secret

	// Attempts counts the failures so far.
	Attempts int
}

const formatVersion = 1

type row struct {
	Version  int `json:"v"`
	Attempts int `json:"n,omitempty"`
}

func table() string { return storage.Plain("due") }

func (i Item) key() string {
	return table() + storage.Order(uint64(i.At.UnixNano())) +
		storage.Plain(string(i.Kind)) + storage.Plain(i.Namespace) + storage.Plain(i.Ref)
}

// Schedule adds the item in tx. Times before 1970 are not allowed.
func Schedule(tx *storage.Tx, i Item) error {
	value, err := json.Marshal(row{Version: formatVersion, Attempts: i.Attempts})
	if err != nil {
		return err
	}
	tx.Put(i.key(), value)
	return nil
}

// Cancel removes the item in tx, if it is there.
func Cancel(tx *storage.Tx, i Item) { tx.Delete(i.key()) }

func parse(e storage.Entry) (Item, error) {
	rest := e.Key
	var segs [5]storage.Segment
	for n := range segs {
		var err error
		if segs[n], rest, err = storage.Cut(rest); err != nil {
			return Item{}, fmt.Errorf("due item: %w", err)
		}
	}
	var r row
	if err := json.Unmarshal(e.Value, &r); err != nil {
		return Item{}, fmt.Errorf("due item: %w", err)
	}
	if rest != "" || r.Version != formatVersion {
		return Item{}, errors.New("due item: written by a newer version of coffer")
	}
	return Item{
		At:        time.Unix(0, int64(segs[1].Number())).UTC(),
		Kind:      Kind(segs[2].Text()),
		Namespace: segs[3].Text(),
		Ref:       segs[4].Text(),
		Attempts:  r.Attempts,
	}, nil
}

// Each calls fn for the items that are due at now, in order, until fn returns
// an error, and returns when the next item after now is due; zero if none is.
func Each(ctx context.Context, s storage.Store, now time.Time, fn func(Item) error) (next time.Time, err error) {
	err = storage.View(ctx, s, func(tx *storage.Tx) error {
		for e, err := range tx.Scan(ctx, table(), "") {
			if err != nil {
				return err
			}
			item, err := parse(e)
			if err != nil {
				return err
			}
			if item.At.After(now) {
				next = item.At
				return nil
			}
			if err := fn(item); err != nil {
				return err
			}
		}
		return nil
	})
	return next, err
}
