//go:build unix

package source

import (
	"io/fs"
	"syscall"
)

// readFile reads a file into a buffer that is used again. It makes three calls of
// the system where package os makes twice as many, which is a third of the time
// that a small file takes. size is what to expect.
func readFile(path string, size int64, buf []byte) ([]byte, error) {
	fd, err := retry(func() (int, error) {
		return syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	})
	if err != nil {
		return buf, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer syscall.Close(fd)
	if need := int(size) + 1; cap(buf) < need {
		buf = make([]byte, 0, need+need/4)
	}
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := retry(func() (int, error) { return syscall.Read(fd, buf[len(buf):cap(buf)]) })
		if err != nil {
			return buf, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		buf = buf[:len(buf)+n]
		if n == 0 || (size > 0 && int64(len(buf)) == size) {
			return buf, nil
		}
	}
}

// retry calls the system again if a signal came between.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != syscall.EINTR {
			return n, err
		}
	}
}
