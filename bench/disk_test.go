package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDiskUsageCountsBlocksOfAllFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "below"), 0o700); err != nil {
		t.Fatal(err)
	}
	const size = 1 << 20
	for _, name := range []string{"a", "below/b"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := diskUsage(dir)
	if err != nil {
		t.Fatal(err)
	}
	// A file system may add blocks of its own; it may not lose half of them.
	if got < size || got > 4*size {
		t.Errorf("got %d bytes of two files of %d", got, size)
	}
}

func TestAppendAndSyncMeasuresAtLeastOnce(t *testing.T) {
	l := &lab{dir: t.TempDir()}
	m, err := l.appendAndSync(t.Context(), time.Nanosecond)
	if err != nil {
		t.Fatal(err)
	}
	if m.requests < 1 || m.rate <= 0 || m.p50 <= 0 || m.p99 < m.p50 {
		t.Errorf("got %+v", m)
	}
	left, err := os.ReadDir(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("%d files were left", len(left))
	}
}
