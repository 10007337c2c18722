package adversity

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"
)

// disk is a small file system that a test can fill, break and mend.
type disk struct {
	dir   string // where it is mounted
	image string // of an ext4: the file that holds it
	t     *testing.T
}

// newTmpfs mounts a disk of so many bytes in memory. It needs no privilege, and a
// failure of it is at once one of write(2): nothing is written behind.
func newTmpfs(t *testing.T, bytes int) *disk {
	t.Helper()
	d := &disk{dir: filepath.Join(t.TempDir(), "disk"), t: t}
	d.mountpoint()
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", bytes)); err != nil {
		impossible(t, "mount a tmpfs: %v", err)
	}
	return d
}

// newExt4 mounts a disk of so many bytes that writes behind, has a journal, and
// can be broken. It needs root.
func newExt4(t *testing.T, bytes int) *disk {
	t.Helper()
	dir := t.TempDir()
	d := &disk{dir: filepath.Join(dir, "disk"), image: filepath.Join(dir, "image"), t: t}
	d.mountpoint()
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, int64(bytes)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-m", "0", d.image).CombinedOutput(); err != nil {
		impossible(t, "mkfs.ext4: %v\n%s", err, out)
	}
	if err := d.mount(); err != nil {
		impossible(t, "%v", err)
	}
	return d
}

// mountpoint makes the folder, and sees to its being free when the test ends.
func (d *disk) mountpoint() {
	d.t.Helper()
	if outside != nil {
		impossible(d.t, "%v", outside)
	}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { syscall.Unmount(d.dir, syscall.MNT_DETACH) }) // an error says that nothing is mounted
}

func (d *disk) mount() error {
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("mount an ext4: %w\n%s", err, out)
	}
	return nil
}

// remount takes the disk out and in again, as mending it does.
func (d *disk) remount() {
	d.t.Helper()
	if err := syscall.Unmount(d.dir, 0); err != nil {
		d.t.Fatalf("unmount: %v", err)
	}
	if err := d.mount(); err != nil {
		d.t.Fatal(err)
	}
}

// setFlags mounts the disk again with other flags: syscall.MS_RDONLY, or 0. Nobody
// may be writing.
func (d *disk) setFlags(flags uintptr) {
	d.t.Helper()
	if err := syscall.Mount("", d.dir, "", syscall.MS_REMOUNT|flags, ""); err != nil {
		d.t.Fatalf("remount with flags %#x: %v", flags, err)
	}
}

// abort makes a disk read-only under those who write, as the system does when it
// finds the disk damaged.
func (d *disk) abort() {
	d.t.Helper()
	if err := syscall.Mount("", d.dir, "", syscall.MS_REMOUNT, "abort"); err != nil {
		d.t.Fatalf("abort: %v", err)
	}
}

// unplug has every call to the disk, reads too, fail with EIO from now on. What
// was not synced is lost.
func (d *disk) unplug() {
	d.t.Helper()
	if err := d.shutDown(); err != nil {
		d.t.Fatal(err)
	}
}

// shutDown is unplug for goroutines that are not the test's. The kernel freezes the
// file system for it: without, a sync that is under way may succeed and its data be
// gone (so it is for a bare append and fdatasync, too, on Linux 6.18), which nobody
// who waits for syncs could mend.
func (d *disk) shutDown() error {
	const (
		shutdown = 0x8004587d // FS_IOC_SHUTDOWN of linux/fs.h: _IOR('X', 125, __u32)
		frozen   = 0          // FS_SHUTDOWN_FLAGS_DEFAULT
	)
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	how := uint32(frozen)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), shutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		return fmt.Errorf("shut the disk down: %w", errno)
	}
	return nil
}

// occupy adds so many bytes to a file that belongs to nobody, less if the disk is
// full by then.
func (d *disk) occupy(bytes int) {
	d.t.Helper()
	f, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	for n := 0; n < bytes && err == nil; n += len(zeros) {
		_, err = f.Write(zeros[:min(len(zeros), bytes-n)])
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil && !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatal(err)
	}
}

// fill leaves no room, or only that after the ends of files.
func (d *disk) fill() { d.t.Helper(); d.occupy(everything) }

// free takes bytes from that file, or all of it.
func (d *disk) free(bytes int64) {
	d.t.Helper()
	info, err := os.Stat(d.ballast())
	if err == nil {
		err = os.Truncate(d.ballast(), max(0, info.Size()-bytes))
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

const everything = 1 << 40

func (d *disk) ballast() string { return filepath.Join(d.dir, "ballast") }

var zeros [4 << 10]byte
