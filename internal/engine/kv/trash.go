package kv

import (
	"context"
	"crypto/rand"

	"github.com/cofferhq/coffer/internal/storage"
)

// A commit holds a limited number of operations, but a secret any number of
// versions. When more of them go at once than fit, their numbers are put into
// the trash in the same commit in which the secret forgets them: from then on
// nobody can reach the rows, and each later change of any secret of the mount
// takes some of them out.
//
// Rows are found by the secret's random id and are never written again, so it
// does not matter when the trash is taken out, nor that a secret of the same
// path has been made since.

// spareOps are left in a commit for what is written after the trash was dealt
// with: the request's events, leases and tokens.
const spareOps = 32

// minSweep is how many rows always go, so that the trash shrinks also if every
// commit is nearly full of bytes. A row fewer than spareOps can take it.
const minSweep = 8

func trashKey() string { return storage.Plain("trash") }

// span is a first and a last version.
type span [2]int

// trash is a row of the trash.
type trash struct {
	ID    string `json:"id"` // the secret's
	Spans []span `json:"spans"`
}

var trashForm = storage.Form[trash]{Name: "kv trash", Version: 1}

// take deletes rows, at most limit, and returns how many.
func (t *trash) take(p storage.Part, limit int) int {
	n := 0
	for ; len(t.Spans) > 0 && n < limit; n++ {
		first := &t.Spans[0]
		p.Delete(versionKey(t.ID, first[0]))
		if first[0]++; first[0] > first[1] {
			t.Spans = t.Spans[1:]
		}
	}
	return n
}

func (t *trash) put(p storage.Part, key string) error {
	if len(t.Spans) == 0 {
		p.Delete(key)
		return nil
	}
	value, err := trashForm.Encode(t)
	if err != nil {
		return err
	}
	p.Put(key, value)
	return nil
}

// discard deletes the rows of versions, and puts into the trash what does not
// fit the commit.
func discard(p storage.Part, id string, spans []span) error {
	t := &trash{ID: id, Spans: spans}
	t.take(p, room(p))
	if len(t.Spans) == 0 {
		return nil
	}
	return t.put(p, trashKey()+storage.Plain(rand.Text()))
}

// sweep takes out as much of the trash as fits the commit. The rows of the trash
// become conditions: two that sweep at once do not undo each other's counting.
func sweep(ctx context.Context, p storage.Part) error {
	left := room(p)
	for e, err := range p.Range(ctx, trashKey(), "") {
		if err != nil {
			return err
		}
		t := &trash{}
		if err := trashForm.Decode(e.Value, t); err != nil {
			return err
		}
		left -= t.take(p, left-1) + 1
		if err := t.put(p, e.Key); err != nil {
			return err
		}
		if left < 2 {
			return nil
		}
	}
	return nil
}

func room(p storage.Part) int { return max(minSweep, p.Room()-spareOps) }
