package storage_test

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/storage"
)

// texts are in byte order and hard to tell apart.
var texts = []string{
	"", "\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "a", "a\x00", "a\x00\x01", "a\x00b", "a\x00\xff", "a\x01",
	"a/", "aa", "b", "\xff", "\xff\x00", "\xff\xff",
}

func TestTextSegmentsSortAsTheirTexts(t *testing.T) {
	for _, segment := range []func(string) string{storage.Name, storage.Plain} {
		for i, a := range texts {
			for j, b := range texts {
				if got, want := cmp.Compare(segment(a), segment(b)), cmp.Compare(i, j); got != want {
					t.Errorf("%q and %q compare as %d, want %d", a, b, got, want)
				}
				if i != j && strings.HasPrefix(segment(a), segment(b)) {
					t.Errorf("the segment of %q begins with that of %q", a, b)
				}
			}
		}
	}
}

// What follows a segment must not change how it sorts.
func TestKeysSortSegmentBySegment(t *testing.T) {
	for i, a := range texts {
		for j, b := range texts {
			left := storage.Name(a) + storage.Order(math.MaxUint64)
			right := storage.Name(b) + storage.Order(0)
			if i != j && cmp.Compare(left, right) != cmp.Compare(i, j) {
				t.Errorf("below %q and %q keys sort otherwise", a, b)
			}
		}
	}
}

func TestOrdersSortByNumber(t *testing.T) {
	numbers := []uint64{0, 1, 2, 255, 256, 1 << 31, 1 << 32, math.MaxInt64, 1 << 63, math.MaxUint64}
	for i, a := range numbers {
		for j, b := range numbers {
			if got := cmp.Compare(storage.Order(a), storage.Order(b)); got != cmp.Compare(i, j) {
				t.Errorf("%d and %d compare as %d", a, b, got)
			}
		}
		first, rest, err := storage.Cut(storage.Order(a) + "rest")
		if err != nil || first.Number() != a || rest != "rest" || first.Hidden() || first.Text() != "" {
			t.Errorf("%d: cut into %d and %q, error %v", a, first.Number(), rest, err)
		}
	}
}

func TestCutUndoesJoining(t *testing.T) {
	for _, text := range texts {
		key := storage.Plain(text) + storage.Order(7) + storage.Name(text)
		var got []storage.Segment
		for rest := key; rest != ""; {
			first, after, err := storage.Cut(rest)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			got, rest = append(got, first), after
		}
		if len(got) != 3 || got[0].Raw+got[1].Raw+got[2].Raw != key {
			t.Fatalf("%q: cut into %d", text, len(got))
		}
		if got[0].Text() != text || got[0].Hidden() || got[1].Number() != 7 || got[2].Text() != text || !got[2].Hidden() {
			t.Errorf("%q: cut into %q, %d, %q", text, got[0].Text(), got[1].Number(), got[2].Text())
		}
		if got[0].Number() != 0 {
			t.Errorf("%q has the number %d", text, got[0].Number())
		}
	}
}

func TestPathIsOneNameForEachElement(t *testing.T) {
	tests := []struct {
		path string
		want []string
	}{
		{"", nil},
		{"a", []string{"a"}},
		{"a/b/c", []string{"a/", "b/", "c"}},
		{"a/b/", []string{"a/", "b/"}},
		{"/", []string{"/"}},
		{"//a", []string{"/", "/", "a"}},
		{"ä/\x00/z", []string{"ä/", "\x00/", "z"}},
	}
	for _, test := range tests {
		want := ""
		for _, name := range test.want {
			want += storage.Name(name)
		}
		if got := storage.Path(test.path); got != want {
			t.Errorf("%q: %q, want %q", test.path, got, want)
		}
	}
}

func TestAfterIsBeyondAllThatLiesBelowAndBeforeAllElse(t *testing.T) {
	for i, text := range texts {
		key := storage.Name(text)
		below := []string{key, key + storage.Name("\xff\xff"), key + storage.Plain("\xff"), key + storage.Order(math.MaxUint64)}
		for _, k := range below {
			if k >= storage.After(key) {
				t.Errorf("%q is not before the bound after %q", k, text)
			}
		}
		if i+1 < len(texts) && storage.After(key) >= storage.Name(texts[i+1]) {
			t.Errorf("the bound after %q is not before %q", text, texts[i+1])
		}
		parts := cutAll(t, storage.After(key))
		if len(parts) != 2 || parts[1].Hidden() || parts[1].Text() != "" {
			t.Errorf("the bound after %q is cut into %d", text, len(parts))
		}
	}
}

func cutAll(t *testing.T, key string) (parts []storage.Segment) {
	t.Helper()
	for key != "" {
		first, rest, err := storage.Cut(key)
		if err != nil {
			t.Fatal(err)
		}
		parts, key = append(parts, first), rest
	}
	return parts
}

func TestCutRefusesWhatIsNoKey(t *testing.T) {
	tests := []struct{ name, key string }{
		{"empty", ""},
		{"unknown type", "x\x00\x01"},
		{"type alone", "n"},
		{"text without an end", "nabc"},
		{"text that ends in the middle of its end", "nabc\x00"},
		{"stray zero byte", "na\x00bc\x00\x01"},
		{"escaped zero byte at the end", "pa\x00\xff"},
		{"short order", "o1234567"},
		{"bound with something behind it", "\xff" + storage.Name("a")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if first, rest, err := storage.Cut(test.key); err == nil {
				t.Errorf("cut into %q and %q", first.Raw, rest)
			}
		})
	}
}

// What Cut accepts is what the constructors make, and nothing else.
func FuzzCut(f *testing.F) {
	for _, text := range texts {
		f.Add(storage.Name(text) + storage.Order(1))
		f.Add(storage.Plain(text))
		f.Add("n" + text)
	}
	f.Add(storage.After(storage.Path("a/b")))
	f.Fuzz(func(t *testing.T, key string) {
		first, rest, err := storage.Cut(key)
		if err != nil {
			return
		}
		if first.Raw == "" || first.Raw+rest != key {
			t.Fatalf("cut %q into %q and %q", key, first.Raw, rest)
		}
		made := []string{
			storage.Name(first.Text()), storage.Plain(first.Text()), storage.Order(first.Number()), storage.After(""),
		}
		if !slices.Contains(made, first.Raw) {
			t.Errorf("%q is accepted, but made by nothing", first.Raw)
		}
		if first.Hidden() != (first.Raw[0] == 'n') {
			t.Errorf("%q: hidden is %v", first.Raw, first.Hidden())
		}
	})
}
