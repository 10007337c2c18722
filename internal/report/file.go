package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile writes the report to a file: beside it first, so that what was there
// stays until all is written. A new file is for its owner's eyes only. Folders,
// devices and pipes are refused.
func (r *Report) WriteFile(file string, f Format) error {
	return Replace(file, func(to *os.File) error { return r.Write(to, f) })
}

// Replace makes a file of what write writes. A link is followed; the permissions of
// a file that is there are kept.
func Replace(file string, write func(*os.File) error) (err error) {
	target, mode, err := target(file)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(target), ".coffer-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	if err := write(tmp); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := tmp.Chmod(mode); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), target)
}

// target is the file behind links, and what its permissions are to be.
func target(file string) (string, fs.FileMode, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(file); err == nil {
			return "", 0, fmt.Errorf("%s: a link to nothing", file)
		}
		return file, 0o600, nil
	}
	if err != nil {
		return "", 0, err
	}
	switch {
	case info.IsDir():
		return "", 0, fmt.Errorf("%s: a folder", file)
	case !info.Mode().IsRegular():
		return "", 0, fmt.Errorf("%s: not a regular file", file)
	}
	real, err := filepath.EvalSymlinks(file)
	return real, info.Mode().Perm(), err
}
