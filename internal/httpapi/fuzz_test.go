package httpapi

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// A body is taken if it is a JSON object and neither too deep nor too much: what
// is counted without parsing is what a parser finds.
func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":[1,{"b":"]}\\\""}],"c":[]}`, `[{}]`, `{"a":1}x`, `{"a":"\"`, `"`, `{"a":tru}`, "{\"\xff\":1}", `{"a":[[[[]]]]}`, `}{`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if raw = bytes.TrimSpace(raw); len(raw) == 0 {
			return
		}
		err := checkJSON(raw)
		isObject := raw[0] == '{' && json.Valid(raw) && utf8.Valid(raw)
		if err == nil && !isObject {
			t.Fatalf("%q is taken", raw)
		}
		if !isObject {
			return
		}
		depth, values := weigh(raw)
		if d := depthOf(raw); d != depth {
			t.Errorf("%q: %d deep; it is %d", raw, depth, d)
		}
		var whole any
		if err := json.Unmarshal(raw, &whole); err == nil && count(whole) > values+1 { // a number may be too large
			t.Errorf("%q: %d values; it has %d", raw, values, count(whole))
		}
		if (err == nil) != (depth <= maxJSONDepth && values <= maxJSONValues) {
			t.Errorf("%q: %v", raw, err)
		}
	})
}

// depthOf is the depth as the parser finds it.
func depthOf(raw []byte) int {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	for now, depth := 0, 0; ; depth = max(depth, now) {
		token, err := dec.Token()
		switch {
		case err != nil:
			return depth
		case token == json.Delim('{') || token == json.Delim('['):
			now++
		case token == json.Delim('}') || token == json.Delim(']'):
			now--
		}
	}
}

// count returns how many values v is, with itself.
func count(v any) int {
	n := 1
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			n += count(item)
		}
	case map[string]any:
		for _, member := range v {
			n += count(member)
		}
	}
	return n
}
