package keyfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/seal"
	"github.com/cofferhq/coffer/internal/secret"
)

func create(t *testing.T) (*Seal, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	s, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return s, path
}

func wrap(t *testing.T, s *Seal, key string) []byte {
	t.Helper()
	blob, err := s.Wrap(t.Context(), secret.Text(key))
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

func TestWhatWasWrappedIsUnwrappedByTheLoadedKey(t *testing.T) {
	s, path := create(t)
	blob := wrap(t, s, "root")
	again, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Unwrap(t.Context(), blob); err != nil || got.RevealText() != "root" {
		t.Errorf("unwrapped %q, %v", got.RevealText(), err)
	}
	if bytes.Contains(blob, []byte("root")) {
		t.Error("the blob shows the key")
	}
}

func TestAnotherKeyFileIsRecognised(t *testing.T) {
	s, _ := create(t)
	other, _ := create(t)
	if _, err := other.Unwrap(t.Context(), wrap(t, s, "root")); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("got %v, want %v", err, seal.ErrWrongKey)
	}
}

func TestAnyFlippedBitOfABlobIsNoticed(t *testing.T) {
	s, _ := create(t)
	blob := wrap(t, s, "root")
	for i := range len(blob) * 8 {
		blob[i/8] ^= 1 << (i % 8)
		if _, err := s.Unwrap(t.Context(), blob); err == nil {
			t.Errorf("bit %d may be flipped", i)
		}
		blob[i/8] ^= 1 << (i % 8)
	}
	for n := range blob {
		if _, err := s.Unwrap(t.Context(), blob[:n]); err == nil {
			t.Errorf("%d of %d bytes suffice", n, len(blob))
		}
	}
	blob[0] = blobVersion + 1
	if _, err := s.Unwrap(t.Context(), blob); !errors.Is(err, ErrVersion) {
		t.Errorf("a newer version: %v, want %v", err, ErrVersion)
	}
}

func TestAKeyFileIsForItsOwnerOnly(t *testing.T) {
	_, path := create(t)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("created with mode %v, %v", info.Mode(), err)
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o660, 0o602, 0o610, 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); !errors.Is(err, ErrReadable) {
			t.Errorf("mode %v: %v, want %v", mode, err, ErrReadable)
		}
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err != nil {
		t.Errorf("mode 0400: %v", err)
	}
}

func TestAKeyFileIsNeverOverwritten(t *testing.T) {
	_, path := create(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want %v", err, fs.ErrExist)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed, %v", err)
	}
}

func TestWhatIsNoKeyFile(t *testing.T) {
	line := strings.TrimPrefix(string(format(secret.New(make([]byte, keyBytes)))), preamble)
	tests := map[string]struct {
		text string
		want error
	}{
		"nothing":               {"", ErrFormat},
		"comments only":         {preamble, ErrFormat},
		"something else":        {"-----BEGIN PRIVATE KEY-----\n", ErrFormat},
		"cut off":               {line[:len(line)-3], ErrFormat},
		"two keys":              {line + line, ErrFormat},
		"a changed letter":      {strings.Replace(line, "AAAA", "AABA", 1), ErrFormat},
		"no key":                {scheme + version + ":", ErrFormat},
		"no colon":              {scheme + version, ErrFormat},
		"of a newer version":    {scheme + "2:abc", ErrFileVersion},
		"too much of something": {strings.Repeat("x", 2*maxFileBytes), ErrFormat},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if !strings.Contains(err.Error(), path) {
				t.Errorf("%q does not name the file", err)
			}
		})
	}
	if _, err := Load(t.TempDir()); !errors.Is(err, ErrFormat) {
		t.Errorf("a folder: %v, want %v", err, ErrFormat)
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v, want %v", err, fs.ErrNotExist)
	}
}

func TestASealDoesNotPrintItsKey(t *testing.T) {
	key := bytes.Repeat([]byte("K"), keyBytes)
	s, err := newSeal(secret.New(key))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		text := fmt.Sprintf(verb, s)
		for _, form := range []string{"KKKKKKKK", "4b4b4b4b4b", "75 75 75 75", "0x4b, 0x4b"} {
			if strings.Contains(text, form) {
				t.Errorf("%s prints the key", verb)
			}
		}
	}
}

// What parse accepts, format writes the same.
func FuzzParse(f *testing.F) {
	f.Add(format(secret.New(bytes.Repeat([]byte{7}, keyBytes))))
	f.Add([]byte("coffer-key-1:"))
	f.Add([]byte("coffer-key-2:AAAA"))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := parse(text)
		if err != nil {
			return
		}
		again, err := parse(format(key))
		if err != nil || !again.Equal(key) || len(key.Reveal()) != keyBytes {
			t.Errorf("not the same key, %v", err)
		}
	})
}

// No blob makes Unwrap panic or return a key.
func FuzzUnwrap(f *testing.F) {
	s, err := newSeal(secret.New(make([]byte, keyBytes)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{})
	f.Add(append([]byte{blobVersion}, s.id[:]...))
	f.Add(append(append([]byte{blobVersion}, s.id[:]...), make([]byte, 60)...))
	f.Fuzz(func(t *testing.T, blob []byte) {
		if _, err := s.Unwrap(t.Context(), blob); err == nil {
			t.Error("a made-up blob was accepted")
		}
	})
}
