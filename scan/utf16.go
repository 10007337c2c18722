package scan

import (
	"bytes"
	"io"
	"sort"
	"unicode/utf16"
	"unicode/utf8"
)

// utf16Order says in which order b, the beginning of a text, has the bytes of
// UTF-16, if it is that, and how long its mark is.
func utf16Order(b []byte) (big bool, mark int, ok bool) {
	switch {
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}) && !bytes.HasPrefix(b, []byte{0xff, 0xfe, 0, 0}):
		return false, 2, true
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		return true, 2, true
	}
	b = b[:min(len(b), 512)&^1]
	even, odd, text := 0, 0, 0
	for i := 0; i < len(b); i += 2 {
		switch {
		case b[i] == 0 && b[i+1] != 0:
			even++
		case b[i+1] == 0 && b[i] != 0:
			odd++
		}
		if c := b[i] | b[i+1]; c >= ' ' && c < 0x7f || isSpace(c) {
			text++
		}
	}
	units := len(b) / 2
	if units < 4 || text*10 < units*9 {
		return false, 0, false
	}
	return even*10 > units*8, 0, even*10 > units*8 || odd*10 > units*8
}

// utf16Text returns the text of b as UTF-8, if it is UTF-16.
func utf16Text(b []byte) ([]byte, bool) {
	big, mark, ok := utf16Order(b)
	if !ok {
		return nil, false
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(newUTF16Reader(bytes.NewReader(b[mark:]), big, int64(mark))); err != nil {
		return nil, false
	}
	return text.Bytes(), true
}

// utf16Reader reads UTF-16 as UTF-8, and remembers what stands where.
type utf16Reader struct {
	r    io.Reader
	big  bool
	in   []byte // not decoded yet
	out  []byte // not read yet
	err  error
	from int64 // offset of in
	to   int64 // offset of what is decoded next

	marks []utf16Mark // in order
}

// utf16Mark says that the text at to is what stands in the file at from.
type utf16Mark struct{ from, to int64 }

// utf16Block is how much is decoded at once.
const utf16Block = 32 << 10

func newUTF16Reader(r io.Reader, big bool, from int64) *utf16Reader {
	return &utf16Reader{r: r, big: big, from: from}
}

// Read implements [io.Reader].
func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		u.fill()
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

func (u *utf16Reader) fill() {
	kept := len(u.in)
	b := append(make([]byte, 0, kept+utf16Block), u.in...)[:kept+utf16Block]
	n, err := fill(u.r, b[kept:])
	b, u.err = b[:kept+n], err
	u.marks = append(u.marks, utf16Mark{u.from, u.to})
	u.out = u.out[:0]
	i := 0
	for ; i+1 < len(b); i += 2 {
		r := u.unit(b[i:])
		if utf16.IsSurrogate(r) {
			if i+3 >= len(b) && err == nil {
				break // its other half comes with the next block
			}
			if i+3 < len(b) {
				if full := utf16.DecodeRune(r, u.unit(b[i+2:])); full != utf8.RuneError {
					r = full
					i += 2
				}
			}
		}
		u.out = utf8.AppendRune(u.out, r)
	}
	u.in = append(u.in[:0], b[i:]...)
	u.from += int64(i)
	u.to += int64(len(u.out))
}

func (u *utf16Reader) unit(b []byte) rune {
	if u.big {
		return rune(b[0])<<8 | rune(b[1])
	}
	return rune(b[1])<<8 | rune(b[0])
}

// toFile maps an offset in the text to one in the file, exactly if what stands
// before it in its block is ASCII.
func (u *utf16Reader) toFile(at int64) int64 {
	i := sort.Search(len(u.marks), func(i int) bool { return u.marks[i].to > at }) - 1
	if i < 0 {
		return at
	}
	return u.marks[i].from + 2*(at-u.marks[i].to)
}
