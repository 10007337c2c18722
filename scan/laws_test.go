package scan

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cofferhq/coffer/scan/rules"
)

// show is all of a finding that must not depend on how it was found.
func show(found []Finding) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s %s %d:%d+%d-%d:%d+%d %q %q %.3f %v %v\n", f.RuleID, f.Path, f.Start.Line, f.Start.Column, f.Start.Offset,
			f.End.Line, f.End.Column, f.End.Offset, f.Secret.Reveal(), f.Match.Reveal(), f.Confidence, f.Checked, f.Decoded)
	}
	return b.String()
}

// inPieces searches data as a stream whose cores have so many bytes.
func inPieces(s *Scanner, path string, data []byte, size int) []Finding {
	var found []Finding
	m := newMerger(s, placeOf(path), func(f Finding) { found = append(found, f) })
	m.place.look(data[:min(len(data), sniffed)])
	c := cutter{r: iotest.HalfReader(bytes.NewReader(data)), size: size, pool: &s.buffers}
	for p := c.next(); p != nil; p = c.next() {
		m.add(s.piece(m.place, p.b, p.core, p.offset))
		c.free(p)
	}
	m.close()
	return found
}

// whole searches data in one piece.
func whole(s *Scanner, path string, data []byte) []Finding {
	var found []Finding
	m := newMerger(s, placeOf(path), func(f Finding) { found = append(found, f) })
	m.place.look(data[:min(len(data), sniffed)])
	m.add(s.piece(m.place, data, span{0, len(data)}, 0))
	m.close()
	return found
}

// examples are texts with and without secrets, as fuzzing begins with.
func examples() []string {
	var all []string
	for _, r := range rules.All() {
		all = append(all, r.Examples...)
		all = append(all, r.Not...)
	}
	return all
}

// Where a stream is cut must not matter.
func TestCutsDoNotMatter(t *testing.T) {
	s := newScanner(t, Options{Threshold: -1})
	random := rand.New(rand.NewPCG(1, 2))
	texts := examples()
	var data []byte
	for len(data) < 600_000 {
		data = append(data, texts[random.IntN(len(texts))]...)
		data = append(data, []string{"\n", "\n\n", " ", "\t", ";", strings.Repeat("x ", random.IntN(2000)), strings.Repeat("A", random.IntN(100)) + "\n"}[random.IntN(7)]...)
	}
	want := show(whole(s, "x.txt", data))
	for _, size := range []int{1 << 10, 4096, 31_337, 100_000, 1 << 20} {
		if got := show(inPieces(s, "x.txt", data, size)); got != want {
			t.Errorf("in pieces of %d: %s", size, firstDifference(want, got))
		}
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("finding %d: %s\nwant %s", i, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d findings, want %d", len(g), len(w))
}

func FuzzCutsDoNotMatter(f *testing.F) {
	s := newScanner(f, Options{Threshold: -1})
	for i, text := range examples() {
		f.Add([]byte(text), []byte(examples()[(i*7)%len(examples())]), uint16(1000), uint16(i*31))
	}
	f.Fuzz(func(t *testing.T, a, b []byte, size, gap uint16) {
		data := slices.Concat(a, bytes.Repeat([]byte("\nab "), int(gap)/4), b)
		want, got := show(whole(s, "f.env", data)), show(inPieces(s, "f.env", data, max(1024, int(size))))
		if want != got {
			t.Errorf("in pieces: %s\nwhole: %s", got, want)
		}
	})
}

// The table must find each keyword that is there, and none that is not.
func FuzzTableFindsWhatIsThere(f *testing.F) {
	s := newScanner(f, Options{})
	for _, text := range examples() {
		f.Add([]byte(text))
	}
	type hit struct {
		word string
		at   int
	}
	order := func(a, b hit) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.word, b.word)) }
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, want []hit
		s.table.each(b, 0, len(b), func(w *keyword, at int) { got = append(got, hit{w.text, at}) })
		for _, w := range s.table.words {
			for i := range b {
				if i+len(w.text) > len(b) || !hasWord(b, i, w.text) {
					continue
				}
				if len(w.text) > 3 || (i+3 < len(b) && strings.IndexByte(followers, b[i+3]|0x20) >= 0) {
					want = append(want, hit{w.text, i})
				}
			}
		}
		slices.SortFunc(got, order)
		slices.SortFunc(want, order)
		got = slices.DeleteFunc(got, func(h hit) bool { return len(h.word) == 3 })
		want = slices.DeleteFunc(want, func(h hit) bool { return len(h.word) == 3 })
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// No input may crash the scanner, or have it point outside of the text.
func FuzzAnyBytes(f *testing.F) {
	s := newScanner(f, Options{Threshold: -1, MaxExpanded: 1 << 20, MaxMember: 1 << 20})
	for i, text := range examples() {
		f.Add([]byte(text), []string{"a.go", ".env", "x.yaml", "f.json", ".pgpass", "Dockerfile", "x"}[i%7])
	}
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		sink := Sink{Found: func(f Finding) {
			if f.Start.Line < 1 || f.Start.Column < 1 || f.End.Offset < f.Start.Offset || (f.Decoded == nil && f.End.Offset > int64(len(data))) {
				t.Errorf("at %v to %v", f.Start, f.End)
			}
			if f.Decoded == nil && f.End.Offset-f.Start.Offset > int64(len(data)) {
				t.Error("longer than the text")
			}
		}}
		if err := s.Scan(context.Background(), Input{Path: name, R: bytes.NewReader(data)}, sink); err != nil {
			t.Error(err)
		}
	})
}

// Shapes must agree with package regexp, which they stand in for.
func FuzzShapesAgreeWithRegexp(f *testing.F) {
	for _, text := range examples() {
		f.Add([]byte(text))
	}
	type pair struct{ fast, slow *shape }
	var pairs []pair
	for _, r := range rules.All() {
		if r.Token == "" {
			continue
		}
		fast, err := compileShape(r.Token)
		if err != nil {
			f.Fatal(err)
		}
		if fast.regexp != nil {
			f.Errorf("%s: only package regexp can match %s", r.ID, r.Token)
		}
		slow, err := compileRegexpShape(r.Token)
		if err != nil {
			f.Fatal(err)
		}
		pairs = append(pairs, pair{fast, slow})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for i := range min(len(b), 200) {
			for _, p := range pairs {
				end, group, ok := p.fast.match(b, i)
				end2, group2, ok2 := p.slow.match(b, i)
				if end != end2 || group != group2 || ok != ok2 {
					t.Fatalf("at %d: %d %v %t, regexp: %d %v %t", i, end, group, ok, end2, group2, ok2)
				}
			}
		}
	})
}

// A secret is found once, at its place, wherever a piece ends.
func TestFindingsAcrossCutsAreToldOnce(t *testing.T) {
	s := newScanner(t, Options{Workers: 2})
	const secret = "k3Vq8sLm2x"
	for _, at := range []int{coreBytes - 30, coreBytes - 15, coreBytes - 10, coreBytes, coreBytes + 7, 2*coreBytes - 12} {
		var b bytes.Buffer
		for b.Len() < at {
			b.WriteString("some text\n")
		}
		b.Truncate(at)
		line := bytes.Count(b.Bytes(), []byte("\n")) + 1
		column := at - bytes.LastIndexByte(b.Bytes(), '\n') + len(`"password":"`)
		b.WriteString(`"password":"` + secret + `"` + "\n" + strings.Repeat("more text\n", 300_000))
		var found []Finding
		err := s.Scan(context.Background(), Input{Path: "x", R: &b}, Sink{Found: func(f Finding) { found = append(found, f) }})
		if err != nil || len(found) != 1 || found[0].Secret.Reveal() != secret || found[0].Start.Line != line || found[0].Start.Column != column {
			t.Errorf("at %d: %v, %swant line %d, column %d", at, err, show(found), line, column)
		}
	}
}

// noise gives so many bytes without line ends.
type noise struct{ left int }

func (n *noise) Read(p []byte) (int, error) {
	if n.left == 0 {
		return 0, io.EOF
	}
	m := min(len(p), n.left)
	for i := range p[:m] {
		p[i] = "var a = 4711; "[i%14]
	}
	n.left -= m
	return m, nil
}

func TestALongLineNeedsLittleMemory(t *testing.T) {
	s := newScanner(t, Options{Workers: 2})
	var peak uint64
	in := io.TeeReader(&noise{left: 48 << 20}, writerFunc(func(p []byte) {
		var m runtime.MemStats
		if rand.IntN(200) == 0 {
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	}))
	if err := s.Scan(context.Background(), Input{Path: "x.js", R: in}, Sink{Found: func(Finding) {}}); err != nil {
		t.Fatal(err)
	}
	if peak > 64<<20 {
		t.Errorf("%d MiB", peak>>20)
	}
}

type writerFunc func(p []byte)

func (w writerFunc) Write(p []byte) (int, error) { w(p); return len(p), nil }

func TestAReadersErrorIsTold(t *testing.T) {
	s := newScanner(t, Options{})
	broken := errors.New("broken")
	var found []Finding
	in := io.MultiReader(strings.NewReader(`password = "k3Vq8sLm2x"`+"\n"), iotest.ErrReader(broken))
	err := s.Scan(context.Background(), Input{Path: "x", R: in}, Sink{Found: func(f Finding) { found = append(found, f) }})
	if !errors.Is(err, broken) || len(found) != 1 {
		t.Errorf("%v, %d findings", err, len(found))
	}
}
