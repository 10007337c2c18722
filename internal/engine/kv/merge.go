package kv

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cofferhq/coffer/internal/logical"
)

// mergePatch applies a JSON merge patch (RFC 7386) to target. Numbers keep their
// digits. It returns logical.ErrInvalid if the patch is not JSON.
func mergePatch(target, patch json.RawMessage) (json.RawMessage, error) {
	old, err := decode(target)
	if err != nil {
		return nil, errors.New("kv record: malformed")
	}
	change, err := decode(patch)
	if err != nil {
		return nil, logical.Invalid("failed to parse JSON input")
	}
	merged, err := json.Marshal(merge(old, change))
	if err != nil {
		return nil, fmt.Errorf("kv record: %w", err)
	}
	return merged, nil
}

// merge is the procedure of RFC 7386 §2. It may change target.
func merge(target, patch any) any {
	change, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := target.(map[string]any)
	if !ok {
		object = make(map[string]any, len(change))
	}
	for key, value := range change {
		if value == nil {
			delete(object, key)
		} else {
			object[key] = merge(object[key], value)
		}
	}
	return object
}

// subkeys returns the keys of an object, down to depth levels (0: all), with null
// in place of every value and of objects that are empty or too deep.
func subkeys(data json.RawMessage, depth int) (any, error) {
	v, err := decode(data)
	if err != nil {
		return nil, errors.New("kv record: malformed")
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("kv record: malformed")
	}
	strip(object, depth)
	return object, nil
}

func strip(object map[string]any, depth int) {
	for key, value := range object {
		below, ok := value.(map[string]any)
		if !ok || len(below) == 0 || depth == 1 {
			object[key] = nil
			continue
		}
		strip(below, max(0, depth-1))
	}
}

// decode reads JSON with numbers as they are written.
func decode(raw json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return v, nil
}
