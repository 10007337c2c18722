package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/cofferhq/coffer/redact"
)

// maxValuesBytes bounds a file of values.
const maxValuesBytes = 64 << 20

// loadValues reads a file of values to remove; "-" is stdin.
func loadValues(path string, stdin io.Reader) ([]redact.Value, error) {
	name, from := "standard input", stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		name, from = filepath.Base(path), f
	}
	content, err := io.ReadAll(io.LimitReader(from, maxValuesBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(content) > maxValuesBytes {
		return nil, fmt.Errorf("%s: more than 64 MiB", path)
	}
	values, err := parseValues(name, content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return values, nil
}

// parseValues reads JSON, if content begins as an object or a list does, else
// one value a line. Errors hold nothing of the values.
func parseValues(file string, content []byte) ([]redact.Value, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	switch trimmed := bytes.TrimSpace(content); {
	case bytes.HasPrefix(trimmed, []byte("{")):
		return parseNamedValues(trimmed)
	case bytes.HasPrefix(trimmed, []byte("[")):
		return parseValueList(file, trimmed)
	}
	var values []redact.Value
	line := 0
	for text := range bytes.Lines(content) {
		line++
		if text = bytes.TrimSpace(text); len(text) > 0 {
			values = append(values, redact.Secret(fmt.Sprintf("%s:%d", file, line), text))
		}
	}
	return values, nil
}

// errNotJSON hides what the decoder says, which may quote a value.
var errNotJSON = errors.New(`begins as JSON does and is none: want {"NAME":"value"}, ["value"], or one value a line that does not begin with { or [`)

func parseNamedValues(content []byte) ([]redact.Value, error) {
	var entries map[string]json.RawMessage
	if json.Unmarshal(content, &entries) != nil {
		return nil, errNotJSON
	}
	var values []redact.Value
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		text, err := valueText(entries[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		values = append(values, redact.Secret(name, text))
	}
	return values, nil
}

func parseValueList(file string, content []byte) ([]redact.Value, error) {
	var entries []json.RawMessage
	if json.Unmarshal(content, &entries) != nil {
		return nil, errNotJSON
	}
	var values []redact.Value
	for i, entry := range entries {
		text, err := valueText(entry)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		values = append(values, redact.Secret(fmt.Sprintf("%s:%d", file, i+1), text))
	}
	return values, nil
}

func valueText(entry json.RawMessage) (string, error) {
	var text string
	if json.Unmarshal(entry, &text) == nil && !bytes.Equal(entry, []byte("null")) {
		return text, nil
	}
	var number json.Number
	if json.Unmarshal(entry, &number) == nil && number != "" {
		return number.String(), nil
	}
	return "", errors.New("want a text or a number")
}
