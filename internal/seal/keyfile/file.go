package keyfile

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/cofferhq/coffer/internal/secret"
)

// Errors of [Load].
var (
	// ErrReadable says that others than its owner may read the file.
	ErrReadable = errors.New("keyfile: others than its owner may read the key file; chmod it to 0600")
	// ErrFormat says that the file is no key file, or was changed.
	ErrFormat = errors.New("keyfile: not a key file, or a damaged one; put the file back from its copy")
	// ErrFileVersion says that the file is of a newer version of coffer.
	ErrFileVersion = errors.New("keyfile: the key file is of a newer version of coffer; run that version")
)

// The text of a key file is lines that begin with # and are ignored, and one line
//
//	coffer-key-1:BASE64URL
//
// of the key and the first bytes of its SHA-256, so that a slip is told from a
// wrong key.
const (
	scheme     = "coffer-key-"
	version    = "1"
	keyBytes   = 32
	checkBytes = 4

	maxFileBytes = 4 << 10

	preamble = "# The key of a coffer server. Whoever has this file and the data has every secret.\n" +
		"# Without it the data cannot be opened. Keep a copy, and keep it away from the data.\n"
)

// Load reads the key file at path. It returns ErrReadable, ErrFormat or
// ErrFileVersion if the file will not do, and the operating system's error,
// which may be fs.ErrNotExist.
func Load(path string) (*Seal, error) {
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	key, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return newSeal(key)
}

// read returns what is in the file at path if nobody else may read it.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat() // of what was opened, not of what path means by now
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", path, ErrFormat)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: %w", path, ErrReadable)
	}
	return io.ReadAll(io.LimitReader(f, maxFileBytes))
}

// Create makes a new key and writes it to path, which must not exist, for its
// owner only. When it returns, the file is on disk. Whether path is a good place
// is the caller's to know: not the folder with the data.
func Create(path string) (*Seal, error) {
	var key [keyBytes]byte
	rand.Read(key[:]) // never fails
	defer clear(key[:])
	own := secret.New(key[:])
	if err := write(path, format(own)); err != nil {
		return nil, err
	}
	return newSeal(own)
}

func write(path string, text []byte) error {
	defer clear(text)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		os.Remove(path) // half a key would be in the way of the next attempt
	}
	return err
}

// syncFolder makes the name of a new file as durable as its content.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func format(key secret.Bytes) []byte {
	sum := sha256.Sum256(key.Reveal())
	coded := base64.RawURLEncoding.AppendEncode(nil, append(key.Reveal()[:keyBytes:keyBytes], sum[:checkBytes]...))
	return append([]byte(preamble+scheme+version+":"), append(coded, '\n')...)
}

// parse returns the key in the text of a key file.
func parse(text []byte) (secret.Bytes, error) {
	line, err := onlyLine(string(text))
	if err != nil {
		return secret.Bytes{}, err
	}
	found, coded, ok := strings.Cut(strings.TrimPrefix(line, scheme), ":")
	if !ok || !strings.HasPrefix(line, scheme) {
		return secret.Bytes{}, ErrFormat
	}
	if found != version {
		return secret.Bytes{}, ErrFileVersion
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(coded)
	if err != nil || len(raw) != keyBytes+checkBytes {
		return secret.Bytes{}, ErrFormat
	}
	defer clear(raw)
	sum := sha256.Sum256(raw[:keyBytes])
	if string(sum[:checkBytes]) != string(raw[keyBytes:]) {
		return secret.Bytes{}, ErrFormat
	}
	return secret.New(raw[:keyBytes]), nil
}

// onlyLine returns the one line of text that is neither empty nor a comment.
func onlyLine(text string) (string, error) {
	only := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if only != "" {
			return "", ErrFormat
		}
		only = line
	}
	return only, nil
}
