package audit

import (
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

const (
	// diskCheck is how often a device looks how much of its disk is left.
	diskCheck = 5 * time.Second

	// defaultWarnFree is what is left of a disk when it is time to say so: at a
	// thousand requests in a second, some minutes.
	defaultWarnFree = 256 << 20
)

// disk knows how much is left of the file system that a file is on. It is safe for
// concurrent use; nil knows nothing.
type disk struct {
	folder string
	warn   int64                              // bytes; zero: never
	free   func(folder string) (int64, error) // statfs

	checked atomic.Int64          // Unix nanoseconds of the last look
	seen    atomic.Pointer[Space] // what it showed; nil: nothing yet
}

func newDisk(path string, warn int64) *disk {
	return &disk{folder: filepath.Dir(path), warn: warn, free: freeBytes}
}

// look returns what is left, as it was at most [diskCheck] ago; nil if nobody knows.
func (d *disk) look(now time.Time) *Space {
	if d == nil {
		return nil
	}
	last := d.checked.Load()
	if age := now.UnixNano() - last; age >= 0 && age < int64(diskCheck) || !d.checked.CompareAndSwap(last, now.UnixNano()) {
		return d.seen.Load()
	}
	free, err := d.free(d.folder)
	if err != nil {
		d.seen.Store(nil)
		return nil
	}
	s := &Space{Free: free, Warn: d.warn, Low: free < d.warn}
	d.seen.Store(s)
	return s
}

// freeBytes returns what a user who is not root may still write.
func freeBytes(folder string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return 0, err
	}
	if s.Bsize > 0 && uint64(s.Bavail) > math.MaxInt64/uint64(s.Bsize) {
		return math.MaxInt64, nil
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

// units are what sizes may end in.
var units = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}}

// parseSize reads a number of bytes such as 64MiB.
func parseSize(text string) (int64, error) {
	digits, unit := text, int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(text, u.name); ok {
			digits, unit = n, u.bytes
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/unit {
		return 0, logical.Invalid("%q is no size such as 64MiB", text)
	}
	return int64(n) * unit, nil
}
