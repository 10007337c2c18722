package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// logMode lets the group read the log.
const logMode = 0o640

// Rotation is when a log file is put aside, and what becomes of the old ones.
type Rotation struct {
	MaxBytes int64         // size that a file does not exceed; zero: any
	MaxAge   time.Duration // age at which a file is put aside; zero: none is for its age
	MaxOld   int           // old files to keep; zero: all, below zero: none
}

// LogFile is the file of a server's log. A file that is put aside lies beside it
// as coffer-1767323045.log, by the Unix time at which that was, if the log is
// coffer.log. It is safe for concurrent use. [LogFile.Close] it.
type LogFile struct {
	path  string
	limit Rotation
	now   func() time.Time
	errs  io.Writer

	mu   sync.Mutex // guards the fields below
	file *os.File
	size int64
	born time.Time // of the file, as far as that is known
	hold time.Time // no file is put aside before, as it failed
}

// holdTime is how long after a failure a file is not put aside: one line about it
// in that time is enough.
const holdTime = time.Minute

var _ io.WriteCloser = (*LogFile)(nil)

// OpenLogFile opens the file at path, or makes it. now is the clock. What goes
// wrong with putting files aside is told to errs, a line each: the log itself
// goes on in the old file.
func OpenLogFile(path string, limit Rotation, now func() time.Time, errs io.Writer) (*LogFile, error) {
	l := &LogFile{path: path, limit: limit, now: now, errs: errs}
	if err := l.openLocked(); err != nil {
		return nil, err
	}
	return l, nil
}

// openLocked replaces the open file by the one at the path, if that can be
// opened. A file that was begun by another process is at least as old as its last
// line.
func (l *LogFile) openLocked() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, logMode)
	if err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("log file: %w", err), f.Close())
	}
	born := l.now()
	if info.Size() > 0 && info.ModTime().Before(born) {
		born = info.ModTime()
	}
	if l.file != nil {
		if before, err := l.file.Stat(); err == nil && os.SameFile(before, info) {
			born = l.born
		}
		l.file.Close() // nothing is buffered
	}
	l.file, l.size, l.born = f, info.Size(), born
	return nil
}

// Write appends a line, to a new file if the one in use is full or old.
func (l *LogFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dueLocked(len(line)) {
		if err := l.rotateLocked(); err != nil {
			l.hold = l.now().Add(holdTime)
			fmt.Fprintf(l.errs, "the log file is not put aside: %v\n", err)
		}
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	return n, err
}

// dueLocked says whether more bytes do not belong into the file. An empty one is
// never put aside.
func (l *LogFile) dueLocked(more int) bool {
	full := l.limit.MaxBytes > 0 && l.size+int64(more) > l.limit.MaxBytes
	now := l.now()
	old := l.limit.MaxAge > 0 && now.Sub(l.born) >= l.limit.MaxAge
	return l.size > 0 && (full || old) && !now.Before(l.hold)
}

// rotateLocked puts the file aside and begins another.
func (l *LogFile) rotateLocked() error {
	aside, err := l.asideLocked(l.now())
	if err != nil {
		return err
	}
	// Something else may have put the file aside already; then there is none.
	if err := os.Rename(l.path, aside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := l.openLocked(); err != nil {
		return err
	}
	return l.prune()
}

// asideLocked is a free name for the file that is put aside: of two in the same
// second the later one gets the next.
func (l *LogFile) asideLocked(now time.Time) (string, error) {
	stem, ext := l.parts()
	for at := now.Unix(); ; at++ {
		name := stem + strconv.FormatInt(at, 10) + ext
		if _, err := os.Lstat(name); errors.Is(err, os.ErrNotExist) {
			return name, nil
		} else if err != nil {
			return "", err
		}
	}
}

// parts are what stands around the time in the names of old files.
func (l *LogFile) parts() (stem, ext string) {
	ext = filepath.Ext(l.path)
	return strings.TrimSuffix(l.path, ext) + "-", ext
}

// prune deletes the oldest of the old files.
func (l *LogFile) prune() error {
	if l.limit.MaxOld == 0 {
		return nil
	}
	old, err := l.old()
	if err != nil {
		return err
	}
	for len(old) > max(l.limit.MaxOld, 0) {
		stem, ext := l.parts()
		err = errors.Join(err, os.Remove(stem+strconv.FormatInt(old[0], 10)+ext))
		old = old[1:]
	}
	return err
}

// old returns the times of the files that were put aside, the oldest first.
func (l *LogFile) old() ([]int64, error) {
	entries, err := os.ReadDir(filepath.Dir(l.path))
	if err != nil {
		return nil, err
	}
	stem, ext := l.parts()
	var times []int64
	for _, e := range entries {
		rest, isOurs := strings.CutPrefix(e.Name(), filepath.Base(stem))
		digits, hasExt := strings.CutSuffix(rest, ext)
		at, err := strconv.ParseInt(digits, 10, 64)
		if isOurs && hasExt && err == nil && strconv.FormatInt(at, 10) == digits && e.Type().IsRegular() {
			times = append(times, at)
		}
	}
	slices.Sort(times)
	return times, nil
}

// Reopen goes on in the file that is at the path now: something else may have
// put the open one aside.
func (l *LogFile) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.openLocked()
}

// Close closes the file.
func (l *LogFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
