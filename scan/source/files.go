// Package source says where package scan looks: folders, what is staged in a git
// repository, and histories.
//
// What can't be read is told to the sink and passed over; a scan of which that is
// so is not complete.
//
// Start reading at [Files] and [History].
package source

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/cofferhq/coffer/scan"
)

// largeFile is the size from which a file is searched by all workers together,
// after the others.
const largeFile = 4 << 20

// Files searches files, and folders with all in them but what git keeps in .git.
// Links in folders are not followed.
func Files(ctx context.Context, s *scan.Scanner, paths []string, to scan.Sink) error {
	f := &files{scanner: s, sink: locked(to), queue: make(chan entry, 256)}
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() { f.work(ctx) })
	}
	for _, path := range paths {
		f.walk(ctx, path)
	}
	close(f.queue)
	workers.Wait()
	for _, path := range f.large {
		f.stream(ctx, path)
	}
	return ctx.Err()
}

// locked returns a sink that is called once at a time.
func locked(to scan.Sink) scan.Sink {
	var mu sync.Mutex
	return scan.Sink{
		Found: func(f scan.Finding) {
			mu.Lock()
			defer mu.Unlock()
			to.Found(f)
		},
		Skipped: func(path string, err error) {
			mu.Lock()
			defer mu.Unlock()
			if to.Skipped != nil {
				to.Skipped(path, err)
			}
		},
	}
}

type files struct {
	scanner *scan.Scanner
	sink    scan.Sink
	queue   chan entry
	large   []string
}

// walk queues the files at and below path.
func (f *files) walk(ctx context.Context, path string) {
	if info, err := os.Stat(path); err != nil {
		f.sink.Skipped(filepath.ToSlash(path), err)
		return
	} else if !info.IsDir() { // named by the caller: a link or a pipe is meant
		f.add(path, info)
		return
	}
	// The slash has a link to a folder followed, if the caller named it.
	err := filepath.WalkDir(path+string(filepath.Separator), func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			f.sink.Skipped(filepath.ToSlash(filepath.Clean(name)), err)
			return nil
		case d.IsDir() && d.Name() == ".git":
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it has gone since
		}
		if err != nil {
			f.sink.Skipped(filepath.ToSlash(filepath.Clean(name)), err)
			return nil
		}
		f.add(filepath.Clean(name), info)
		return nil
	})
	if err != nil && ctx.Err() == nil {
		f.sink.Skipped(filepath.ToSlash(path), err)
	}
}

// entry is a file that is held in memory while it is searched.
type entry struct {
	path string
	size int64
}

func (f *files) add(path string, info fs.FileInfo) {
	if info.Size() >= largeFile || !info.Mode().IsRegular() {
		f.large = append(f.large, path)
		return
	}
	// An empty file is looked at, too: those of /proc say so of themselves.
	f.queue <- entry{path, info.Size()}
}

func (f *files) work(ctx context.Context) {
	var buf []byte
	for e := range f.queue {
		if ctx.Err() != nil {
			continue
		}
		var err error
		path := filepath.ToSlash(e.path)
		if buf, err = readFile(e.path, e.size, buf[:0]); err == nil {
			err = f.scanner.Scan(ctx, scan.Input{Path: path, Data: buf}, f.sink)
		}
		if err != nil && ctx.Err() == nil {
			f.sink.Skipped(path, err)
		}
	}
}

// stream searches a file without holding it in memory.
func (f *files) stream(ctx context.Context, path string) {
	file, err := os.Open(path)
	if err == nil {
		defer file.Close()
		in := scan.Input{Path: filepath.ToSlash(path), R: file}
		if info, statErr := file.Stat(); statErr == nil && info.Mode().IsRegular() {
			in.Size = info.Size()
		}
		err = f.scanner.Scan(ctx, in, f.sink)
	}
	if err != nil && ctx.Err() == nil {
		f.sink.Skipped(filepath.ToSlash(path), err)
	}
}
