package listener

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/cofferhq/coffer/internal/config"
)

// defaultSocketMode lets the server's own user in, and root.
const defaultSocketMode fs.FileMode = 0o600

// socket is a listener on a Unix socket, which it removes when it is closed.
type socket struct {
	net.Listener
	path string
	info fs.FileInfo // of the socket, to know it by
}

// listenUnix listens on a socket at path. It replaces a socket at which nobody
// listens any more, and nothing else. The socket is made in a folder of its own
// and moved to its place when its permissions are set: nobody can connect before.
func listenUnix(path string, who config.Socket) (_ net.Listener, err error) {
	if err := vacate(path); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".c") // with mode 0700; short, as paths of sockets must be
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false) // it would look for it where it was made
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	if err := admit(made, who); err != nil {
		return nil, err
	}
	info, err := os.Lstat(made)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(made, path); err != nil {
		return nil, err
	}
	return &socket{Listener: l, path: path, info: info}, nil
}

// vacate returns an error if there is anything at path but a socket that was
// left behind.
func vacate(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("listen at %s: there is a file that is no socket", path)
	}
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return fmt.Errorf("listen at %s: another server listens there", path)
	}
	return nil
}

// admit sets who may use the socket at path.
func admit(path string, who config.Socket) error {
	mode := who.Mode
	if mode == 0 {
		mode = defaultSocketMode
	}
	uid, err := lookUp(who.User, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	if err != nil {
		return err
	}
	gid, err := lookUp(who.Group, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	if err != nil {
		return err
	}
	if uid >= 0 || gid >= 0 {
		if err := os.Chown(path, uid, gid); err != nil {
			return err
		}
	}
	return os.Chmod(path, mode)
}

// lookUp returns the number of a user or group that is given by number or name,
// and -1 if none is given.
func lookUp(who string, number func(string) (string, error)) (int, error) {
	if who == "" {
		return -1, nil
	}
	if n, err := strconv.ParseUint(who, 10, 31); err == nil {
		return int(n), nil
	}
	text, err := number(who)
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(text)
}

// Addr returns the address of the socket, which is not where it was made.
func (s *socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

// Close stops listening and removes the socket, unless it is another's by now.
func (s *socket) Close() error {
	if info, err := os.Lstat(s.path); err == nil && os.SameFile(info, s.info) {
		os.Remove(s.path) // if it stays, the next start replaces it
	}
	return s.Listener.Close()
}
