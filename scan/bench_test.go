package scan

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sources are the files of our own repository.
func sources(b *testing.B) (files [][]byte, names []string, size int64) {
	b.Helper()
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(name)
		files, names, size = append(files, text), append(names, name), size+int64(len(text))
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return files, names, size
}

func BenchmarkSources(b *testing.B) {
	files, names, size := sources(b)
	s := newScanner(b, Options{})
	b.SetBytes(size)
	for b.Loop() {
		for i, text := range files {
			s.Bytes(names[i], text)
		}
	}
}

// logLine is what servers write.
const logLine = `2026-11-24T17:26:28.123456Z INFO  [http-nio-8080-exec-7] c.e.a.RequestFilter - 10.1.2.3 "POST /api/v1/sessions?page=2 HTTP/1.1" 200 1834 trace=4bf92f3577b34da6a3ce929d0e0e4736 user=4711 took=12ms` + "\n"

func BenchmarkLog(b *testing.B) {
	text := bytes.Repeat([]byte(logLine), 32<<20/len(logLine))
	s := newScanner(b, Options{Workers: 1})
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if err := s.Scan(context.Background(), Input{Path: "app.log", R: bytes.NewReader(text)}, Sink{Found: func(Finding) {}}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTable is the pass over the text without what it finds.
func BenchmarkTable(b *testing.B) {
	text := bytes.Repeat([]byte(strings.ToUpper(logLine)), 4<<20/len(logLine))
	s := newScanner(b, Options{})
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		s.table.each(text, 0, len(text), func(*keyword, int) {})
	}
}

// BenchmarkSum is the least that looking at every byte costs: a baseline.
func BenchmarkSum(b *testing.B) {
	text := bytes.Repeat([]byte(logLine), 4<<20/len(logLine))
	b.SetBytes(int64(len(text)))
	sum := byte(0)
	for b.Loop() {
		for _, c := range text {
			sum += c
		}
	}
	sink = sum
}

var sink byte

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		newScanner(b, Options{})
	}
}
