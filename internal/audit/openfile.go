package audit

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// openFile returns the sink that file_path names: a file, "stdout", or "discard".
// The space on a file's disk is low below warnFree bytes.
func openFile(path string, mode fs.FileMode, warnFree int64) (Sink, error) {
	switch path {
	case "discard":
		return discard{}, nil
	case "stdout":
		return newFile("", openStdout)
	}
	f, err := newFile(path, func() (opened, error) { return openPath(path, mode) })
	if err != nil {
		return nil, err
	}
	if f.current.info.Mode().IsRegular() {
		f.disk = newDisk(path, warnFree)
	}
	return f, nil
}

// openPath opens the file at path for appending, with mode; zero leaves an
// existing file's mode alone.
func openPath(path string, mode fs.FileMode) (o opened, err error) {
	create := mode
	if mode == 0 {
		create = defaultMode
	}
	flags := os.O_WRONLY | os.O_APPEND | os.O_CREATE
	if isPipe(path) {
		flags |= syscall.O_NONBLOCK // otherwise opening it waits for a reader
	}
	f, err := os.OpenFile(path, flags, create)
	if err != nil {
		return opened{}, err
	}
	defer func() {
		if err != nil {
			f.Close() // nothing was written
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return opened{}, err
	}
	if info.Mode()&fs.ModeNamedPipe != 0 {
		return opened{target: &pipe{File: f, patience: pipeTime}, info: info}, nil
	}
	if !info.Mode().IsRegular() {
		return opened{target: f, info: info}, nil
	}
	if mode != 0 && info.Mode().Perm() != mode {
		if err := f.Chmod(mode); err != nil {
			return opened{}, err
		}
	}
	return opened{target: f, info: info, size: info.Size(), torn: endsTorn(path, info.Size()), named: info.Size() > 0}, nil
}

// endsTorn says whether the last line of a file has no end, as after a crash. A
// file that can't be read is taken to be well.
func endsTorn(path string, size int64) bool {
	if size == 0 {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var last [1]byte
	_, err = f.ReadAt(last[:], size-1)
	return err == nil && last[0] != '\n'
}

// reasonOf returns why a file can't be opened, without repeating its name.
func reasonOf(err error) string {
	if errors.Is(err, syscall.ENXIO) {
		return "nobody reads from this pipe"
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}

// stdout is the program's standard output. It is neither closed nor cut, as it
// may be anything.
type stdout struct{ *os.File }

var errStdout = errors.New("audit: standard output is not cut")

// Close leaves it open.
func (stdout) Close() error { return nil }

// Truncate refuses.
func (stdout) Truncate(int64) error { return errStdout }

func openStdout() (opened, error) { return opened{target: stdout{os.Stdout}}, nil }

// discard is a sink that forgets, for tests of what auditing costs.
type discard struct{}

var _ Sink = discard{}

// Write records nothing.
func (discard) Write(context.Context, []byte, durability) error { return nil }

// Reopen does nothing.
func (discard) Reopen() error { return nil }

// Close does nothing.
func (discard) Close() error { return nil }
