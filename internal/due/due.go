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
	"strings"
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

// key names the item's row.
func (i Item) key() string {
	return i.timeKey() + storage.Plain(string(i.Kind)) + storage.Plain(i.Namespace) + storage.Plain(i.Ref)
}

// timeKey begins the keys of all items of that time. Times that no key can hold are
// moved to the nearest that one can: what is due after the year 2262 need not be in
// order.
func (i Item) timeKey() string {
	var at uint64
	switch {
	case i.At.After(latest):
		at = math.MaxInt64
	case i.At.Unix() >= 0:
		at = uint64(i.At.UnixNano())
	}
	return table() + storage.Order(at)
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

// timeOf returns the time that the key of an item begins with; false if it is none.
func timeOf(key string) (at time.Time, ok bool) {
	rest, ok := strings.CutPrefix(key, table())
	if !ok {
		return time.Time{}, false
	}
	seg, _, err := storage.Cut(rest)
	if err != nil || len(seg.Raw) != len(storage.Order(0)) || seg.Number() > math.MaxInt64 {
		return time.Time{}, false
	}
	return time.Unix(0, int64(seg.Number())).UTC(), true
}

// afterTime is where to begin reading behind all items of a time and before.
func afterTime(t time.Time) string {
	prefix := Item{At: t}.timeKey()
	return storage.After(prefix)
}

// page is some items, in order.
type page struct {
	items []Item
	last  string    // key of the last one; empty: there are no more that are due
	later time.Time // of the first that is not due yet; zero: there is none, or last is set
}

// read returns at most n items that are due at until, of those after the key after.
// It passes over rows that it can't read and returns, beside the items, an error
// that tells of one: they must not hold up the rest.
func read(ctx context.Context, s storage.Store, until time.Time, after string, n int) (p page, err error) {
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
			if item.At.After(until) {
				p.later = item.At
				return nil
			}
			if p.items = append(p.items, item); len(p.items) == n {
				p.last = e.Key
				return nil
			}
		}
		return nil
	})
	return p, errors.Join(err, unread)
}
