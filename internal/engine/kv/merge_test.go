package kv

import (
	"encoding/json"
	"reflect"
	"testing"
)

// The examples of RFC 7386, appendix A.
func TestMergePatch(t *testing.T) {
	for _, c := range []struct{ original, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		t.Run(c.original+" with "+c.patch, func(t *testing.T) {
			got, err := mergePatch(json.RawMessage(c.original), json.RawMessage(c.patch))
			if err != nil || string(got) != c.want {
				t.Errorf("got %s, error %v, want %s", got, err, c.want)
			}
		})
	}
}

// mustDecode returns nil and false if raw is no JSON.
func mustDecode(raw []byte) (any, bool) {
	if !json.Valid(raw) {
		return nil, false
	}
	v, err := decode(raw)
	return v, err == nil
}

// A patch that is applied twice changes nothing the second time, and after it
// nothing contradicts the patch.
func FuzzMergePatch(f *testing.F) {
	f.Add([]byte(`{"a":{"b":1e400,"c":[null]}}`), []byte(`{"a":{"b":null,"d":{"e":null}}}`))
	f.Add([]byte(`[1]`), []byte(`{"a":12345678901234567890}`))
	f.Fuzz(func(t *testing.T, original, patch []byte) {
		_, ok := mustDecode(original)
		change, ok2 := mustDecode(patch)
		if !ok || !ok2 {
			return
		}
		once, err := mergePatch(original, patch)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := mergePatch(once, patch)
		if err != nil || string(once) != string(twice) {
			t.Errorf("once %s, twice %s, error %v", once, twice, err)
		}
		merged, ok := mustDecode(once)
		if !ok || !obeys(merged, change) {
			t.Errorf("%s does not obey %s", once, patch)
		}
	})
}

// obeys says whether a value is as a patch wants it.
func obeys(value, patch any) bool {
	change, ok := patch.(map[string]any)
	if !ok {
		return reflect.DeepEqual(value, patch)
	}
	object, ok := value.(map[string]any)
	if !ok {
		return false
	}
	for key, want := range change {
		got, there := object[key]
		if want == nil && there || want != nil && !obeys(got, want) {
			return false
		}
	}
	return true
}

// Subkeys are the keys, and nothing but the keys.
func FuzzSubkeys(f *testing.F) {
	f.Add([]byte(`{"a":{"b":1,"c":{}},"d":[{"e":1}]}`), 0)
	f.Add([]byte(`{"a":{"b":{"c":1}}}`), 2)
	f.Fuzz(func(t *testing.T, data []byte, depth int) {
		v, ok := mustDecode(data)
		object, isObject := v.(map[string]any)
		if !ok || !isObject || depth < 0 {
			return
		}
		got, err := subkeys(data, depth)
		if err != nil {
			t.Fatal(err)
		}
		if depth == 0 {
			depth = len(data) // deeper than any
		}
		if !sameKeys(object, got.(map[string]any), depth) {
			got, _ := json.Marshal(got)
			t.Errorf("of %s to depth %d: %s", data, depth, got)
		}
	})
}

func sameKeys(object, keys map[string]any, depth int) bool {
	if len(object) != len(keys) || depth == 0 {
		return false
	}
	for key, value := range object {
		below, ok := keys[key]
		if !ok {
			return false
		}
		inner, _ := value.(map[string]any)
		if below == nil {
			if len(inner) > 0 && depth > 1 {
				return false
			}
			continue
		}
		if stripped, ok := below.(map[string]any); !ok || len(inner) == 0 || !sameKeys(inner, stripped, depth-1) {
			return false
		}
	}
	return true
}
