package audit

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

// sinkFunc is a sink that does as a test says.
type sinkFunc func(line []byte) error

func (f sinkFunc) Write(_ context.Context, line []byte, _ durability) error { return f(line) }
func (sinkFunc) Reopen() error                                              { return nil }
func (sinkFunc) Close() error                                               { return nil }

func deviceOf(f sinkFunc) *Device {
	return &Device{format: newFormat(options{hashAccessor: true}, secret.Text(testSalt)), sink: f}
}

func enable(t *testing.T, b *Broker, path string, d *Device) {
	t.Helper()
	if err := b.Enable(path, d); err != nil {
		t.Fatal(err)
	}
}

func TestOneDeviceIsEnough(t *testing.T) {
	errDisk := errors.New("disk")
	bad := sinkFunc(func([]byte) error { return errDisk })
	good := sinkFunc(func([]byte) error { return nil })
	for _, c := range []struct {
		name  string
		sinks []sinkFunc
		want  error
		told  int
	}{
		{"no device", nil, nil, 0},
		{"one that works", []sinkFunc{good}, nil, 0},
		{"one that fails", []sinkFunc{bad}, errDisk, 1},
		{"the first fails", []sinkFunc{bad, good}, nil, 1},
		{"the last fails", []sinkFunc{good, bad}, nil, 1},
		{"all fail", []sinkFunc{bad, bad}, errDisk, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := NewBroker()
			told := 0
			b.OnFailure = func(path string, err error) {
				if told++; !strings.HasPrefix(path, "d") || !errors.Is(err, errDisk) {
					t.Errorf("told of %s: %v", path, err)
				}
			}
			for i, s := range c.sinks {
				enable(t, b, "d"+string(rune('0'+i))+"/", deviceOf(s))
			}
			if err := b.LogRequest(context.Background(), testEntry()); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("got %v", err)
			}
			if told != c.told {
				t.Errorf("told %d times", told)
			}
		})
	}
}

func TestEveryDeviceGetsItsOwnHashes(t *testing.T) {
	b := NewBroker()
	var got []string
	keep := sinkFunc(func(line []byte) error { got = append(got, string(line)); return nil })
	enable(t, b, "a/", deviceOf(keep))
	enable(t, b, "b/", &Device{format: newFormat(options{hashAccessor: true}, secret.Text("another salt")), sink: keep})
	if err := b.LogRequest(context.Background(), testEntry()); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !strings.Contains(got[0], hashOf("s3cret")) || strings.Contains(got[1], hashOf("s3cret")) {
		t.Errorf("%q", got)
	}
}

func TestDataThatIsNoJSONIsNotRecorded(t *testing.T) {
	b := NewBroker()
	enable(t, b, "a/", deviceOf(func(line []byte) error { t.Errorf("written: %s", line); return nil }))
	e := testEntry()
	e.Request.Data = json.RawMessage(`{"a":"s3cret"`)
	if err := b.LogRequest(context.Background(), e); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
}

func TestEnablingAndDisabling(t *testing.T) {
	b := NewBroker()
	d, _ := openTest(t, nil)
	enable(t, b, "a/", d)
	if err := b.Enable("a/", d); !errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), "path is already in use at") {
		t.Errorf("twice: %v", err)
	}
	enable(t, b, "b/", deviceOf(func([]byte) error { return nil }))
	if got := b.Paths(); !slices.Equal(got, []string{"a/", "b/"}) {
		t.Errorf("%v", got)
	}
	if err := errors.Join(b.Disable("a/"), b.Disable("a/")); err != nil {
		t.Fatal(err)
	}
	if got := b.Paths(); !slices.Equal(got, []string{"b/"}) {
		t.Errorf("%v", got)
	}
	if !d.sink.(*file).closed {
		t.Error("the device is still open")
	}
	if err := b.Close(); err != nil || b.Paths() != nil {
		t.Errorf("%v, %v", b.Paths(), err)
	}
}

// A device that goes away while entries are logged refuses none of them, whether
// others are left or not.
func TestDisablingRefusesNothing(t *testing.T) {
	b := NewBroker()
	b.OnFailure = func(path string, err error) { t.Errorf("%s: %v", path, err) }
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := b.LogRequest(context.Background(), testEntry()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	path := filepath.Join(t.TempDir(), "a.log")
	for range 50 {
		d, err := Open(Declared{Type: "file", Options: map[string]string{"file_path": path}}, secret.Text(testSalt))
		if err != nil {
			t.Fatal(err)
		}
		enable(t, b, "a/", d)
		if err := b.Disable("a/"); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
}

// benchEntry is a KV read as the core records it.
func benchEntry() *Entry {
	e := testEntry()
	e.Request.Op, e.Request.Data, e.Request.Headers, e.Request.WrapTTL = logical.Read, nil, nil, 0
	e.Response = &Response{Data: json.RawMessage(`{"data":{"username":"app","password":"correct horse battery staple"},` +
		`"metadata":{"created_time":"2026-03-01T12:00:00.000000005Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":3}}`)}
	return e
}

func TestLoggingAllocatesLittle(t *testing.T) {
	d, _ := openTest(t, nil)
	e := benchEntry()
	n := testing.AllocsPerRun(200, func() {
		if err := d.log(context.Background(), e, typeResponse); err != nil {
			t.Fatal(err)
		}
	})
	if n > 8 { // it is one; the race detector makes pools forget at random
		t.Errorf("%v allocations", n)
	}
}

func benchmarkLog(b *testing.B, path string) {
	d, err := Open(Declared{Type: "file", Options: map[string]string{"file_path": path}}, secret.Text(testSalt))
	if err != nil {
		b.Fatal(err)
	}
	broker := NewBroker()
	if err := broker.Enable("file/", d); err != nil {
		b.Fatal(err)
	}
	defer broker.Close()
	e := benchEntry()
	ctx := context.Background()
	pair := func() {
		if err := errors.Join(broker.LogRequest(ctx, e), broker.LogResponse(ctx, e)); err != nil {
			b.Error(err)
		}
	}
	b.Run("1", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			pair()
		}
	})
	b.Run("64", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				pair()
			}
		})
	})
}

// One op is the pair of lines that one request costs.
func BenchmarkLogToFile(b *testing.B)    { benchmarkLog(b, filepath.Join(b.TempDir(), "a.log")) }
func BenchmarkLogToDiscard(b *testing.B) { benchmarkLog(b, "discard") }

// BenchmarkBareWrite is what the disk alone costs for the same bytes.
func BenchmarkBareWrite(b *testing.B) {
	l := newTestLine(options{hashAccessor: true})
	e := benchEntry()
	if err := l.entry(e, typeRequest); err != nil {
		b.Fatal(err)
	}
	request := len(l.buf)
	if err := l.entry(e, typeResponse); err != nil {
		b.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(b.TempDir(), "a.log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for b.Loop() {
		_, err1 := f.Write(l.buf[:request])
		_, err2 := f.Write(l.buf[request:])
		if err := errors.Join(err1, err2); err != nil {
			b.Fatal(err)
		}
	}
}
