package source

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
)

// Cache is the set of objects that one version of the rules has found to be clean:
// their git ids, and nothing of what they say. A nil Cache is empty and stays so.
type Cache struct {
	file  string
	width int    // bytes of an id
	old   []byte // ids, sorted
	fresh map[string]bool
}

// OpenCache loads what is known of the repository at dir from a file in folder,
// which is made. What fingerprint says of rules and options must agree, else the
// cache is empty.
func OpenCache(folder, dir, fingerprint string) (*Cache, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(abs + "\x00" + fingerprint))
	c := &Cache{file: filepath.Join(folder, hex.EncodeToString(sum[:16])), fresh: map[string]bool{}}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(c.file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	// One byte for the width of an id, the ids, and a sum over both: a file that was
	// cut off, or is another, is no cache.
	n := len(b) - sha256.Size
	if n < 1 || sha256.Sum256(b[:n]) != [sha256.Size]byte(b[n:]) {
		return c, nil
	}
	if width := int(b[0]); (width == 20 || width == 32) && (n-1)%width == 0 {
		c.width, c.old = width, b[1:n]
	}
	return c, nil
}

func (c *Cache) has(id string) bool {
	if c == nil || c.width*2 != len(id) {
		return false
	}
	raw, err := hex.DecodeString(id)
	if err != nil {
		return false
	}
	n := len(c.old) / c.width
	at := func(i int) []byte { return c.old[i*c.width : (i+1)*c.width] }
	i := sort.Search(n, func(i int) bool { return bytes.Compare(at(i), raw) >= 0 })
	return i < n && bytes.Equal(at(i), raw)
}

func (c *Cache) add(id string) {
	if c == nil || len(id)%2 != 0 {
		return
	}
	if raw, err := hex.DecodeString(id); err == nil {
		c.fresh[string(raw)] = true
	}
}

// save writes the cache beside its file, and then in its place.
func (c *Cache) save() error {
	if c == nil || len(c.fresh) == 0 {
		return nil
	}
	all := make([]string, 0, len(c.fresh)+len(c.old)/max(1, c.width))
	for i := 0; i+c.width <= len(c.old) && c.width > 0; i += c.width {
		all = append(all, string(c.old[i:i+c.width]))
	}
	for id := range c.fresh {
		all = append(all, id)
	}
	width := len(all[len(all)-1])
	slices.Sort(all)
	b := append(make([]byte, 0, 1+len(all)*width+sha256.Size), byte(width))
	for _, id := range slices.Compact(all) {
		if len(id) == width {
			b = append(b, id...)
		}
	}
	sum := sha256.Sum256(b)
	f, err := os.CreateTemp(filepath.Dir(c.file), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, sum[:]...))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), c.file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
