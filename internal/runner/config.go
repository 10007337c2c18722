package runner

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/cofferhq/coffer/internal/file"
	"github.com/cofferhq/coffer/internal/secret"
)

// maxFileMiB bounds the files that are read whole.
const maxFileMiB = 1

// visitor is shown every string value of a document, in a fixed order, with the
// path of its key ("db.hosts[0].password"). It returns what to write instead,
// or false to leave it.
type visitor func(path, text string) (string, bool)

// format is how a kind of file is rewritten. The error of rewrite names a line if
// it can, and repeats nothing of the content.
type format struct {
	rewrite func(content []byte, visit visitor) ([]byte, error)
	isText  bool // the whole file is one string
}

// formats are by extension.
var formats = map[string]format{
	".yaml": {rewrite: rewriteYAML},
	".yml":  {rewrite: rewriteYAML},
	".json": {rewrite: rewriteJSON},
	".toml": {rewrite: rewriteTOML},
}

var textFormat = format{rewrite: rewriteText, isText: true}

func rewriteText(content []byte, visit visitor) ([]byte, error) {
	if text, ok := visit("", string(content)); ok {
		return []byte(text), nil
	}
	return content, nil
}

// config is the program's config file.
type config struct {
	file    string
	format  format
	content secret.Bytes
	slots   []string // of the strings, in the visitor's order; empty: it stays
}

func loadConfig(path string) (*config, error) {
	content, err := file.Read(path, maxFileMiB)
	if err != nil {
		return nil, err
	}
	f, ok := formats[strings.ToLower(filepath.Ext(path))]
	if !ok {
		f = textFormat
	}
	return &config{file: path, format: f, content: secret.New(content)}, nil
}

// base is the file's name without its folder, which programs tell the format by.
func (c *config) base() string { return filepath.Base(c.file) }

// find collects the references.
func (c *config) find(s *slots) error {
	_, err := c.format.rewrite(c.content.Reveal(), func(path, text string) (string, bool) {
		slot := ""
		if c.format.isText {
			slot = s.addText(c.file, text)
		} else {
			slot = s.add(c.file+": "+path, text, strictly)
		}
		c.slots = append(c.slots, slot)
		return "", false
	})
	if err != nil {
		return fmt.Errorf("%s: %w", c.file, err)
	}
	return nil
}

// strictly takes every text that begins like a reference for one.
const strictly = false

// fill returns the content with values. A value that is absent is an empty text.
func (c *config) fill(values values) ([]byte, error) {
	if strings.Join(c.slots, "") == "" {
		return c.content.Reveal(), nil // as it is, to the last blank
	}
	n := -1
	var problems []error
	filled, err := c.format.rewrite(c.content.Reveal(), func(string, string) (string, bool) {
		n++
		slot := c.slots[n]
		if slot == "" {
			return "", false
		}
		text, _ := values.value(slot)
		if !c.format.isText && !utf8.ValidString(text) {
			problems = append(problems, fmt.Errorf("%s: the value is not UTF-8, which the format demands", slot))
		}
		return text, true
	})
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.file, err)
	}
	return filled, nil
}

// keyPath appends a key to a path. Keys that would look like more than one are
// quoted.
func keyPath(path, key string) string {
	if key == "" || strings.ContainsAny(key, ". []\"'") {
		key = fmt.Sprintf("%q", key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func indexPath(path string, index int) string { return fmt.Sprintf("%s[%d]", path, index) }
