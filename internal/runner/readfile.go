package runner

import (
	"errors"
	"io"
	"os"
)

// maxFileBytes bounds the files that are read whole.
const maxFileBytes = 1 << 20

// readFile is os.ReadFile with a bound.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFileBytes {
		return nil, errors.New(path + ": more than 1 MiB")
	}
	return content, nil
}
