package kv

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

// A commit holds a limited number of operations, but a secret any number of
// versions. When more of them go at once than fit, their numbers are put into
// the trash in the same commit in which the secret forgets them: from then on
// nobody can reach the rows, and a task takes them out, a commit's worth at a time.
//
// Rows are found by the secret's random id and are never written again, so it
// does not matter when the trash is taken out, nor that a secret of the same
// path has been made since.

// spareOps are left in a commit for what is written after the trash was dealt
// with: the request's events, leases and tokens.
const spareOps = 32

// leastSweep is how many rows always go, so that the trash shrinks also if a commit
// is nearly full of bytes. A row fewer than spareOps can take it.
const leastSweep = 8

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
func discard(r *logical.Request, id string, spans []span) error {
	t := &trash{ID: id, Spans: spans}
	t.take(r.Part, room(r.Part))
	if len(t.Spans) == 0 {
		return nil
	}
	name := rand.Text()
	r.Schedule(logical.Task{At: r.Now, Ref: name})
	return t.put(r.Part, trashKey()+storage.Plain(name))
}

// emptyTrash deletes the rows that a piece of trash names.
func emptyTrash(ctx context.Context, r *logical.Request, task logical.Task) error {
	key := trashKey() + storage.Plain(task.Ref)
	for left := true; left; {
		err := r.Step(ctx, func(r *logical.Request) error {
			e, err := r.Part.Get(ctx, key)
			if left = err == nil; !left {
				if errors.Is(err, storage.ErrNotFound) {
					return nil
				}
				return err
			}
			t := &trash{}
			if err := trashForm.Decode(e.Value, t); err != nil {
				return err
			}
			t.take(r.Part, room(r.Part))
			left = len(t.Spans) > 0
			return t.put(r.Part, key)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func room(p storage.Part) int { return max(leastSweep, p.Room()-spareOps) }
