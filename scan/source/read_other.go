//go:build !unix

package source

import (
	"bytes"
	"os"
)

// readFile reads a file into a buffer that is used again. size is what to expect.
func readFile(path string, size int64, buf []byte) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return buf, err
	}
	defer file.Close()
	b := bytes.NewBuffer(buf)
	b.Grow(int(size) + bytes.MinRead)
	_, err = b.ReadFrom(file)
	return b.Bytes(), err
}
