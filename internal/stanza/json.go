package stanza

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

// ParseJSON reads a JSON value. Its errors are [*SyntaxError].
func ParseJSON(text []byte) (Node, error) {
	r := &jsonReader{text: text, dec: json.NewDecoder(bytes.NewReader(text)), line: 1}
	r.dec.UseNumber()
	n, err := r.node()
	if err != nil {
		return Node{}, err
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return Node{}, &SyntaxError{r.here(), "text after the end of the object"}
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
		return nil, &SyntaxError{r.here(), EndsEarly}
	}
	return nil, &SyntaxError{r.here(), "malformed JSON"}
}

func (r *jsonReader) node() (Node, error) {
	t, err := r.token()
	if err != nil {
		return Node{}, err
	}
	switch t := t.(type) {
	case nil:
		return Node{Shape: Null, Line: r.here()}, nil
	case json.Delim:
		return r.nested(t)
	}
	return Node{Shape: Scalar, Line: r.here(), Value: t}, nil
}

// nested reads what follows an opening bracket.
func (r *jsonReader) nested(open json.Delim) (Node, error) {
	n := Node{Shape: List, Line: r.here()}
	if r.depth++; r.depth > maxDepth {
		return Node{}, tooDeep(n.Line)
	}
	defer func() { r.depth-- }()
	if open == '{' {
		n.Shape = Object
	}
	for r.dec.More() {
		if err := r.element(&n); err != nil {
			return Node{}, err
		}
	}
	_, err := r.token() // the closing bracket
	return n, err
}

// element reads one item of a list or entry of an object.
func (r *jsonReader) element(into *Node) error {
	var e Entry
	if into.Shape == Object {
		key, err := r.token()
		if err != nil {
			return err
		}
		e.Key, _ = key.(string) // the decoder refuses every other key
		e.Line = r.here()
	}
	inner, err := r.node()
	if err != nil {
		return err
	}
	if into.Shape == List {
		into.Items = append(into.Items, inner)
		return nil
	}
	e.Value = inner
	into.Entries = append(into.Entries, e)
	return nil
}
