package scan

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// archive is a form of file with others in it.
type archive uint8

const (
	noArchive archive = iota
	archiveGzip
	archiveBzip2
	archiveZlib
	archiveZip
	archiveTar
)

// Limits on archives, beside those of Options. A bomb is told by its ratio once it
// has grown to more than a file would.
const (
	maxMembers = 100_000
	maxRatio   = 200
	freeBytes  = 16 << 20 // below which no ratio matters
)

// archiveOf tells an archive by its first bytes.
func archiveOf(head []byte, name string) archive {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b, 8}):
		return archiveGzip
	case bytes.HasPrefix(head, []byte("BZh")) && len(head) > 10 && bytes.HasPrefix(head[4:], []byte("1AY&SY")):
		return archiveBzip2
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return archiveZip
	case len(head) > 262 && bytes.HasPrefix(head[257:], []byte("ustar")):
		return archiveTar
	case (strings.HasSuffix(name, ".zlib") || strings.HasSuffix(name, ".zz")) && len(head) > 2 && head[0]&0xf == 8:
		return archiveZlib
	}
	return noArchive
}

// open searches what is in an archive. What is wrong with it is told to the sink;
// an error is the context's.
func (o *opener) open(ctx context.Context, kind archive, in Input, r io.Reader, depth int, done []string) error {
	if depth >= o.scanner.opts.Archives {
		o.sink.skipped(in.Path, ErrTooDeep)
		return ctx.Err()
	}
	var err error
	switch kind {
	case archiveZip:
		err = o.zip(ctx, in, r, depth, done)
	case archiveTar:
		err = o.tar(ctx, in.Path, r, depth, done)
	default:
		err = o.compressed(ctx, kind, in.Path, r, depth, done)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		if !errors.Is(err, ErrTooBig) && !errors.Is(err, ErrEncrypted) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		o.sink.skipped(in.Path, err)
	}
	return nil
}

// compressed searches what one stream expands to; it has the archive's own name,
// less its last extension.
func (o *opener) compressed(ctx context.Context, kind archive, path string, r io.Reader, depth int, done []string) error {
	counted := &counter{r: r}
	var inner io.Reader
	var err error
	how := "gzip"
	switch kind {
	case archiveBzip2:
		inner, how = bzip2.NewReader(counted), "bzip2"
	case archiveZlib:
		inner, err = zlib.NewReader(counted)
		how = "zlib"
	default:
		inner, err = gzip.NewReader(counted)
	}
	if err != nil {
		return err
	}
	name := path
	for _, ext := range []string{".gz", ".bz2", ".zlib", ".zz", ".tgz"} {
		if rest, ok := strings.CutSuffix(path, ext); ok {
			name = rest
		}
	}
	return o.scan(ctx, Input{Path: name, R: &expanded{o: o, r: inner, in: counted}}, depth+1, append(done[:len(done):len(done)], how))
}

func (o *opener) tar(ctx context.Context, path string, r io.Reader, depth int, done []string) error {
	t := tar.NewReader(r)
	for n := 0; ; n++ {
		h, err := t.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case n >= maxMembers:
			return ErrTooBig
		case h.Typeflag != tar.TypeReg:
			continue
		}
		if err := o.scan(ctx, Input{Path: memberPath(path, h.Name), R: &expanded{o: o, r: t}}, depth+1, append(done[:len(done):len(done)], "tar")); err != nil {
			return err
		}
	}
}

func memberPath(archive, member string) string {
	return archive + "!/" + strings.TrimLeft(strings.ReplaceAll(member, "\\", "/"), "/")
}

// zip searches the members of a zip archive, which needs to be read from its end.
func (o *opener) zip(ctx context.Context, in Input, r io.Reader, depth int, done []string) error {
	at, ok := in.R.(io.ReaderAt)
	size := in.Size
	if !ok || size <= 0 {
		all, err := io.ReadAll(io.LimitReader(r, o.scanner.opts.MaxMember+1))
		if err != nil {
			return err
		}
		if int64(len(all)) > o.scanner.opts.MaxMember {
			return ErrTooBig
		}
		at, size = bytes.NewReader(all), int64(len(all))
	}
	z, err := zip.NewReader(at, size)
	if err != nil {
		return err
	}
	if len(z.File) > maxMembers {
		return ErrTooBig
	}
	for _, f := range z.File {
		if f.FileInfo().IsDir() {
			continue
		}
		path := memberPath(in.Path, f.Name)
		if f.Flags&1 != 0 {
			o.sink.skipped(path, ErrEncrypted)
			continue
		}
		if err := o.zipMember(ctx, f, path, depth, done); err != nil {
			if ctx.Err() != nil || errors.Is(err, ErrTooBig) {
				return err
			}
			o.sink.skipped(path, fmt.Errorf("%w: %w", ErrDamaged, err))
		}
	}
	return nil
}

func (o *opener) zipMember(ctx context.Context, f *zip.File, path string, depth int, done []string) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	in := &counter{n: int64(f.CompressedSize64)}
	return o.scan(ctx, Input{Path: path, R: &expanded{o: o, r: r, in: in}}, depth+1, append(done[:len(done):len(done)], "zip"))
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

// Read implements [io.Reader].
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// expanded reads what an archive expands to, up to what is left of the limits.
type expanded struct {
	o   *opener
	r   io.Reader
	in  *counter // nil: not compressed
	out int64
}

// Read implements [io.Reader].
func (e *expanded) Read(p []byte) (int, error) {
	if e.o.left <= 0 || (e.in != nil && e.out > freeBytes && e.out > maxRatio*e.in.n) {
		return 0, ErrTooBig
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.o.left)])
	e.o.left -= int64(n)
	e.out += int64(n)
	return n, err
}
