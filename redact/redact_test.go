package redact

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestString(t *testing.T) {
	const key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBkg4LVWM9nuwNSk3yByxZpY\r\nRTBnVJk5GkMW8uTrFAuLoAoG\nEAtg==\n-----END EC PRIVATE KEY-----\n"
	tests := []struct {
		name     string
		values   []Value
		in, want string
	}{
		{"nothing is known", nil, "hunter2!x", "hunter2!x"},
		{"a value", []Value{Secret("A", "hunter2!x")}, "pw=hunter2!x;", "pw=[redacted:A];"},
		{"a value without a name", []Value{Secret("", "hunter2!x")}, "pw=hunter2!x;", "pw=[redacted];"},
		{"a value twice, side by side", []Value{Secret("A", "hunter2!x")}, "hunter2!xhunter2!x", "[redacted:A][redacted:A]"},
		{"values that overlap", []Value{Secret("A", "hunter2!x"), Secret("B", "2!xyzzy")}, "-hunter2!xyzzy-", "-[redacted:A]-"},
		{"a value in another", []Value{Secret("A", "hunter2!x"), Secret("B", "postgres://app:hunter2!x@db")}, "postgres://app:hunter2!x@db hunter2!x", "[redacted:B] [redacted:A]"},
		{"the longest of those that begin together", []Value{Secret("A", "hunter2!x"), Secret("B", "hunter2!x-long")}, "hunter2!x-long hunter2!x-lo", "[redacted:B] [redacted:A]-lo"},
		{"one text of two names", []Value{Secret("A", "hunter2!x"), Secret("B", "hunter2!x")}, "hunter2!x", "[redacted:A]"},
		{"white space around a value", []Value{Secret("A", " hunter2!x\n")}, "pw='hunter2!x'", "pw='[redacted:A]'"},
		{"less than all of a value", []Value{Secret("A", "hunter2!x")}, "hunter2! unter2!x", "hunter2! unter2!x"},
		{"a key, whole", []Value{Secret("K", strings.ReplaceAll(key, "\r", ""))}, ">" + strings.ReplaceAll(key, "\r", ""), ">[redacted:K]\n"},
		{"lines of a key, without what all keys have", []Value{Secret("K", key)}, "-----BEGIN EC PRIVATE KEY-----\n\tMHcCAQEEIBkg4LVWM9nuwNSk3yByxZpY\n", "-----BEGIN EC PRIVATE KEY-----\n\t[redacted:K]\n"},
		{"a long value", []Value{Secret("L", long(5000))}, "<" + long(5000) + ">", "<[redacted:L]>"},
		{"a value that is a marker's word", []Value{Secret("A", "[redacted:A]")}, "[redacted:A]", "[redacted:A]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := New(WithNames())
			if w := r.Set(tt.values...); w != nil {
				t.Errorf("warnings %v", w)
			}
			if d := cmp.Diff(tt.want, r.String(tt.in)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.want, string(r.Bytes([]byte(tt.in)))); d != "" {
				t.Error(d)
			}
			if got, want := r.Contains([]byte(tt.in)), len(tt.values) > 0 && strings.Contains(tt.want, Marker[:9]); got != want {
				t.Errorf("Contains: %v, want %v", got, want)
			}
		})
	}
}

// long returns text without repetitions.
func long(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%x.", i*2654435761%99991)
	}
	return b.String()[:n]
}

func TestSetWarnsOfWhatWouldGarble(t *testing.T) {
	r := New()
	got := r.Set(
		Secret("SHORT", "a"), Secret("EMPTY", ""), Secret("BLANK", " \n\t        "), Value{},
		Secret("WORD", "Production"), Secret("DASHES", "----------"), Secret("ZEROS", "1000000000"), Secret("GOOD", "correct-horse"),
	)
	want := []string{
		"SHORT is not removed from output: it has less than 6 bytes",
		"EMPTY is not removed from output: it has less than 6 bytes",
		"BLANK is not removed from output: it has less than 6 bytes",
		"a value without a name is not removed from output: it has less than 6 bytes",
		"WORD is not removed from output: it is a word that texts are full of",
		"DASHES is not removed from output: it has little more than one character, again and again",
		"ZEROS is not removed from output: it has little more than one character, again and again",
	}
	var texts []string
	for _, w := range got {
		texts = append(texts, w.String())
	}
	if d := cmp.Diff(want, texts); d != "" {
		t.Error(d)
	}
	if got, want := r.String("a production ---------- correct-horse"), "a production ---------- [redacted]"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPreviousValues(t *testing.T) {
	const a, b, c = "first-value-1", "second-value-2", "third-value-3"
	tests := []struct {
		name string
		opts []Option
		want string // of all three: after Set(a), Set(b), 90 minutes, Set(c)
	}{
		{"are removed for ever", nil, "[redacted] [redacted] [redacted]"},
		{"are removed for a time", []Option{WithPrevious(time.Hour)}, a + " [redacted] [redacted]"},
		{"are forgotten at once", []Option{WithPrevious(0)}, a + " " + b + " [redacted]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := New(tt.opts...)
				r.Set(Secret("A", a))
				r.Set(Secret("A", b))
				time.Sleep(90 * time.Minute)
				r.Set(Secret("A", c))
				if got := r.String(a + " " + b + " " + c); got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestValuesThatComeBackAreCurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(WithPrevious(time.Hour))
		r.Set(Secret("A", "first-value-1"))
		r.Set(Secret("A", "second-value-2"))
		r.Set(Secret("A", "first-value-1"), Secret("B", "first-value-1"))
		time.Sleep(90 * time.Minute)
		r.Set(Secret("A", "first-value-1"))
		if got, want := r.String("first-value-1 second-value-2"), "[redacted] second-value-2"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// Values change while others write: what both sets have is never seen, and what
// neither has is never lost.
func TestSetWhileWriting(t *testing.T) {
	r := New(WithPrevious(0))
	always := Secret("ALWAYS", "constant-value")
	r.Set(always)
	var out [4]bytes.Buffer
	var writers sync.WaitGroup
	done := make(chan struct{})
	for i := range out {
		writers.Go(func() {
			w := r.Writer(&out[i])
			defer w.Close()
			for n := 0; n < 200; n++ {
				fmt.Fprintf(w, "line %d: constant-", n)
				fmt.Fprintf(w, "value, rotating-%d\n", n%10)
			}
		})
	}
	go func() { writers.Wait(); close(done) }()
	for n := 0; ; n++ {
		select {
		case <-done:
			for i := range out {
				text := out[i].String()
				if strings.Contains(text, "constant-value") || strings.Count(text, "\n") != 200 || strings.Count(text, "line ") != 200 {
					t.Errorf("writer %d: %.300q", i, text)
				}
			}
			return
		default:
			r.Set(always, Secret("ROTATING", fmt.Sprintf("rotating-%d", n%10)))
		}
	}
}

// A value does not print itself.
func TestValueHidesItsSecret(t *testing.T) {
	v := Secret("NAME", "hunter2!x")
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, of := range []any{v, &v, []Value{v}, struct{ v Value }{v}, map[string]Value{"k": v}} {
			text := fmt.Sprintf(format, of)
			if strings.Contains(text, "hunter2!x") || strings.Contains(text, "68756e74657232") || strings.Contains(text, "104 117 110") {
				t.Errorf("%s: %s", format, text)
			}
		}
	}
	if _, err := v.MarshalText(); err == nil {
		t.Error("it marshals")
	}
	if v.Name() != "NAME" || v.LogValue().String() != hidden {
		t.Errorf("%s, %s", v.Name(), v.LogValue())
	}
}

func TestBytesLeavesItsArgument(t *testing.T) {
	r := New()
	r.Set(Secret("A", "hunter2!x"))
	in := []byte("pw=hunter2!x;")
	r.Bytes(in)
	if string(in) != "pw=hunter2!x;" {
		t.Errorf("%q", in)
	}
}

func FuzzAnythingCanBeAValue(f *testing.F) {
	f.Add([]byte("p\u00e4ss<w>&'\"\\\x00\x7f\xff\U0001f511 \n$`!/+%"))
	f.Fuzz(func(t *testing.T, secret []byte) {
		r := New()
		if r.Set(Secret("A", secret)) != nil {
			return
		}
		for _, form := range formsOf(Secret("A", secret)) {
			if got := r.String("<" + string(form) + ">"); got != "<[redacted]>" {
				t.Errorf("%q became %q", form, got)
			}
		}
	})
}
