package pebble

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fuse blows when a write fails after which it is unknown what the disk holds
// of the log. From then on nothing is written, deleted or renamed any more: the
// folder stays as a power cut would leave it, for the next Open to recover.
//
// Pebble itself would exit or panic in that place, some of it with locks held
// or from goroutines where nobody can recover. So a failed write to its log is
// hidden from it, see guardedFile, and whoever commits asks the fuse before
// telling anybody of success.
//
// Other failed writes, such as that of a table to a full disk, do not blow it:
// the log has what they would have written, and Pebble tries again.
type fuse struct {
	log    *slog.Logger
	cause  atomic.Pointer[error]
	failed atomic.Int64  // when a write that will be repeated failed last, in Unix nanoseconds
	pauses atomic.Bool   // between opening and closing: pause takes its time
	ending chan struct{} // closed by hurry
}

func newFuse(log *slog.Logger) *fuse { return &fuse{log: log, ending: make(chan struct{})} }

// retryPause slows Pebble down, which repeats a failed flush without a pause.
const retryPause = time.Second

// blow ends all writing, and says so once; while opening, Open returns it.
func (f *fuse) blow(cause error) {
	if f.cause.CompareAndSwap(nil, &cause) && f.pauses.Load() {
		f.log.Error("the disk failed under the storage, which from here on only reads: mend the disk, then restart the server",
			"error", cause)
	}
}

// err returns why the fuse has blown, or nil.
func (f *fuse) err() error {
	if cause := f.cause.Load(); cause != nil {
		return *cause
	}
	return nil
}

// refuse returns the error of whatever would write, or nil if the fuse is whole.
func (f *fuse) refuse() error {
	cause := f.err()
	if cause == nil {
		return nil
	}
	f.pause()
	return fmt.Errorf("nothing is written after: %w", cause)
}

// stumble remembers that a write failed that will be repeated.
func (f *fuse) stumble() { f.failed.Store(time.Now().UnixNano()) }

// steady waits a moment if a write failed just now.
func (f *fuse) steady() {
	if time.Since(time.Unix(0, f.failed.Load())) < retryPause {
		f.pause()
	}
}

func (f *fuse) pause() {
	if !f.pauses.Load() {
		return
	}
	pause := time.NewTimer(retryPause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-f.ending:
	}
}

// hurry ends all pauses. It is called once, by Close.
func (f *fuse) hurry() {
	f.pauses.Store(false)
	close(f.ending)
}

// guardedFS is a file system behind a fuse.
type guardedFS struct {
	vfs.FS
	fuse *fuse
}

func isLog(name string) bool { return strings.HasSuffix(name, ".log") }

func (g guardedFS) Unwrap() vfs.FS { return g.FS }

func (g guardedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return g.file(name, func() (vfs.File, error) { return g.FS.Create(name, category) })
}

func (g guardedFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return g.file(to, func() (vfs.File, error) { return g.FS.ReuseForWrite(from, to, category) })
}

func (g guardedFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.file(name, func() (vfs.File, error) { return g.FS.OpenReadWrite(name, category, opts...) })
}

// file opens for writing. A log that cannot be opened blows the fuse, and what
// is returned is a file in memory, which is never read.
func (g guardedFS) file(name string, open func() (vfs.File, error)) (vfs.File, error) {
	log := isLog(name)
	if !log {
		if err := g.fuse.refuse(); err != nil {
			return nil, err
		}
		g.fuse.steady()
	}
	if log && g.fuse.err() != nil {
		return vfs.NewMem().Create("log", vfs.WriteCategoryUnspecified)
	}
	f, err := open()
	if err != nil && log {
		g.fuse.blow(err)
		return vfs.NewMem().Create("log", vfs.WriteCategoryUnspecified)
	}
	if err != nil {
		g.fuse.stumble()
		return nil, err
	}
	return &guardedFile{File: f, fuse: g.fuse, hidden: log}, nil
}

// Open opens for reading. While the store opens, what Pebble would read with less
// care than it takes is checked.
func (g guardedFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if !g.fuse.pauses.Load() {
		if err := checkFile(g.FS, name); err != nil {
			return nil, err
		}
	}
	return g.FS.Open(name, opts...)
}

// OpenDir hides failures as with logs: folders are synced when a log has been
// added.
func (g guardedFS) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardedFile{File: f, fuse: g.fuse, hidden: true}, nil
}

func (g guardedFS) Link(from, to string) error {
	return g.change(func() error { return g.FS.Link(from, to) })
}

func (g guardedFS) Remove(name string) error {
	return g.change(func() error { return g.FS.Remove(name) })
}

func (g guardedFS) RemoveAll(name string) error {
	return g.change(func() error { return g.FS.RemoveAll(name) })
}

func (g guardedFS) Rename(from, to string) error {
	return g.change(func() error { return g.FS.Rename(from, to) })
}

// MkdirAll makes folders that only the server's user may enter.
func (g guardedFS) MkdirAll(dir string, _ os.FileMode) error {
	return g.change(func() error { return g.FS.MkdirAll(dir, 0o700) })
}

func (g guardedFS) change(do func() error) error {
	if err := g.fuse.refuse(); err != nil {
		return err
	}
	return do()
}

// Lock says what to do if another process was faster.
func (g guardedFS) Lock(name string) (io.Closer, error) {
	c, err := g.FS.Lock(name)
	if path := (*fs.PathError)(nil); err != nil && !errors.As(err, &path) {
		return nil, fmt.Errorf("%w (%w)", ErrInUse, err)
	}
	return c, err
}

// guardedFile is a file behind a fuse.
type guardedFile struct {
	vfs.File
	fuse *fuse
	// hidden: failures blow the fuse and are not shown to Pebble, which would
	// panic.
	hidden bool
}

// change does what changes the file, unless the fuse has blown.
func (f *guardedFile) change(do func() error) error {
	if !f.hidden {
		if err := f.fuse.refuse(); err != nil {
			return err
		}
		err := do()
		if err != nil {
			f.fuse.stumble()
		}
		return err
	}
	if f.fuse.err() == nil {
		if err := do(); err != nil {
			f.fuse.blow(err)
		}
	}
	return nil
}

func (f *guardedFile) Write(p []byte) (int, error) {
	n := len(p)
	err := f.change(func() (err error) { n, err = f.File.Write(p); return err })
	if err == nil {
		n = len(p) // also where a failure is hidden
	}
	return n, err
}

func (f *guardedFile) WriteAt(p []byte, off int64) (int, error) {
	n := len(p)
	err := f.change(func() (err error) { n, err = f.File.WriteAt(p, off); return err })
	if err == nil {
		n = len(p)
	}
	return n, err
}

func (f *guardedFile) Preallocate(off, length int64) error {
	return f.change(func() error { return f.File.Preallocate(off, length) })
}

func (f *guardedFile) Sync() error     { return f.change(f.File.Sync) }
func (f *guardedFile) SyncData() error { return f.change(f.File.SyncData) }

func (f *guardedFile) SyncTo(length int64) (full bool, err error) {
	err = f.change(func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, err
}

// Close closes the file also when the fuse has blown.
func (f *guardedFile) Close() error {
	err := f.File.Close()
	if err != nil && f.hidden {
		f.fuse.blow(err)
		return nil
	}
	return err
}
