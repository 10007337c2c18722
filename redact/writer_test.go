package redact

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestWriterHoldsOnlyWhatMayBeAValue(t *testing.T) {
	r := New(WithNames())
	r.Set(Secret("A", "abcdefgh"), Secret("B", "ghijklmnop"), Secret("M", "first line\nsecond line"))
	tests := []struct {
		name   string
		writes []string
		want   []string // that is out after each
		end    string   // that Close adds
	}{
		{"nothing that begins a value", []string{"xy!", "\n"}, []string{"xy!", "xy!\n"}, ""},
		{"a beginning, and the rest", []string{"xabc", "defgh!"}, []string{"x", "x[redacted:A]!"}, ""},
		{"a beginning, and another end", []string{"xabc", "x"}, []string{"x", "xabcx"}, ""},
		{"a beginning at the end of all", []string{"xabc"}, []string{"x"}, "abc"},
		{"a beginning within a beginning", []string{"abcdefg", "x"}, []string{"", "abcdefgx"}, ""},
		{"an end that begins another value", []string{"abcdefgh", "ijklmnop!", "gh"}, []string{"[redacted:A]", "[redacted:A]!", "[redacted:A]!"}, "gh"},
		{"an end that only seems to", []string{"abcdefgh", "ijk!"}, []string{"[redacted:A]", "[redacted:A]ijk!"}, ""},
		{"an end that is cut off", []string{"abcdefgh"}, []string{"[redacted:A]"}, ""},
		{"a line that begins a value of two", []string{"first line\n", "second line\n"}, []string{"", "[redacted:M]\n"}, ""},
		{"a line that only seems to", []string{"first line\n", "last line\n"}, []string{"", "[redacted:M]\nlast line\n"}, ""},
		{"a line end does", []string{"abc\n"}, []string{"abc\n"}, ""},
		{"byte by byte", []string{"a", "b", "c", "d", "e", "f", "g", "h", "."}, []string{"", "", "", "", "", "", "", "[redacted:A]", "[redacted:A]."}, ""},
		{"nothing", []string{"", ""}, []string{"", ""}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			w := r.Writer(&out)
			for i, text := range tt.writes {
				if n, err := io.WriteString(w, text); n != len(text) || err != nil {
					t.Fatal(n, err)
				}
				if got := out.String(); got != tt.want[i] {
					t.Fatalf("after %q: %q, want %q", tt.writes[:i+1], got, tt.want[i])
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if got, want := out.String(), tt.want[len(tt.want)-1]+tt.end; got != want {
				t.Errorf("at the end %q, want %q", got, want)
			}
		})
	}
}

func TestFlushDecides(t *testing.T) {
	r := New()
	r.Set(Secret("A", "abcdefgh"), Secret("B", "ghijklmnop"))
	var out bytes.Buffer
	w := r.Writer(&out)
	io.WriteString(w, "xabcdefgh")
	io.WriteString(w, "abc")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "defgh")
	w.Close()
	if got, want := out.String(), "x[redacted]abcdefgh"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// On a terminal nothing is held for more than a second.
func TestMaxHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New()
		r.Set(Secret("A", "abcdefgh"))
		var out bytes.Buffer
		w := r.Writer(&out, MaxHold(time.Second))
		at := func(what, want string) {
			t.Helper()
			synctest.Wait()
			if got := out.String(); got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		io.WriteString(w, "x abc")
		at("at once", "x ")
		time.Sleep(900 * time.Millisecond)
		at("before the time", "x ")
		io.WriteString(w, "defgh abcd")
		at("decided, and a new beginning", "x [redacted] ")
		time.Sleep(900 * time.Millisecond)
		at("the new beginning has its own time", "x [redacted] ")
		io.WriteString(w, "e")
		time.Sleep(100 * time.Millisecond)
		at("which more of it does not renew", "x [redacted] abcde")
		time.Sleep(time.Hour)
		io.WriteString(w, "abc")
		time.Sleep(time.Second)
		at("and again", "x [redacted] abcdeabc")
		io.WriteString(w, "ab")
		w.Close()
		at("at the end", "x [redacted] abcdeabcab")
	})
}

type failing struct{ after int }

var errFull = errors.New("disk full")

func (f *failing) Write(p []byte) (int, error) {
	if f.after--; f.after < 0 {
		return 0, errFull
	}
	return len(p), nil
}

type short struct{}

func (short) Write(p []byte) (int, error) { return len(p) / 2, nil }

func TestWriterFails(t *testing.T) {
	r := New()
	r.Set(Secret("A", "abcdefgh"))
	w := r.Writer(&failing{after: 1})
	if _, err := io.WriteString(w, "fine"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if n, err := io.WriteString(w, "not"); n != 0 || !errors.Is(err, errFull) {
			t.Errorf("Write: %d, %v", n, err)
		}
	}
	if err := w.Flush(); !errors.Is(err, errFull) {
		t.Errorf("Flush: %v", err)
	}
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	if _, err := io.WriteString(w, "late"); !errors.Is(err, ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	if _, err := r.Writer(short{}).Write([]byte("text")); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a short write: %v", err)
	}
}

func TestWriterDoesNotAllocate(t *testing.T) {
	r := New()
	r.Set(randomValues(100)...)
	text := append(logText(100_000), randomValues(100)[7].reveal()...)
	var to memory
	w := r.Writer(&to)
	w.Write(text)
	if n := testing.AllocsPerRun(20, func() { w.Write(text) }); n > 0 {
		t.Errorf("%v allocations a write", n)
	}
}

// A value that becomes known is removed from what is written from then on.
func TestSetBetweenWrites(t *testing.T) {
	r := New()
	r.Set(Secret("A", "abcdefgh"))
	var out bytes.Buffer
	w := r.Writer(&out)
	io.WriteString(w, "uvwxyz-1 abcd")
	r.Set(Secret("A", "uvwxyz-1"))
	io.WriteString(w, "efgh uvwxyz-1")
	w.Close()
	if got, want := out.String(), "uvwxyz-1 [redacted] [redacted]"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
