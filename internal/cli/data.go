package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"
)

// maxInput is the most bytes that are read of the standard input or of a file:
// what the server takes in one request.
const maxInput = 32 << 20

// dataReader turns arguments into what a request sends: key=value, key=@file,
// key=- (the standard input), and for all at once @file and -, JSON objects. A
// backslash in front of an @ that is meant as such is dropped.
type dataReader struct {
	stdin io.Reader
	used  bool // stdin was read
}

// parse returns the object that args describe. A key that comes twice becomes a
// list.
func (d *dataReader) parse(args []string) (map[string]any, error) {
	data := map[string]any{}
	for i, arg := range args {
		if err := d.add(data, arg); err != nil {
			// Never the argument itself: it may hold a secret.
			return nil, &failure{code: exitLocal, text: fmt.Sprintf("Failed to parse K=V data: argument %d: %v", i+1, err)}
		}
	}
	return data, nil
}

func (d *dataReader) add(data map[string]any, arg string) error {
	switch {
	case arg == "-":
		return d.addObject(data, "-")
	case strings.HasPrefix(arg, "@"):
		return d.addObject(data, arg[1:])
	}
	key, value, ok := strings.Cut(arg, "=")
	if !ok || key == "" {
		return errors.New("want key=value, @file or -")
	}
	key = strings.TrimPrefix(key, `\`)
	text, err := d.value(value)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	put(data, key, text)
	return nil
}

// value reads what stands behind the equals sign.
func (d *dataReader) value(v string) (string, error) {
	switch {
	case v == "-":
		b, err := d.read("-")
		return string(b), err
	case strings.HasPrefix(v, "@"):
		b, err := d.read(v[1:])
		// Not the path: what was meant may be a secret that begins with an @.
		if at := new(fs.PathError); errors.As(err, &at) {
			err = fmt.Errorf("the file behind the @: %w (a value that begins with @ is written \\@)", at.Err)
		}
		return string(b), err
	case strings.HasPrefix(v, `\@`), strings.HasPrefix(v, `\-`) && len(v) == 2:
		return v[1:], nil
	}
	return v, nil
}

func (d *dataReader) addObject(data map[string]any, source string) error {
	b, err := d.read(source)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var object map[string]any
	if err := dec.Decode(&object); err != nil {
		return errors.New("not a JSON object") // the cause could quote a secret
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("more than one JSON object")
	}
	for k, v := range object {
		data[k] = v
	}
	return nil
}

func (d *dataReader) read(source string) ([]byte, error) {
	in := d.stdin
	if source == "-" {
		if d.used {
			return nil, errors.New("the standard input can be read only once")
		}
		d.used = true
	} else {
		f, err := os.Open(source)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err == nil && len(b) > maxInput {
		err = fmt.Errorf("more than %d bytes", maxInput)
	}
	return b, err
}

func put(data map[string]any, key string, value any) {
	switch old := data[key].(type) {
	case nil:
		if _, twice := data[key]; !twice {
			data[key] = value
			return
		}
		data[key] = []any{old, value}
	case []any:
		data[key] = append(old, value)
	default:
		data[key] = []any{old, value}
	}
}

// data parses the arguments from the given one on.
func (c *Call) data(from int) (map[string]any, error) {
	return (&dataReader{stdin: c.Stdin}).parse(c.Args[from:])
}

// query parses the arguments from the given one on, for requests without a body.
func (c *Call) query(from int) (url.Values, error) {
	data, err := c.data(from)
	if err != nil {
		return nil, err
	}
	q := url.Values{}
	for k, v := range data {
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, item := range list {
			q.Add(k, fmt.Sprint(item))
		}
	}
	return q, nil
}

// input reads a whole file, or the standard input for "-".
func (c *Call) input(source string) ([]byte, error) {
	b, err := (&dataReader{stdin: c.Stdin}).read(source)
	if err != nil {
		return nil, local(err)
	}
	return b, nil
}
