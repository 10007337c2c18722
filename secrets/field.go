package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// Field returns what the key of a reference names in the data of a secret, as
// text: see [Reference]. It is not there if ok is false.
func Field(data map[string]any, key string) (text string, ok bool, err error) {
	value, ok := find(data, key)
	if !ok {
		return "", false, nil
	}
	text, err = render(value)
	return text, true, err
}

func find(data map[string]any, key string) (any, bool) {
	pointer, isPointer := strings.CutPrefix(key, "/")
	if !isPointer {
		value, ok := data[key]
		return value, ok
	}
	var at any = data
	for token := range strings.SplitSeq(pointer, "/") {
		var ok bool
		if at, ok = step(at, unescapeToken.Replace(token)); !ok {
			return nil, false
		}
	}
	return at, true
}

// unescapeToken undoes the escapes of RFC 6901 §3.
var unescapeToken = strings.NewReplacer("~0", "~", "~1", "/")

func step(at any, token string) (any, bool) {
	switch at := at.(type) {
	case map[string]any:
		value, ok := at[token]
		return value, ok
	case []any:
		n, err := strconv.Atoi(token)
		if err != nil || n < 0 || n >= len(at) || token != strconv.Itoa(n) {
			return nil, false
		}
		return at[n], true
	}
	return nil, false
}

// render gives strings as they are and all else as compact JSON, numbers as the
// server wrote them.
func render(value any) (string, error) {
	if text, ok := value.(string); ok {
		return text, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return "", errors.New("its value cannot be written as JSON") // the cause could quote it
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
