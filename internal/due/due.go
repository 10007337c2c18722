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
	"errors"
	"fmt"
	"math"
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

var form = storage.Form[row]{Name: "due item", Version: 1}

type row struct {
	Attempts int `json:"n,omitempty"`
}

func table() string { return storage.Plain("due") }

// latest is the last time that a key can hold.
var latest = time.Unix(0, math.MaxInt64)

// key names the item's row. Times that no key can hold are moved to the nearest
// that one can: what is due after the year 2262 need not be in order.
func (i Item) key() string {
	var at uint64
	switch {
	case i.At.After(latest):
		at = math.MaxInt64
	case i.At.Unix() >= 0:
		at = uint64(i.At.UnixNano())
	}
	return table() + storage.Order(at) +
		storage.Plain(string(i.Kind)) + storage.Plain(i.Namespace) + storage.Plain(i.Ref)
}

// Schedule adds the item in tx.
func Schedule(tx *storage.Tx, i Item) error {
	value, err := form.Encode(&row{Attempts: i.Attempts})
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
	if err := form.Decode(e.Value, &r); err != nil {
		return Item{}, err
	}
	if rest != "" || segs[1].Number() > math.MaxInt64 {
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

// read returns at most n items that are due at now, in order, of those after the
// key after, and the key of the last; "" if there are no more. It passes over
// rows that it can't read and returns, beside the items, an error that tells of
// one: they must not hold up the rest.
func read(ctx context.Context, s storage.Store, now time.Time, after string, n int) (items []Item, last string, err error) {
	var unread error
	err = storage.View(ctx, s, func(tx *storage.Tx) error {
		for e, err := range tx.Scan(ctx, table(), after) {
			if err != nil {
				return err
			}
			item, err := parse(e)
			if err != nil {
				unread = err
				continue
			}
			if item.At.After(now) {
				return nil
			}
			if items = append(items, item); len(items) == n {
				last = e.Key
				return nil
			}
		}
		return nil
	})
	return items, last, errors.Join(err, unread)
}
