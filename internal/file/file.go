// Package file reads files whole, within a bound, and replaces them in one step:
// who reads a file meanwhile finds the old one or the new one.
package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Read is os.ReadFile for files of at most so many MiB.
func Read(path string, maxMiB int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	limit := maxMiB << 20
	content, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(content) > limit {
		return nil, fmt.Errorf("%s: more than %d MiB", path, maxMiB)
	}
	return content, nil
}

// Stage has fill write a new file in the folder of path, and returns its name. Only
// its owner can read the file until it is whole and, whatever the umask is, gets
// mode. Its content is on the disk when Stage returns. After an error there is none.
func Stage(path string, mode fs.FileMode, fill func(*os.File) error) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return "", err
	}
	if err = fill(f); err == nil {
		err = f.Chmod(mode) // after fill, which may change the owner: that takes bits
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// Replace puts what fill writes in the place of the file at path, or makes it; see
// [Stage]. After an error the old one is there. A symbolic link is replaced itself.
func Replace(path string, mode fs.FileMode, fill func(*os.File) error) error {
	name, err := Stage(path, mode, fill)
	if err != nil {
		return err
	}
	if err := os.Rename(name, path); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

// ReplaceWith is [Replace] with a content that is there.
func ReplaceWith(path string, mode fs.FileMode, content []byte) error {
	return Replace(path, mode, func(f *os.File) error {
		_, err := f.Write(content)
		return err
	})
}
