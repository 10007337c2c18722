package scan

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
)

// Input is one thing to search: a file, a blob, the standard input.
type Input struct {
	Path string // with slashes; its name decides what some values mean
	R    io.Reader
	Data []byte // in place of R, if that is nil: all of it

	// Size is the length of R if that is an [io.ReaderAt], as a file is. Zip archives
	// without it are held in memory.
	Size int64
}

// Sink takes what a scan finds. Its functions are not called at the same time for
// one Scan, but are for several.
type Sink struct {
	Found func(Finding)

	// Skipped tells of what could not be searched, and why: a member that is damaged,
	// an archive that is too big. A scan that skipped something does not say that
	// there are no secrets. May be nil.
	Skipped func(path string, err error)
}

func (s Sink) skipped(path string, err error) {
	if s.Skipped != nil {
		s.Skipped(path, err)
	}
}

// Reasons for which something is skipped.
var (
	ErrTooBig    = errors.New("scan: an archive, or what it expands to, is too big")
	ErrTooDeep   = errors.New("scan: archives in archives go too deep")
	ErrDamaged   = errors.New("scan: an archive is damaged")
	ErrEncrypted = errors.New("scan: an archive is encrypted")
)

// Scan searches in and everything in it. It uses all workers for a single long
// input. An error is R's or the context's.
func (s *Scanner) Scan(ctx context.Context, in Input, to Sink) error {
	o := &opener{scanner: s, sink: to, left: s.opts.MaxExpanded}
	if in.R == nil {
		head := in.Data[:min(len(in.Data), sniffed)]
		_, _, wide := utf16Order(head)
		if len(in.Data) <= coreBytes+marginAfter && !wide && (s.opts.Archives <= 0 || archiveOf(head, in.Path) == noArchive) {
			o.plain(in)
			return ctx.Err()
		}
		in.R, in.Size = bytes.NewReader(in.Data), int64(len(in.Data))
	}
	return o.scan(ctx, in, 0, nil)
}

// opener searches one input with all that is in it.
type opener struct {
	scanner *Scanner
	sink    Sink
	left    int64 // bytes that archives may still expand to
}

// plain searches text that is all here.
func (o *opener) plain(in Input) {
	m := newMerger(o.scanner, placeOf(in.Path), o.sink.Found)
	m.place.look(in.Data[:min(len(in.Data), sniffed)])
	m.add(o.scanner.piece(m.place, in.Data, span{0, len(in.Data)}, 0))
	m.close()
}

// scan searches in, which is so many archives deep; done are what was undone to
// get at it.
func (o *opener) scan(ctx context.Context, in Input, depth int, done []string) error {
	r := bufio.NewReaderSize(in.R, sniffed)
	head, _ := r.Peek(sniffed) // its error comes again where what precedes it ends
	if o.scanner.opts.Archives > 0 {
		if kind := archiveOf(head, in.Path); kind != noArchive {
			return o.open(ctx, kind, in, r, depth, done)
		}
	}
	m := newMerger(o.scanner, placeOf(in.Path), o.sink.Found)
	m.decoded = done
	if big, mark, ok := utf16Order(head); ok {
		if _, err := r.Discard(mark); err != nil {
			return err
		}
		u := newUTF16Reader(r, big, int64(mark))
		m.toFile = u.toFile
		m.decoded = append(done[:len(done):len(done)], "utf-16")
		return o.scanner.stream(ctx, u, m)
	}
	return o.scanner.stream(ctx, r, m)
}
