package barrier

import (
	"encoding/binary"
	"iter"

	"github.com/cofferhq/coffer/internal/storage"
)

// The plaintext of an entry is the length of the names (uvarint), the names in
// its key as their raw segments, and the value. The additional data is the
// hidden key, so that no entry opens at another's place.

// sealEntry returns what is stored at hidden for the entry key, value.
func (k *keys) sealEntry(hidden, key string, value []byte) ([]byte, error) {
	plaintext := make([]byte, 0, binary.MaxVarintLen16+len(key)+len(value))
	defer func() { clear(plaintext) }()
	plaintext = appendRecord(plaintext, key, value)
	return k.values.Encrypt(plaintext, []byte(hidden))
}

// openEntry returns the names and the value of what is stored at hidden.
func (k *keys) openEntry(hidden string, ciphertext []byte) (names, value []byte, err error) {
	plaintext, err := k.values.Decrypt(ciphertext, []byte(hidden))
	if err != nil {
		return nil, nil, ErrDecrypt
	}
	return splitRecord(plaintext)
}

func appendRecord(dst []byte, key string, value []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(namesLen(key)))
	for name := range names(key) {
		dst = append(dst, name...)
	}
	return append(dst, value...)
}

func namesLen(key string) int {
	n := 0
	for name := range names(key) {
		n += len(name)
	}
	return n
}

// names yields the names in key, raw. The key is one that hide accepts.
func names(key string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for key != "" {
			seg, rest, err := storage.Cut(key)
			if err != nil || seg.Hidden() && !yield(seg.Raw) {
				return
			}
			key = rest
		}
	}
}

// splitRecord splits the plaintext of an entry. The parts alias it; value is
// never nil.
func splitRecord(plaintext []byte) (names, value []byte, err error) {
	n, size := binary.Uvarint(plaintext)
	if size <= 0 || n > uint64(len(plaintext)-size) {
		return nil, nil, ErrDecrypt
	}
	names = plaintext[size : size+int(n)]
	return names, plaintext[size+int(n):], nil
}
