package runner

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cofferhq/coffer/internal/file"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/secrets"
)

// DefaultMaxAge is how old the values of a cache may be.
const DefaultMaxAge = 24 * time.Hour

// Offline says how a program may start while the server is away: with the values
// of an earlier start.
type Offline struct {
	MaxAge  time.Duration // zero: DefaultMaxAge
	File    string        // of the cache
	KeyFile string        // empty: the credential coffer-cache-key of systemd
}

// cacheCredential is the name of the key among systemd's credentials.
const cacheCredential = "coffer-cache-key"

// cache is a file with the last known good values, encrypted: nothing but what the
// references of one run stand for. Its key never comes from the login, which a
// thief of the file may have, too.
type cache struct {
	file    string
	maxAge  time.Duration
	aead    cipher.AEAD
	subject []byte // what the values are of: additional data
}

const (
	cacheMagic = "coffer cache 1\n"
	// minKeyBytes is the least that a key file holds, of random bytes or of their
	// encoding.
	minKeyBytes = 32
	// maxSkew is how far in the future a cache may have been written: clocks differ.
	maxSkew = 5 * time.Minute
)

// openCache reads the key. It touches no cache.
func openCache(o *Offline, getenv func(string) string, subject []byte) (*cache, error) {
	if o.File == "" {
		return nil, errors.New("-offline-ok needs a file for the values: -cache FILE")
	}
	key, err := loadCacheKey(o, getenv)
	if err != nil {
		return nil, err
	}
	derived, err := hkdf.Key(sha256.New, key.Reveal(), nil, cacheMagic, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	// 96-bit nonces, at random: enough for 2³² files of one key (SP 800-38D §8.3).
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	c := &cache{file: o.File, maxAge: o.MaxAge, aead: aead, subject: subject}
	if c.maxAge == 0 {
		c.maxAge = DefaultMaxAge
	}
	return c, nil
}

// subjectOf is what a cache is of: a server, and a set of references and templates.
func subjectOf(server string, slots map[string]secrets.Template, templates []fileTemplate) []byte {
	b := []byte(cacheMagic)
	add := func(text string) {
		b = binary.BigEndian.AppendUint64(b, uint64(len(text)))
		b = append(b, text...)
	}
	add(server)
	for _, name := range sortedNames(slots) {
		add(name)
		add(slots[name].Text())
	}
	for _, t := range templates {
		add(t.name)
		add(t.text)
	}
	return b
}

func loadCacheKey(o *Offline, getenv func(string) string) (secret.Bytes, error) {
	path, open := o.KeyFile, fs.FileMode(0o077)
	if path == "" {
		dir := getenv(credentialsVariable)
		if dir == "" {
			return secret.Bytes{}, fmt.Errorf("-offline-ok needs a key: -cache-key-file, or the credential %s of systemd (LoadCredentialEncrypted=)", cacheCredential)
		}
		// The group's bits are the mask of an access list, where systemd uses one.
		path, open = filepath.Join(dir, cacheCredential), 0o037
	}
	info, err := os.Stat(path)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("key of the cache: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode()&open != 0 {
		return secret.Bytes{}, fmt.Errorf("key of the cache: %s must be a file that nobody else can read: chmod 0600 %[1]s", path)
	}
	if sameFolder(path, o.File) {
		return secret.Bytes{}, fmt.Errorf("key of the cache: %s lies in the folder of the cache, and would be stolen with it: keep it elsewhere", path)
	}
	content, err := file.Read(path, maxFileMiB)
	if err != nil {
		return secret.Bytes{}, err
	}
	if len(content) < minKeyBytes {
		return secret.Bytes{}, fmt.Errorf("key of the cache: %s has less than %d bytes: make one with \"head -c 32 /dev/urandom | base64\"", path, minKeyBytes)
	}
	return secret.New(content), nil
}

func sameFolder(a, b string) bool {
	x, err1 := os.Stat(filepath.Dir(a))
	y, err2 := os.Stat(filepath.Dir(b))
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// cached is the content of a cache.
type cached struct {
	Time   time.Time         `json:"time"`
	Values map[string][]byte `json:"values"` // by slot; bytes, as JSON's texts are UTF-8
	Files  []cachedFile      `json:"files,omitempty"`
}

// cachedFile is what a template gave.
type cachedFile struct {
	Content []byte   `json:"content"`
	Secrets [][]byte `json:"secrets"`
}

// store writes the values.
func (c *cache) store(v values, slots []string) error {
	content := cached{Time: time.Now().UTC(), Values: map[string][]byte{}}
	for _, slot := range slots {
		if text, ok := v.value(slot); ok {
			content.Values[slot] = []byte(text)
		}
	}
	for _, r := range v.rendered {
		f := cachedFile{Content: r.content.Reveal()}
		for _, text := range r.secrets {
			f.Secrets = append(f.Secrets, text.Reveal())
		}
		content.Files = append(content.Files, f)
	}
	plain, err := json.Marshal(content)
	if err != nil {
		return errors.New("the values cannot be encoded") // the cause could quote them
	}
	defer clear(plain)
	nonce := make([]byte, c.aead.NonceSize())
	rand.Read(nonce)
	sealed := c.aead.Seal(append([]byte(cacheMagic), nonce...), nonce, plain, c.subject)
	return writeOutputs([]output{{path: c.file, content: sealed, mode: 0o600}})
}

// load returns the values, and when they were read.
func (c *cache) load(templates []fileTemplate) (values, time.Time, error) {
	sealed, err := file.Read(c.file, maxFileMiB)
	if err != nil {
		return values{}, time.Time{}, err
	}
	content, err := c.open(sealed)
	if err != nil {
		return values{}, time.Time{}, fmt.Errorf("%s: %w", c.file, err)
	}
	age := time.Since(content.Time)
	if age > c.maxAge || age < -maxSkew {
		return values{}, time.Time{}, fmt.Errorf("%s: its values are of %s, and may be %v old: -offline-ok says how old",
			c.file, content.Time.Format(time.RFC3339), c.maxAge)
	}
	v := values{value: func(slot string) (string, bool) {
		text, ok := content.Values[slot]
		return string(text), ok
	}}
	if len(content.Files) != len(templates) {
		return values{}, time.Time{}, fmt.Errorf("%s: %w", c.file, errCacheUnreadable)
	}
	for i, t := range templates {
		r := rendering{name: t.name, content: secret.New(content.Files[i].Content)}
		for _, text := range content.Files[i].Secrets {
			r.secrets = append(r.secrets, secret.New(text))
		}
		v.rendered = append(v.rendered, r)
	}
	return v, content.Time, nil
}

var errCacheUnreadable = errors.New("it is no cache of these references, this server and this key")

func (c *cache) open(sealed []byte) (*cached, error) {
	n := len(cacheMagic) + c.aead.NonceSize()
	if len(sealed) < n || string(sealed[:len(cacheMagic)]) != cacheMagic {
		return nil, errCacheUnreadable
	}
	plain, err := c.aead.Open(nil, sealed[len(cacheMagic):n], sealed[n:], c.subject)
	if err != nil {
		return nil, errCacheUnreadable
	}
	defer clear(plain)
	content := new(cached)
	if json.Unmarshal(plain, content) != nil {
		return nil, errCacheUnreadable
	}
	return content, nil
}
