package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// jsonReader reads JSON into values. HCL's own reader of JSON knows no lines,
// drops booleans in lists and takes text after the end.
type jsonReader struct {
	text  []byte
	dec   *json.Decoder
	line  int // of the byte at upTo, from 1
	upTo  int // bytes of text whose lines are counted
	depth int
}

// parseJSON reads a JSON object. Its errors are *syntaxError.
func parseJSON(text []byte) (value, error) {
	r := &jsonReader{text: text, dec: json.NewDecoder(bytes.NewReader(text)), line: 1}
	r.dec.UseNumber()
	v, err := r.value()
	if err != nil {
		return value{}, err
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return value{}, &syntaxError{r.here(), "text after the end of the object"}
	}
	return v, nil
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
	if err == nil {
		return t, nil
	}
	text := "malformed JSON"
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		text = "the file ends before a value does"
	}
	return nil, &syntaxError{r.here(), text}
}

func (r *jsonReader) value() (value, error) {
	t, err := r.token()
	if err != nil {
		return value{}, err
	}
	v := value{shape: scalar, line: r.here()}
	switch t := t.(type) {
	case json.Delim:
		return r.nested(v.line, t)
	case string:
		v.text = t
	case json.Number:
		v.text = t.String()
	case bool:
		v.text = strconv.FormatBool(t)
	case nil:
		v.shape = null
	}
	return v, nil
}

// nested reads what follows an opening bracket.
func (r *jsonReader) nested(line int, open json.Delim) (value, error) {
	if r.depth++; r.depth > maxDepth {
		return value{}, &syntaxError{line, fmt.Sprintf("nested deeper than %d blocks", maxDepth)}
	}
	defer func() { r.depth-- }()
	v := value{shape: list, line: line}
	if open == '{' {
		v.shape = object
	}
	for r.dec.More() {
		if err := r.element(&v); err != nil {
			return value{}, err
		}
	}
	_, err := r.token() // the closing bracket
	return v, err
}

// element reads one item of a list or entry of an object.
func (r *jsonReader) element(v *value) error {
	var e entry
	if v.shape == object {
		key, err := r.token()
		if err != nil {
			return err
		}
		e.key, _ = key.(string) // the decoder refuses every other key
		e.line = r.here()
	}
	inner, err := r.value()
	if err != nil {
		return err
	}
	if v.shape == list {
		v.items = append(v.items, inner)
		return nil
	}
	e.value = inner
	v.entries = append(v.entries, e)
	return nil
}
