package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cofferhq/coffer/internal/file"
)

// WriteFile writes the report to a file: beside it first, so that what was there
// stays until all is written. A new file is for its owner's eyes only. Folders,
// devices and pipes are refused.
func (r *Report) WriteFile(path string, f Format) error {
	return Replace(path, func(to *os.File) error { return r.Write(to, f) })
}

// Replace makes a file of what write writes. A link is followed; the permissions of
// a file that is there are kept.
func Replace(path string, write func(*os.File) error) error {
	target, mode, err := target(path)
	if err != nil {
		return err
	}
	return file.Replace(target, mode, func(f *os.File) error {
		if err := write(f); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		return nil
	})
}

// target is the file behind links, and what its permissions are to be.
func target(path string) (string, fs.FileMode, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(path); err == nil {
			return "", 0, fmt.Errorf("%s: a link to nothing", path)
		}
		return path, 0o600, nil
	}
	if err != nil {
		return "", 0, err
	}
	switch {
	case info.IsDir():
		return "", 0, fmt.Errorf("%s: a folder", path)
	case !info.Mode().IsRegular():
		return "", 0, fmt.Errorf("%s: not a regular file", path)
	}
	real, err := filepath.EvalSymlinks(path)
	return real, info.Mode().Perm(), err
}
