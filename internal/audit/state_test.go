package audit

import (
	"context"
	"errors"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/internal/secret"
)

func openAt(t *testing.T, typ string, options map[string]string) *Device {
	t.Helper()
	d, err := Open(Declared{Type: typ, Options: options}, secret.Text(testSalt))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestStatesTellWhatBecameOfLines(t *testing.T) {
	b := NewBroker()
	defer b.Close()
	good := openAt(t, "file", map[string]string{"file_path": filepath.Join(t.TempDir(), "a.log")})
	bad := openAt(t, "socket", map[string]string{"address": unixPath(t), "socket_type": "unix"})
	for path, d := range map[string]*Device{"good/": good, "bad/": bad} {
		if err := b.Enable(path, d); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if err := b.LogRequest(context.Background(), &Entry{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range b.States() {
		switch s.Path {
		case "good/":
			if s.Type != "file" || s.Recorded != 3 || s.Failed != 0 || s.LastError != "" || s.Space == nil || s.Space.Free <= 0 {
				t.Errorf("%+v", s)
			}
		case "bad/":
			if s.Type != "socket" || s.Recorded != 0 || s.Failed != 3 || s.LastError == "" || s.LastFailure.IsZero() || !s.Away || s.Space != nil {
				t.Errorf("%+v", s)
			}
		}
	}
}

// A disk that fills is told of once, and once that it has room again.
func TestADiskThatFillsIsToldOfInTime(t *testing.T) {
	d := openAt(t, "file", map[string]string{"file_path": filepath.Join(t.TempDir(), "a.log"), "warn_free": "1MiB"})
	free := int64(2 << 20)
	d.sink.(*file).disk.free = func(string) (int64, error) { return free, nil }
	b := NewBroker()
	defer b.Close()
	var told []Space
	b.OnSpace = func(_ string, s Space) { told = append(told, s) }
	if err := b.Enable("file/", d); err != nil {
		t.Fatal(err)
	}
	for _, left := range []int64{2 << 20, 1000, 900, 3 << 20, 3 << 20} {
		free = left
		d.sink.(*file).disk.checked.Store(0)
		for range 2 {
			if err := b.LogRequest(context.Background(), &Entry{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := []Space{{Free: 1000, Warn: 1 << 20, Low: true}, {Free: 3 << 20, Warn: 1 << 20}}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}

func TestADiskIsLookedAtSeldom(t *testing.T) {
	looks := 0
	var failure error
	d := &disk{warn: 10, free: func(string) (int64, error) { looks++; return 5, failure }}
	now := time.Unix(1_767_323_045, 0)
	for range 100 {
		if s := d.look(now); s == nil || !s.Low {
			t.Fatalf("%+v", s)
		}
		now = now.Add(diskCheck / 50)
	}
	if looks != 2 {
		t.Errorf("%d looks", looks)
	}
	failure = errors.Join(syscall.EIO)
	if s := d.look(now.Add(diskCheck)); s != nil {
		t.Errorf("nobody knows: %+v", s)
	}
	failure = nil
	if s := d.look(now.Add(-time.Hour)); s == nil { // the clock was put back
		t.Error("it looks no more")
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64 // below zero: an error
	}{
		{"0", 0}, {"512", 512}, {"4KiB", 4096}, {"64MiB", 64 << 20}, {"2GiB", 2 << 30},
		{"", -1}, {"MiB", -1}, {"-1", -1}, {"+1", -1}, {"1 MiB", -1}, {"1MB", -1}, {"9223372036854775807GiB", -1},
	} {
		got, err := parseSize(c.text)
		if err != nil {
			got = -1
		}
		if got != c.want {
			t.Errorf("%q: %d, %v, want %d", c.text, got, err, c.want)
		}
	}
}

func TestPlacesThatAreNoDiskHaveNoSpace(t *testing.T) {
	for _, path := range []string{"discard", "stdout"} {
		d := openAt(t, "file", map[string]string{"file_path": path})
		if s := d.State(); s.Space != nil {
			t.Errorf("%s: %+v", path, s.Space)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
