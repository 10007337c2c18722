package storage_test

import (
	"errors"
	"testing"

	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

func TestMemoDecodesOnceForEachRevision(t *testing.T) {
	s := inmem.New()
	defer s.Close()
	memo := storage.NewMemo(1<<10, func(s string) bool { return s != "secret!" })
	decoded := 0
	decode := func(e storage.Entry) (string, error) {
		decoded++
		if string(e.Value) == "bad" {
			return "", errors.New("bad")
		}
		return string(e.Value) + "!", nil
	}
	update := func(fn func(p storage.Part)) {
		t.Helper()
		_, err := storage.Update(t.Context(), s, func(tx *storage.Tx) error { fn(tx.Below(storage.Plain("m"))); return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	key := storage.Name("k")
	peek := func(p storage.Part, want string, times int) {
		t.Helper()
		got, _, err := memo.Peek(t.Context(), p, key, decode)
		if got != want || err != nil || decoded != times {
			t.Errorf("got %q, %v, decoded %d times; want %q, %d", got, err, decoded, want, times)
		}
	}
	update(func(p storage.Part) { p.Put(key, []byte("one")) })
	for range 3 {
		update(func(p storage.Part) { peek(p, "one!", 1) })
	}
	update(func(p storage.Part) {
		p.Put(key, []byte("two"))
		peek(p, "two!", 2) // what the transaction wrote, which is not remembered:
		peek(p, "two!", 3)
	})
	update(func(p storage.Part) { peek(p, "two!", 4) })
	update(func(p storage.Part) { peek(p, "two!", 4) })
	memo.Forget()
	update(func(p storage.Part) { peek(p, "two!", 5) })

	update(func(p storage.Part) { p.Put(key, []byte("bad")) })
	for range 2 {
		update(func(p storage.Part) {
			if _, _, err := memo.Peek(t.Context(), p, key, decode); err == nil {
				t.Error("no error")
			}
		})
	}
	if decoded != 7 {
		t.Errorf("decoded %d times", decoded)
	}
	update(func(p storage.Part) { p.Put(key, []byte("secret")) })
	update(func(p storage.Part) { peek(p, "secret!", 8) })
	update(func(p storage.Part) { peek(p, "secret!", 9) }) // what is not to be kept is not
	update(func(p storage.Part) { p.Delete(key) })
	update(func(p storage.Part) {
		if _, _, err := memo.Peek(t.Context(), p, key, decode); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWhatAMemoGaveCanBeACondition(t *testing.T) {
	s := inmem.New()
	defer s.Close()
	memo := storage.NewMemo[int](1<<10, nil)
	put := func(value string) {
		if _, err := s.Apply(t.Context(), nil, []storage.Op{storage.Put("k", []byte(value))}); err != nil {
			t.Fatal(err)
		}
	}
	put("one")
	runs := 0
	_, err := storage.Update(t.Context(), s, func(tx *storage.Tx) error {
		p := tx.Below("")
		length, rev, err := memo.Peek(t.Context(), p, "k", func(e storage.Entry) (int, error) { return len(e.Value), nil })
		if err != nil {
			return err
		}
		p.Expect("k", rev)
		if runs++; runs == 1 {
			put("three")
		}
		p.Put("length", []byte{byte(length)})
		return nil
	})
	if err != nil || runs != 2 {
		t.Errorf("%d runs, %v", runs, err)
	}
}
