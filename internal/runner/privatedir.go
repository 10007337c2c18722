package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// privateDir is a folder, in memory where that is possible, that nobody but its
// owner can read and that goes with the run. As long as its run lives its lock is
// held: a run that was killed leaves a folder without a lock, which the next one
// removes.
type privateDir struct {
	path string
	mode fs.FileMode // of it, and of folders in it
	lock *os.File    // the folder itself
}

// Names of folders: ready ones, and those whose lock is not held yet.
const (
	readyPrefix = "coffer-run-"
	newPrefix   = ".coffer-new-"
)

// memoryFolders are where to look for memory, the first that has it wins.
func memoryFolders(getenv func(string) string) []string {
	return append([]string{getenv("XDG_RUNTIME_DIR")}, sharedFolders...)
}

// sharedFolders are where every user may have a folder in memory.
var sharedFolders = []string{"/dev/shm"}

// openPrivateDir makes a folder of that mode below the first of the folders that
// lies in memory.
func openPrivateDir(folders []string, allowDisk bool, mode fs.FileMode) (*privateDir, error) {
	for _, base := range folders {
		if base == "" || !isMemory(base) {
			continue
		}
		if d, err := makePrivateDir(base, mode); err == nil {
			return d, nil
		}
	}
	if !allowDisk {
		return nil, errors.New("there is no tmpfs to write to, neither XDG_RUNTIME_DIR nor /dev/shm: on a disk the secrets would outlive their file; " +
			"mount a tmpfs, or allow it with -allow-disk")
	}
	return makePrivateDir(os.TempDir(), mode)
}

func makePrivateDir(base string, mode fs.FileMode) (*privateDir, error) {
	removeStale(base)
	made, err := os.MkdirTemp(base, newPrefix) // mode 0700
	if err != nil {
		return nil, fmt.Errorf("private folder: %w", err)
	}
	d := &privateDir{mode: mode, path: filepath.Join(base, readyPrefix+strings.TrimPrefix(filepath.Base(made), newPrefix))}
	if d.lock, err = lockDir(made); err != nil {
		return nil, errors.Join(fmt.Errorf("private folder: %w", err), os.Remove(made))
	}
	if err := os.Chmod(made, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("private folder: %w", err), os.Remove(made), d.lock.Close())
	}
	// Under its new name others judge it by its lock.
	if err := os.Rename(made, d.path); err != nil {
		return nil, errors.Join(fmt.Errorf("private folder: %w", err), os.Remove(made), d.lock.Close())
	}
	return d, nil
}

// lockDir takes the folder's lock, which lives as long as the file. The error is
// EWOULDBLOCK if another has it.
func lockDir(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// removeStale removes what killed runs left. It is no matter if it cannot.
func removeStale(base string) {
	left, err := filepath.Glob(filepath.Join(base, readyPrefix+"*"))
	if err != nil {
		return
	}
	for _, path := range left {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || !isOurs(info) {
			continue
		}
		lock, err := lockDir(path)
		if err != nil {
			continue
		}
		os.RemoveAll(path)
		lock.Close()
	}
}

func isOurs(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// Close removes the folder and what is in it.
func (d *privateDir) Close() error {
	return errors.Join(os.RemoveAll(d.path), d.lock.Close())
}
