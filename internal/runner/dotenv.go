package runner

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/joho/godotenv"
)

// maxFileBytes bounds the files that are read whole.
const maxFileBytes = 1 << 20

// loadDotenv reads a file in dotenv's format. Its errors name file and line,
// and never repeat a word of the file.
func loadDotenv(path string) (map[string]string, error) {
	content, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parseDotenv(path, content)
}

func parseDotenv(path string, content []byte) (map[string]string, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	read, err := godotenv.UnmarshalBytes(content)
	if err != nil || hasBadName(read) {
		return nil, fmt.Errorf("%s, line %d: want NAME=VALUE", path, badLine(content))
	}
	return read, nil
}

// hasBadName finds what the parser lets pass: a line that has no =, or no name.
func hasBadName(read map[string]string) bool {
	for name := range read {
		if name == "" || strings.ContainsAny(name, "= \t\x00") {
			return true
		}
	}
	return false
}

// badLine returns the number of the line at which the first statement that
// cannot be parsed begins. A statement has more than one line if it has a
// quote that is open at the end of the first.
func badLine(content []byte) int {
	lines := strings.SplitAfter(string(content), "\n")
	for begin := 0; begin < len(lines); {
		end := begin + 1
		read, err := godotenv.Unmarshal(lines[begin])
		for err != nil && strings.HasPrefix(err.Error(), "unterminated") && end < len(lines) {
			end++
			read, err = godotenv.Unmarshal(strings.Join(lines[begin:end], ""))
		}
		if err != nil || hasBadName(read) {
			return begin + 1
		}
		begin = end
	}
	return len(lines)
}

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
