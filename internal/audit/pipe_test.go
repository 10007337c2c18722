package audit

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/secret"
)

func makePipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAPipeThatNobodyReadsIsRefused(t *testing.T) {
	path := makePipe(t)
	_, err := Open(Declared{Type: "file", Options: map[string]string{"file_path": path}}, secret.New([]byte("salt")))
	if !errors.Is(err, logical.ErrInvalid) || !strings.Contains(err.Error(), "nobody reads from this pipe") {
		t.Errorf("got %v", err)
	}
}

// A reader that stands still makes lines fail, and one that goes on gets whole
// lines: what was torn in between is ended.
func TestAPipeWhoseReaderStandsStillHoldsUpNobodyForLong(t *testing.T) {
	path := makePipe(t)
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	sink, err := newFile("", func() (opened, error) {
		o, err := openPath(path, defaultMode)
		if err == nil {
			o.target.(*pipe).patience = 20 * time.Millisecond
		}
		return o, err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	line := append(bytes.Repeat([]byte("x"), 3000), '\n')
	var full error
	for range 100 { // a pipe holds 64 KiB
		if full = sink.Write(t.Context(), line, inKernel); full != nil {
			break
		}
	}
	if !errors.Is(full, os.ErrDeadlineExceeded) {
		t.Fatalf("a full pipe: %v", full)
	}
	var got bytes.Buffer
	if _, err := io.CopyN(&got, reader, 40_000); err != nil {
		t.Fatal(err)
	}
	last := []byte("the last line\n")
	if err := sink.Write(t.Context(), last, inKernel); err != nil {
		t.Fatalf("after the reader went on: %v", err)
	}
	sink.Close()
	if _, err := io.Copy(&got, reader); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(got.Bytes(), append([]byte("\n"), last...)) {
		t.Errorf("it ends with %q", got.Bytes()[max(0, got.Len()-100):])
	}
}
