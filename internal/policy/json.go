package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// jsonReader reads JSON into nodes. HCL's own reader of JSON knows no lines,
// drops booleans in lists and takes text after the end.
type jsonReader struct {
	text  []byte
	dec   *json.Decoder
	line  int // of the byte at upTo, from 1
	upTo  int // bytes of text whose lines are counted
	depth int
}

// parseJSON reads a JSON value.
func parseJSON(text []byte) (node, error) {
	r := &jsonReader{text: text, dec: json.NewDecoder(bytes.NewReader(text)), line: 1}
	r.dec.UseNumber()
	n, err := r.node()
	if err != nil {
		return node{}, err
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return node{}, errorAt(r.here(), "text after the end of the object")
	}
	return n, nil
}

// here returns the line that the decoder has reached.
func (r *jsonReader) here() int {
	at := min(int(r.dec.InputOffset()), len(r.text))
	r.line += bytes.Count(r.text[r.upTo:at], []byte{'\n'})
	r.upTo = at
	return r.line
}

func (r *jsonReader) token() (json.Token, error) {
	t, err := r.dec.Token()
	switch {
	case err == nil:
		return t, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errorAt(r.here(), "the text ends before a value does")
	}
	return nil, errorAt(r.here(), "malformed JSON")
}

func (r *jsonReader) node() (node, error) {
	t, err := r.token()
	if err != nil {
		return node{}, err
	}
	if open, ok := t.(json.Delim); ok {
		return r.nested(open)
	}
	return node{line: r.here(), value: t}, nil
}

// nested reads what follows an opening bracket.
func (r *jsonReader) nested(open json.Delim) (node, error) {
	n := node{shape: list, line: r.here()}
	if r.depth++; r.depth > maxDepth {
		return node{}, errorAt(n.line, "nested deeper than %d blocks", maxDepth)
	}
	if open == '{' {
		n.shape = object
	}
	for r.dec.More() {
		var key json.Token
		var err error
		if n.shape == object {
			if key, err = r.token(); err != nil {
				return node{}, err
			}
		}
		line := r.here()
		value, err := r.node()
		if err != nil {
			return node{}, err
		}
		if n.shape == list {
			n.items = append(n.items, value)
			continue
		}
		text, _ := key.(string) // a JSON key is nothing else
		n.entries = append(n.entries, entry{text, line, value})
	}
	r.depth--
	_, err := r.token() // the closing bracket
	return n, err
}
