package template

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/cofferhq/coffer/internal/secret"
)

// DefaultMode is that of a file that was not there and of which nothing is said:
// what is in it is secret.
const DefaultMode fs.FileMode = 0o600

// Destination is a file that takes the result of a template.
type Destination struct {
	Path string
	// Mode, if not zero, is set. Else the file keeps its own, or gets DefaultMode.
	Mode fs.FileMode
	// User and Group, by name or number, are set. Empty: the file keeps its own as
	// far as this process may, or is this process's.
	User, Group string

	Backup     bool // what was there stays, under the name with .bak behind
	CreateDirs bool // folders that are not there are made, for their owner only
}

// Write makes content the file's, all at once: whoever reads it, also after a
// crash, finds the old content or the new one. It says whether that is another
// content than before; if it is not, nothing is written. A symbolic link, or what
// else is no file, is an error, and stays.
func (d *Destination) Write(content secret.Bytes) (changed bool, err error) {
	old, err := d.look()
	if err != nil {
		return false, err
	}
	uid, gid, err := d.owner(old)
	if err != nil {
		return false, err
	}
	mode := d.mode(old)
	if old != nil && d.has(content.Reveal()) {
		return false, d.adjust(old, mode, uid, gid)
	}
	if d.CreateDirs {
		if err := os.MkdirAll(filepath.Dir(d.Path), 0o700); err != nil {
			return false, err
		}
	}
	if err := d.replace(content.Reveal(), old, mode, uid, gid); err != nil {
		return false, fmt.Errorf("write %s: %w", d.Path, err)
	}
	return true, nil
}

// look returns what is there; nil: nothing.
func (d *Destination) look() (fs.FileInfo, error) {
	info, err := os.Lstat(d.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, fmt.Errorf("write %s: it is a symbolic link, which is not followed: name the file itself, or remove the link", d.Path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("write %s: it is no regular file", d.Path)
	}
	return info, nil
}

func (d *Destination) mode(old fs.FileInfo) fs.FileMode {
	switch {
	case d.Mode != 0:
		return d.Mode.Perm()
	case old != nil:
		return old.Mode().Perm()
	}
	return DefaultMode
}

// owner returns the numbers that are to be set; -1: none.
func (d *Destination) owner(old fs.FileInfo) (uid, gid int, err error) {
	uid, gid = -1, -1
	if d.User != "" {
		if uid, err = idOf(d.User, func(name string) (string, error) {
			u, err := user.Lookup(name)
			if err != nil {
				return "", err
			}
			return u.Uid, nil
		}); err != nil {
			return -1, -1, err
		}
	}
	if d.Group != "" {
		if gid, err = idOf(d.Group, func(name string) (string, error) {
			g, err := user.LookupGroup(name)
			if err != nil {
				return "", err
			}
			return g.Gid, nil
		}); err != nil {
			return -1, -1, err
		}
	}
	return uid, gid, nil
}

// idOf reads a number, or looks a name up.
func idOf(who string, lookUp func(string) (string, error)) (int, error) {
	if n, err := strconv.ParseUint(who, 10, 31); err == nil {
		return int(n), nil
	}
	text, err := lookUp(who)
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(text)
}

// has says whether the file has that content already.
func (d *Destination) has(content []byte) bool {
	f, err := os.OpenFile(d.Path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	now, err := io.ReadAll(io.LimitReader(f, int64(len(content))+1))
	return err == nil && bytes.Equal(now, content)
}

// adjust sets mode and owner of a file whose content stays.
func (d *Destination) adjust(old fs.FileInfo, mode fs.FileMode, uid, gid int) error {
	if stat, ok := old.Sys().(*syscall.Stat_t); ok {
		if uid == int(stat.Uid) {
			uid = -1
		}
		if gid == int(stat.Gid) {
			gid = -1
		}
	}
	if uid < 0 && gid < 0 && old.Mode().Perm() == mode {
		return nil
	}
	f, err := os.OpenFile(d.Path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return own(f, mode, uid, gid)
}

// own sets owner, then mode: a change of the owner takes bits from the mode.
func own(f *os.File, mode fs.FileMode, uid, gid int) error {
	if uid >= 0 || gid >= 0 {
		if err := f.Chown(uid, gid); err != nil {
			return err
		}
	}
	return f.Chmod(mode)
}

// replace writes a new file beside and gives it the name. What a killed process has
// left beside goes before.
func (d *Destination) replace(content []byte, old fs.FileInfo, mode fs.FileMode, uid, gid int) error {
	made := filepath.Join(filepath.Dir(d.Path), "."+filepath.Base(d.Path)+".coffer-new")
	if err := os.Remove(made); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(made, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if stat, ok := statOf(old); ok {
		_ = f.Chown(int(stat.Uid), int(stat.Gid)) // as far as this process may
	}
	err = own(f, mode, uid, gid)
	if err == nil {
		_, err = f.Write(content)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil && d.Backup && old != nil {
		err = d.backUp()
	}
	if err == nil {
		err = os.Rename(made, d.Path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(made))
	}
	return syncDir(filepath.Dir(d.Path))
}

func statOf(info fs.FileInfo) (*syscall.Stat_t, bool) {
	if info == nil {
		return nil, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return stat, ok
}

// backUp gives the file that is there a second name.
func (d *Destination) backUp() error {
	made := filepath.Join(filepath.Dir(d.Path), "."+filepath.Base(d.Path)+".coffer-bak")
	if err := os.Remove(made); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(d.Path, made); err != nil {
		return err
	}
	return os.Rename(made, d.Path+".bak")
}

// syncDir makes the new name durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
