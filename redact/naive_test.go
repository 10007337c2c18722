package redact

import (
	"bytes"
	"strings"
	"testing"
)

// naive removes values as the documentation says, by looking for each form of
// each value at each place. It returns the text between markers, too.
func naive(data []byte, values []Value, names bool) (out []byte, kept [][]byte) {
	covered := make([]bool, len(data)) // by an occurrence
	joined := make([]bool, len(data))  // with the byte before, by an occurrence
	type first struct{ length, value int }
	begins := map[int]first{} // place → the longest occurrence that begins there
	for i, v := range values {
		for _, form := range formsOf(v) {
			for at := 0; ; at++ {
				n := bytes.Index(data[at:], form)
				if n < 0 {
					break
				}
				at += n
				if b, ok := begins[at]; !ok || b.length < len(form) {
					begins[at] = first{len(form), i}
				}
				for j := range form {
					covered[at+j] = true
					joined[at+j] = joined[at+j] || j > 0
				}
			}
		}
	}
	piece := []byte{}
	for i, b := range data {
		switch {
		case !covered[i]:
			out, piece = append(out, b), append(piece, b)
		case !joined[i]:
			kept, piece = append(kept, piece), []byte{}
			out = append(out, markerOf(values[begins[i].value], names)...)
		}
	}
	return out, append(kept, piece)
}

func markerOf(v Value, names bool) string {
	if names && v.Name() != "" {
		return "[redacted:" + v.Name() + "]"
	}
	return "[redacted]"
}

// formsOf returns all that is looked for on account of a value.
func formsOf(v Value) [][]byte {
	if v.floor() != "" {
		return nil
	}
	var all [][]byte
	f := newForms(func(form []byte) { all = append(all, bytes.Clone(form)) })
	for _, part := range partsOf(v.reveal()) {
		f.all(part)
	}
	return all
}

// pass sends data through a Writer in chunks of these sizes, again and again.
func pass(t testing.TB, r *Redactor, data []byte, sizes ...int) string {
	t.Helper()
	var out bytes.Buffer
	w := r.Writer(&out)
	for i := 0; len(data) > 0; i++ {
		n := min(max(1, sizes[i%len(sizes)]), len(data))
		if wrote, err := w.Write(data[:n]); wrote != n || err != nil {
			t.Fatalf("Write: %d, %v; want %d", wrote, err, n)
		}
		data = data[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Whatever is written in whatever chunks, the output is the naive one: no value
// above the floor is left in any form, and all else is as it was.
func FuzzWriterIsTheNaiveOne(f *testing.F) {
	f.Add([]byte("user=app password=hunter2!x\n"), []byte("hunter2!x"), []byte("er2!x\nend"), uint8(3), uint8(1))
	f.Add([]byte("abcabdabcabdabcabe"), []byte("abcabd"), []byte("cabdab"), uint8(1), uint8(7))
	f.Add([]byte(`{"k":"aGVsbG8gd29ybGQ="} hello%20world hello\u0020world`), []byte("hello world"), []byte("\x00\xff<&>'\""), uint8(5), uint8(2))
	f.Add([]byte("line one\r\nline two\r\n"), []byte("line one\nline two\n"), []byte("-----BEGIN A-----\nabcdefgh\n-----END A-----"), uint8(4), uint8(9))
	f.Fuzz(func(t *testing.T, data, one, two []byte, a, b uint8) {
		values := []Value{Secret("ONE", one), Secret("", two)}
		data = plant(data, values, int(a)*256+int(b))
		r := New(WithNames())
		r.Set(values...)
		want, kept := naive(data, values, true)
		if got := pass(t, r, data, int(a), int(b)); got != string(want) {
			t.Errorf("in chunks of %d and %d:\n%q\nnaive:\n%q\nof %q", a, b, got, want, data)
		}
		if got := r.Bytes(data); string(got) != string(want) {
			t.Errorf("at once:\n%q\nnaive:\n%q", got, want)
		}
		for _, v := range values {
			for _, form := range formsOf(v) {
				for _, piece := range kept {
					if bytes.Contains(piece, form) {
						t.Fatalf("%q is left in %q", form, piece)
					}
				}
			}
		}
	})
}

// plant puts some form of a value into data, and the beginning of another.
func plant(data []byte, values []Value, seed int) []byte {
	var forms [][]byte
	for _, v := range values {
		forms = append(forms, formsOf(v)...)
	}
	if len(forms) == 0 {
		return data
	}
	whole := forms[seed%len(forms)]
	part := forms[seed/3%len(forms)]
	at := seed % (len(data) + 1)
	return bytes.Join([][]byte{data[:at], whole, part[:seed%len(part)], data[at:], whole[seed%len(whole):]}, nil)
}

// Few letters make many occurrences that overlap.
func FuzzOverlapsAreTheNaiveOnes(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 0, 1, 2, 3, 1, 2, 3, 0}, []byte{0, 1, 2, 3, 0, 1, 1}, []byte{1, 2, 3, 3, 3, 2, 0, 1}, []byte{3, 0, 1, 2, 3, 1}, uint8(2))
	f.Fuzz(func(t *testing.T, data, one, two, three []byte, size uint8) {
		const alphabet = "abcd"
		letters := func(p []byte) string {
			return strings.Map(func(r rune) rune { return rune(alphabet[r&3]) }, string(bytes.ToValidUTF8(p, nil)))
		}
		values := []Value{Secret("1", letters(one)), Secret("2", letters(two)), Secret("3", letters(three))}
		text := []byte(letters(data))
		text = append(text, letters(one)[len(letters(one))/2:]+letters(two)+letters(three)+letters(one)...)
		r := New(WithNames())
		r.Set(values...)
		want, _ := naive(text, values, true)
		if got := pass(t, r, text, int(size)); got != string(want) {
			t.Errorf("in chunks of %d: %q; naive: %q; of %q", size, got, want, text)
		}
	})
}
