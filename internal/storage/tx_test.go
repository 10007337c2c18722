package storage_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

// newStore returns a store with the entries, each with its key as the value.
func newStore(t *testing.T, keys ...string) *inmem.Store {
	t.Helper()
	s := inmem.New()
	t.Cleanup(func() { s.Close() })
	for _, key := range keys {
		set(t, s, key, key)
	}
	return s
}

// set writes past all transactions.
func set(t *testing.T, s storage.Store, key, value string) storage.Revision {
	t.Helper()
	rev, err := s.Apply(context.Background(), nil, []storage.Op{storage.Put(key, []byte(value))})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// value returns what key has now, "-" if nothing.
func value(t *testing.T, s storage.Store, key string) (v string) {
	t.Helper()
	err := storage.View(t.Context(), s, func(tx *storage.Tx) error {
		e, err := tx.Get(t.Context(), key)
		if errors.Is(err, storage.ErrNotFound) {
			v = "-"
			return nil
		}
		v = string(e.Value)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Most tests are one transaction on a store that has a, b and c, with meddle
// run once, between fn and its first commit.
func TestUpdate(t *testing.T) {
	ctx := t.Context()
	tests := []struct {
		name   string
		fn     func(tx *storage.Tx) error
		meddle func(t *testing.T, s storage.Store)
		runs   int    // of fn
		want   string // value of "out" afterwards
	}{
		{
			name: "what was written is read",
			fn: func(tx *storage.Tx) error {
				tx.Put("a", []byte("new"))
				e, err := tx.Get(ctx, "a")
				if e.Revision != 0 {
					return errors.New("a write that is not committed has a revision")
				}
				tx.Put("out", e.Value)
				return err
			},
			runs: 1, want: "new",
		},
		{
			name: "what was deleted is not found",
			fn: func(tx *storage.Tx) error {
				tx.Delete("a")
				_, err := tx.Get(ctx, "a")
				_, perr := tx.Peek(ctx, "a")
				tx.Put("out", fmt.Append(nil, errors.Is(err, storage.ErrNotFound), errors.Is(perr, storage.ErrNotFound)))
				return nil
			},
			runs: 1, want: "true true",
		},
		{
			name: "the last write counts",
			fn: func(tx *storage.Tx) error {
				tx.Delete("out")
				tx.Put("out", []byte("1"))
				tx.Put("out", []byte("2"))
				return nil
			},
			runs: 1, want: "2",
		},
		{
			name: "to change what was read back does not change the write",
			fn: func(tx *storage.Tx) error {
				tx.Put("out", []byte("right"))
				e, err := tx.Get(ctx, "out")
				copy(e.Value, "wrong")
				return err
			},
			runs: 1, want: "right",
		},
		{
			name:   "a changed read runs again",
			fn:     copyOut(ctx, (*storage.Tx).Get),
			meddle: func(t *testing.T, s storage.Store) { set(t, s, "a", "changed") },
			runs:   2, want: "changed",
		},
		{
			name:   "a changed peek does not",
			fn:     copyOut(ctx, (*storage.Tx).Peek),
			meddle: func(t *testing.T, s storage.Store) { set(t, s, "a", "changed") },
			runs:   1, want: "a",
		},
		{
			name: "an entry that was absent and is there runs again",
			fn: func(tx *storage.Tx) error {
				_, err := tx.Get(ctx, "new")
				tx.Put("out", fmt.Append(nil, errors.Is(err, storage.ErrNotFound)))
				return nil
			},
			meddle: func(t *testing.T, s storage.Store) { set(t, s, "new", "") },
			runs:   2, want: "false",
		},
		{
			name:   "a changed entry of a range runs again",
			fn:     joinOut(ctx, (*storage.Tx).Range),
			meddle: func(t *testing.T, s storage.Store) { set(t, s, "b", "changed") },
			runs:   2, want: "achangedc",
		},
		{
			name:   "a new entry in a range does not",
			fn:     joinOut(ctx, (*storage.Tx).Range),
			meddle: func(t *testing.T, s storage.Store) { set(t, s, "bb", "new") },
			runs:   1, want: "abc",
		},
		{
			name:   "a changed entry of a scan does not",
			fn:     joinOut(ctx, (*storage.Tx).Scan),
			meddle: func(t *testing.T, s storage.Store) { set(t, s, "b", "changed") },
			runs:   1, want: "abc",
		},
		{
			name: "a range does not show the transaction's own writes",
			fn: func(tx *storage.Tx) error {
				tx.Put("aa", []byte("new"))
				tx.Delete("b")
				return joinOut(ctx, (*storage.Tx).Range)(tx)
			},
			runs: 1, want: "abc",
		},
		{
			name: "only as much of a range as was seen is a condition",
			fn: func(tx *storage.Tx) error {
				for e, err := range tx.Range(ctx, "", "") {
					tx.Put("out", e.Value)
					return err
				}
				return nil
			},
			meddle: func(t *testing.T, s storage.Store) { set(t, s, "b", "changed") },
			runs:   1, want: "a",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t, "a", "b", "c")
			runs := 0
			rev, err := storage.Update(ctx, s, func(tx *storage.Tx) error {
				err := test.fn(tx)
				if runs++; runs == 1 && test.meddle != nil {
					test.meddle(t, s)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := value(t, s, "out"); got != test.want || runs != test.runs {
				t.Errorf("%q after %d runs, want %q after %d", got, runs, test.want, test.runs)
			}
			if now := revision(t, s); rev != now {
				t.Errorf("revision %d, but the store is at %d", rev, now)
			}
		})
	}
}

// copyOut reads a in some way and writes what it found to out.
func copyOut(ctx context.Context, get func(*storage.Tx, context.Context, string) (storage.Entry, error)) func(*storage.Tx) error {
	return func(tx *storage.Tx) error {
		e, err := get(tx, ctx, "a")
		tx.Put("out", e.Value)
		return err
	}
}

// joinOut ranges in some way over a, b and c and writes their values to out.
func joinOut(ctx context.Context, ranged func(*storage.Tx, context.Context, string, string) iter.Seq2[storage.Entry, error]) func(*storage.Tx) error {
	return func(tx *storage.Tx) error {
		var out []byte
		for e, err := range ranged(tx, ctx, "", "") {
			if err != nil {
				return err
			}
			out = append(out, e.Value...)
		}
		tx.Put("out", out)
		return nil
	}
}

func revision(t *testing.T, s storage.Store) storage.Revision {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	return snap.Revision()
}

func TestUpdateThatFailsWritesNothing(t *testing.T) {
	s := newStore(t)
	mine := errors.New("mine")
	_, err := storage.Update(t.Context(), s, func(tx *storage.Tx) error {
		tx.Put("a", nil)
		return mine
	})
	if !errors.Is(err, mine) || value(t, s, "a") != "-" {
		t.Errorf("error %v, a is %q", err, value(t, s, "a"))
	}
}

// An operation may make commits of its own. One that has given up must not begin
// anew, whole, because of that.
func TestUpdateDoesNotRepeatForAConflictOfAnotherCommit(t *testing.T) {
	runs := 0
	_, err := storage.Update(t.Context(), inmem.New(), func(tx *storage.Tx) error {
		runs++
		tx.Put("a", nil)
		return fmt.Errorf("inner commit: %w", storage.ErrConflict)
	})
	if runs != 1 || !errors.Is(err, storage.ErrConflict) {
		t.Errorf("%d runs, %v", runs, err)
	}
}

func TestUpdateThatWritesNothingReturnsWhatItSaw(t *testing.T) {
	s := newStore(t, "a", "b")
	rev, err := storage.Update(t.Context(), s, func(tx *storage.Tx) error {
		_, err := tx.Get(t.Context(), "a")
		set(t, s, "a", "later")
		return err
	})
	if rev != 2 || err != nil {
		t.Errorf("revision %d, error %v, want 2", rev, err)
	}
	if rev, err := storage.Update(t.Context(), s, func(*storage.Tx) error { return nil }); rev != 0 || err != nil {
		t.Errorf("nothing at all: revision %d, error %v", rev, err)
	}
}

func TestExpect(t *testing.T) {
	ctx := t.Context()
	tests := []struct {
		name string
		fn   func(tx *storage.Tx) error
		want error
	}{
		{"at its revision", func(tx *storage.Tx) error { tx.Expect("a", 1); return nil }, nil},
		{"at another", func(tx *storage.Tx) error { tx.Expect("a", 7); return nil }, storage.ErrConflict},
		{"absent as it is", func(tx *storage.Tx) error { tx.Expect("x", 0); return nil }, nil},
		{"absent as it is not", func(tx *storage.Tx) error { tx.Expect("a", 0); return nil }, storage.ErrConflict},
		{"at another than was read before", func(tx *storage.Tx) error {
			_, err := tx.Get(ctx, "a")
			tx.Expect("a", 7)
			return err
		}, storage.ErrConflict},
		{"at another than is read later", func(tx *storage.Tx) error {
			tx.Expect("a", 7)
			_, err := tx.Get(ctx, "a")
			return err
		}, storage.ErrConflict},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // Update pauses between its attempts
				s := newStore(t, "a")
				_, err := storage.Update(t.Context(), s, func(tx *storage.Tx) error {
					tx.Put("out", nil)
					return test.fn(tx)
				})
				if !errors.Is(err, test.want) {
					t.Errorf("error %v, want %v", err, test.want)
				}
				if done := value(t, s, "out") != "-"; done != (test.want == nil) {
					t.Errorf("committed: %v", done)
				}
			})
		})
	}
}

func TestUpdateEndsWithItsContextBetweenAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, "a")
		ctx, cancel := context.WithCancel(t.Context())
		runs := 0
		_, err := storage.Update(ctx, s, func(tx *storage.Tx) error {
			if runs++; runs == 5 {
				cancel()
			}
			tx.Expect("a", 7)
			tx.Put("a", nil)
			return nil
		})
		if !errors.Is(err, context.Canceled) || runs != 5 {
			t.Errorf("error %v after %d runs", err, runs)
		}
	})
}

func TestViewRefusesWrites(t *testing.T) {
	s := newStore(t)
	if err := storage.View(t.Context(), s, func(tx *storage.Tx) error { tx.Put("a", nil); return nil }); err == nil {
		t.Error("a write in a view passes")
	}
	if value(t, s, "a") != "-" {
		t.Error("and is done")
	}
}

func TestViewIsOneSnapshot(t *testing.T) {
	s := newStore(t, "a", "b")
	err := storage.View(t.Context(), s, func(tx *storage.Tx) error {
		if _, err := tx.Get(t.Context(), "a"); err != nil {
			return err
		}
		set(t, s, "b", "later")
		e, err := tx.Get(t.Context(), "b")
		if string(e.Value) != "b" {
			t.Errorf("b is %q", e.Value)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRoomIsWhatStillFits(t *testing.T) {
	s := newStore(t)
	_, err := storage.Update(t.Context(), s, func(tx *storage.Tx) error {
		for n := storage.MaxOps; n > 0; n-- {
			if tx.Room() != n {
				t.Fatalf("room for %d, want %d", tx.Room(), n)
			}
			tx.Put(fmt.Sprint(n), nil)
			tx.Put(fmt.Sprint(n), nil) // the same again takes none
		}
		if tx.Room() != 0 || tx.Below("x").Room() != 0 {
			t.Errorf("room for %d when full", tx.Room())
		}
		return nil
	})
	if err != nil {
		t.Errorf("a full transaction: %v", err)
	}
}

func TestRoomCountsReadsAndBytes(t *testing.T) {
	s := newStore(t)
	err := storage.View(t.Context(), s, func(tx *storage.Tx) error {
		for i := range storage.MaxOps + 5 {
			tx.Expect(fmt.Sprint(i), 0)
		}
		if tx.Room() != 0 {
			t.Errorf("room for %d after too many reads", tx.Room())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	_, err = storage.Update(t.Context(), s, func(tx *storage.Tx) error {
		large := make([]byte, storage.MaxCommitBytes/2)
		tx.Put("a", large)
		if tx.Room() != 0 {
			t.Errorf("room for %d beside a large value", tx.Room())
		}
		tx.Put("a", nil)
		if tx.Room() != storage.MaxOps-1 {
			t.Errorf("room for %d when it was taken back", tx.Room())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestUpdateIsHeldToTheLimits(t *testing.T) {
	s := newStore(t)
	_, err := storage.Update(t.Context(), s, func(tx *storage.Tx) error {
		for i := range storage.MaxOps + 1 {
			tx.Put(fmt.Sprint(i), nil)
		}
		return nil
	})
	if !errors.Is(err, storage.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
}

func TestOpsOfAnUpdateAreInOrderOfKey(t *testing.T) {
	s := newStore(t)
	_, err := storage.Update(t.Context(), s, func(tx *storage.Tx) error {
		for _, i := range []int{5, 3, 9, 1, 7, 2} {
			tx.Put(fmt.Sprint(i), nil)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for c, err := range s.Watch(t.Context(), "", 0) {
		if err != nil || !slices.IsSortedFunc(c.Ops, func(a, b storage.Op) int { return int(a.Key[0]) - int(b.Key[0]) }) {
			t.Errorf("%v, error %v", c.Ops, err)
		}
		break
	}
}
