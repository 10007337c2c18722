package pebble_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
	"github.com/cofferhq/coffer/internal/storage/pebble"
)

// payload is of the size of a small secret, encrypted.
var payload = bytes.Repeat([]byte("v"), 512)

// drivers are measured side by side.
var drivers = []struct {
	name string
	open func(b *testing.B) storage.Store
}{
	{"inmem", func(*testing.B) storage.Store { return inmem.New() }},
	{"pebble", func(b *testing.B) storage.Store { return open(b, b.TempDir(), pebble.Options{}) }},
}

// BenchmarkFdatasync is what the disk allows one writer: append and sync.
func BenchmarkFdatasync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, 64<<20); err != nil {
		b.Logf("without room set aside: %v", err)
	}
	for b.Loop() {
		if _, err := f.Write(payload); err != nil {
			b.Fatal(err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	for _, d := range drivers {
		for _, writers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/writers=%d", d.name, writers), func(b *testing.B) {
				s := d.open(b)
				defer s.Close()
				write(b, s, writers)
			})
		}
	}
}

// write has b.N commits made by so many writers at once.
func write(b *testing.B, s storage.Store, writers int) {
	var next atomic.Int64
	done := make(chan error)
	b.ResetTimer()
	for range writers {
		go func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					done <- nil
					return
				}
				key := fmt.Sprintf("key %012d", n*7919%1_000_003)
				if _, err := s.Apply(context.Background(), nil, []storage.Op{storage.Put(key, payload)}); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// entries is how many a store has that is read.
const entries = 20_000

func filled(b *testing.B, open func(b *testing.B) storage.Store) storage.Store {
	b.Helper()
	s := open(b)
	for i := 0; i < entries; i += 100 {
		var ops []storage.Op
		for j := range 100 {
			ops = append(ops, storage.Put(key(i+j), payload))
		}
		if _, err := s.Apply(b.Context(), nil, ops); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func key(i int) string { return fmt.Sprintf("key %012d", i) }

func BenchmarkGet(b *testing.B) {
	for _, d := range drivers {
		b.Run(d.name, func(b *testing.B) {
			s := filled(b, d.open)
			defer s.Close()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					snap, err := s.Snapshot(b.Context())
					if err != nil {
						b.Error(err)
						return
					}
					if _, err := snap.Get(b.Context(), key(i*7919%entries)); err != nil {
						b.Error(err)
					}
					snap.Close()
				}
			})
		})
	}
}

func BenchmarkRange100(b *testing.B) {
	for _, d := range drivers {
		b.Run(d.name, func(b *testing.B) {
			s := filled(b, d.open)
			defer s.Close()
			snap, err := s.Snapshot(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			defer snap.Close()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				n := 0
				for _, err := range snap.Range(b.Context(), "key ", key(i*7919%(entries-101))) {
					if err != nil {
						b.Fatal(err)
					}
					if n++; n == 100 {
						break
					}
				}
			}
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	for _, d := range drivers {
		b.Run(d.name, func(b *testing.B) {
			s := d.open(b)
			defer s.Close()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					snap, err := s.Snapshot(b.Context())
					if err != nil {
						b.Error(err)
						return
					}
					snap.Close()
				}
			})
		})
	}
}
