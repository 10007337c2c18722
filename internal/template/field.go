package template

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/cofferhq/coffer/secrets"
)

// field returns what a reference names in the answer, as text: strings as they
// are, all else as compact JSON.
func (a *Answer) field(ref secrets.Reference) (string, error) {
	if a.err != nil {
		return "", a.err
	}
	if value, ok, err := secrets.Field(a.data(), ref.Key); ok {
		return value, err
	}
	if text, has := ref.Default(); has {
		return text, nil
	}
	switch {
	case ref.Optional:
		return "", nil
	case a.data() == nil:
		return "", ErrAbsent
	}
	return "", errors.New("the secret has no such field")
}

// data is what a reference looks at: of KV version 2 the secret without what
// stands around it. Nil: there is none.
func (a *Answer) data() map[string]any {
	if a.secret == nil {
		return nil
	}
	if a.query.mount == "" && a.version == 0 {
		return a.secret.Data
	}
	inner, _ := a.secret.Data["data"].(map[string]any)
	return inner
}

// plain is a value as text.
func plain(value any) (string, error) {
	if text, ok := value.(string); ok {
		return text, nil
	}
	text, err := encodeJSON(value, "")
	return string(text), err
}

// encodeJSON writes JSON without a line end, and leaves <, > and & as they are.
func encodeJSON(value any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(value); err != nil {
		return nil, errors.New("the value cannot be written as JSON") // the cause could quote it
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
