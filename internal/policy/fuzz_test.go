package policy

import (
	"bytes"
	"encoding/json"
	"testing"
)

// Of exactly what is an object, each parameter is seen, the last of a name last.
func FuzzEachParameter(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `{}`, `{"a":1,"A":2}`, `{"a":{"b":[1,{}]},"":null}`, `{"a":1}{}`, `[{}]`, `{"a":1,}`, `{"a" 1}`, `{,}`, ` {"\ud800":1e400} `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		last := map[string]any{}
		err := eachParameter(body, func(name string, value any) { last[name] = value })
		var object map[string]json.RawMessage
		isObject := len(body) == 0 || json.Unmarshal(body, &object) == nil && (object != nil || string(body) == "null")
		if (err == nil) != isObject {
			t.Fatalf("%q: %v", body, err)
		}
		for name := range object {
			if _, seen := last[string(bytes.ToLower([]byte(name)))]; err == nil && !seen {
				t.Errorf("%q: %q was not seen", body, name)
			}
		}
	})
}
