package audit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// counted is a file that counts how often it is synced.
type counted struct {
	*os.File
	syncs int
	err   error
}

func (c *counted) Sync() error {
	c.syncs++
	return c.err
}

func openCounted(t *testing.T, c *counted) *file {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	sink, err := newFile(path, func() (opened, error) {
		o, err := openPath(path, defaultMode)
		if err == nil {
			c.File, o.target = o.target.(*os.File), c
		}
		return o, err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

func TestSyncSaysWhichLinesReachTheDisk(t *testing.T) {
	for _, c := range []struct {
		name string
		sync string
		op   logical.Op
		want int
	}{
		{"never, not even a change", "never", logical.Update, 0},
		{"not a read", "mutations", logical.Read, 0},
		{"not a list", "mutations", logical.List, 0},
		{"a change", "mutations", logical.Update, 1},
		{"a deletion", "mutations", logical.Delete, 1},
		{"always, also a read", "always", logical.Read, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := parseOptions("file", map[string]string{"file_path": "x", "sync": c.sync})
			if err != nil {
				t.Fatal(err)
			}
			target := &counted{}
			d := &Device{format: newFormat(o, secret.Text(testSalt)), sink: openCounted(t, target)}
			if err := d.log(context.Background(), &Entry{Request: Request{Op: c.op}}, typeRequest); err != nil {
				t.Fatal(err)
			}
			if target.syncs != c.want {
				t.Errorf("%d syncs, want %d", target.syncs, c.want)
			}
		})
	}
}

func TestALineThatTheDiskRefusesIsNotRecorded(t *testing.T) {
	target := &counted{err: syscall.EIO}
	sink := openCounted(t, target)
	if err := sink.Write(context.Background(), []byte("one\n"), onDisk); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	if err := sink.Write(context.Background(), []byte("two\n"), inKernel); err != nil {
		t.Errorf("a line that need not be there: %v", err)
	}
}

func TestLinesThatComeTogetherAreSyncedOnce(t *testing.T) {
	target := &counted{}
	sink := openCounted(t, target)
	<-sink.turn // the disk is busy
	var writers sync.WaitGroup
	for i := range 20 {
		until := inKernel
		if i == 7 {
			until = onDisk
		}
		writers.Go(func() {
			if err := sink.Write(context.Background(), []byte("line\n"), until); err != nil {
				t.Error(err)
			}
		})
	}
	for gathered := 0; gathered < 20*len("line\n"); {
		sink.mu.Lock()
		if sink.next != nil {
			gathered = len(sink.next.buf)
		}
		sink.mu.Unlock()
	}
	sink.turn <- struct{}{}
	writers.Wait()
	if target.syncs != 1 {
		t.Errorf("%d syncs", target.syncs)
	}
}

// What a line costs under each setting, beside what the disk itself takes.
func BenchmarkSync(b *testing.B) {
	line := append(make([]byte, 0, 1000), []byte("{")...)
	for len(line) < 999 {
		line = append(line, 'x')
	}
	line = append(line, '\n')
	for _, setting := range []struct {
		name  string
		until durability
	}{{"never", inKernel}, {"always", onDisk}} {
		b.Run(setting.name, func(b *testing.B) {
			sink, err := openFile(filepath.Join(b.TempDir(), "audit.log"), defaultMode, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer sink.Close()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := sink.Write(context.Background(), line, setting.until); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
	b.Run("mutations, one of ten", func(b *testing.B) {
		sink, err := openFile(filepath.Join(b.TempDir(), "audit.log"), defaultMode, 0)
		if err != nil {
			b.Fatal(err)
		}
		defer sink.Close()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for n := 0; pb.Next(); n++ {
				if err := sink.Write(context.Background(), line, durability(n%10 == 0)); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("a bare fsync for each line", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "bare"))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		for b.Loop() {
			if _, err := f.Write(line); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
