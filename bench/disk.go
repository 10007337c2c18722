package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// recordSize is what the raw loop appends before each sync.
const recordSize = 1 << 10

// appendAndSync is the baseline of every durable write: one writer that appends
// 1 KiB to a new file and syncs its data, again and again.
func (l *lab) appendAndSync(ctx context.Context, d time.Duration) (load, error) {
	f, err := os.CreateTemp(l.dir, "raw-")
	if err != nil {
		return load{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	record := make([]byte, recordSize)
	var took []time.Duration
	began := time.Now()
	for before := began; before.Sub(began) < d; {
		if err := ctx.Err(); err != nil {
			return load{}, err
		}
		if _, err := f.Write(record); err != nil {
			return load{}, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return load{}, err
		}
		after := time.Now()
		took = append(took, after.Sub(before))
		before = after
	}
	elapsed := time.Since(began).Seconds()
	slices.Sort(took)
	n := float64(len(took))
	return load{
		requests: n, rate: n / elapsed,
		p50: quantile(took, 0.5).Seconds(), p99: quantile(took, 0.99).Seconds(),
	}, nil
}

// diskUsage returns the bytes that the files below dir occupy on the disk.
func diskUsage(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server removes files as it compacts
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		const blockSize = 512 // of st_blocks, whatever the file system's own is (stat(2))
		total += info.Sys().(*syscall.Stat_t).Blocks * blockSize
		return nil
	})
	return total, err
}

// How long a folder must stay as it is to count as at rest, and how long to wait
// for that.
const (
	restTime = 3 * time.Second
	restWait = 2 * time.Minute
)

// usageAtRest returns what dir occupies once its server has done compacting.
func usageAtRest(ctx context.Context, dir string) (int64, error) {
	last, since, began := int64(-1), time.Now(), time.Now()
	for {
		n, err := diskUsage(dir)
		if err != nil {
			return 0, err
		}
		if n != last {
			last, since = n, time.Now()
		}
		if time.Since(since) >= restTime || time.Since(began) >= restWait {
			return last, nil
		}
		if err := pause(ctx, restTime/10); err != nil {
			return 0, err
		}
	}
}
