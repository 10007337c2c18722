package runner

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// jsonWalk is a place in a JSON document.
type jsonWalk struct {
	content []byte
	in      *json.Decoder
	visit   visitor
	out     bytes.Buffer
	copied  int // bytes of content that are in out, or replaced there
}

// rewriteJSON changes nothing but the strings that are replaced.
func rewriteJSON(content []byte, visit visitor) ([]byte, error) {
	w := &jsonWalk{content: content, in: json.NewDecoder(bytes.NewReader(content)), visit: visit}
	w.in.UseNumber()
	for {
		err := w.value("")
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			line := 1 + bytes.Count(content[:w.in.InputOffset()], []byte("\n"))
			return nil, fmt.Errorf("line %d: not valid JSON", line)
		}
	}
	w.out.Write(content[w.copied:])
	return w.out.Bytes(), nil
}

// value reads one value, all below it included. The error is io.EOF if there is
// none.
func (w *jsonWalk) value(path string) error {
	before := int(w.in.InputOffset())
	token, err := w.in.Token()
	if err != nil {
		return err
	}
	switch token := token.(type) {
	case string:
		return w.text(path, token, before)
	case json.Delim:
		if token == '[' {
			return w.list(path)
		}
		return w.object(path)
	}
	return nil
}

func (w *jsonWalk) list(path string) error {
	for i := 0; w.in.More(); i++ {
		if err := w.value(indexPath(path, i)); err != nil {
			return inside(err)
		}
	}
	return w.end()
}

func (w *jsonWalk) object(path string) error {
	for w.in.More() {
		key, err := w.in.Token()
		if err != nil {
			return inside(err)
		}
		name, _ := key.(string)
		if err := w.value(keyPath(path, name)); err != nil {
			return inside(err)
		}
	}
	return w.end()
}

func (w *jsonWalk) end() error {
	_, err := w.in.Token()
	return inside(err)
}

// inside keeps an end of the file within a value from being taken for the end
// of the document.
func inside(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// text replaces the string that was just read. Between it and the token before
// there are blanks, a colon or a comma.
func (w *jsonWalk) text(path, text string, before int) error {
	replacement, ok := w.visit(path, text)
	if !ok {
		return nil
	}
	quoted, err := json.Marshal(replacement)
	if err != nil {
		return err
	}
	begin := before + bytes.IndexByte(w.content[before:], '"')
	w.out.Write(w.content[w.copied:begin])
	w.out.Write(quoted)
	w.copied = int(w.in.InputOffset())
	return nil
}
