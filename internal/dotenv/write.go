package dotenv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cofferhq/coffer/internal/file"
)

// maxBackups bounds how many names are tried for a backup.
const maxBackups = 100

// Backup copies a file beside itself, for its owner alone, and returns where. In a
// git work tree the copy is ignored, by a rule of this clone if there is no other.
func Backup(ctx context.Context, path string) (string, error) {
	content, err := file.Read(path, MaxMiB)
	if err != nil {
		return "", err
	}
	for n := range maxBackups {
		name := path + ".backup"
		if n > 0 {
			name = fmt.Sprintf("%s.backup.%d", path, n)
		}
		if _, err := os.Lstat(name); err == nil {
			continue
		}
		if err := hideFromGit(ctx, name); err != nil {
			return "", err
		}
		err := create(name, content, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		return name, err
	}
	return "", fmt.Errorf("%s has %d backups: delete them", path, maxBackups)
}

func hideFromGit(ctx context.Context, path string) error {
	r := OpenRepository(ctx, path)
	if r == nil {
		return nil
	}
	ignored, err := r.Ignores(ctx)
	if err != nil || ignored {
		return err
	}
	return r.IgnoreHere(ctx)
}

// create writes a new file, durably.
func create(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode.Perm())
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode.Perm()), f.Sync(), f.Close())
	if err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// Replace puts content in the place of a file: all of it or, whatever happens,
// nothing. Mode and owner stay, and a symbolic link keeps pointing. It returns an
// error, and has done nothing, if the file is not what it was.
func Replace(path string, was, content []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	now, err := file.Read(path, MaxMiB)
	if err != nil {
		return err
	}
	if string(now) != string(was) {
		return fmt.Errorf("%s was changed meanwhile by someone else: nothing is written", path)
	}
	if err := file.Replace(path, info.Mode().Perm(), func(f *os.File) error {
		_, err := f.Write(content)
		return errors.Join(err, keepOwner(f.Name(), info))
	}); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
