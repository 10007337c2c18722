package kv

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/logical"
)

func TestMetadata(t *testing.T) {
	blank := func(custom string) string { return metadata(start, start, 0, 0, custom, "") }
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"can be there before the first version", []step{
			{op: logical.Read, path: "metadata/a", err: logical.ErrNotFound},
			{op: logical.Write, path: "metadata/a"},
			{op: logical.Read, path: "metadata/a", want: blank("null")},
			{op: logical.Read, path: "data/a", err: logical.ErrNotFound},
			{op: logical.Delete, path: "data/a"},
			{op: logical.Write, path: "data/a", body: `{"data":{},"options":{"cas":0}}`, want: info(start, 1)},
			{op: logical.Read, path: "metadata/a", want: metadata(start, start, 1, 0, "null", `"1":`+times(start))},
		}},
		{"is shown with every version", []step{
			{op: logical.Write, path: "metadata/a", body: `{"custom_metadata":{"owner":"jdoe","n":5}}`},
			{op: logical.Write, path: "data/a", body: `{"data":{}}`, want: withCustom(info(start, 1), `{"n":"5","owner":"jdoe"}`)},
			{op: logical.Read, path: "data/a", want: `{"data":{},"metadata":` + withCustom(info(start, 1), `{"n":"5","owner":"jdoe"}`) + `}`},
			{op: logical.Read, path: "metadata/a", want: metadata(start, start, 1, 0, `{"n":"5","owner":"jdoe"}`, `"1":`+times(start))},
		}},
		{"keeps what a write does not name", []step{
			{op: logical.Write, path: "metadata/a", body: `{"max_versions":"7","cas_required":true,"delete_version_after":"90m","custom_metadata":{"a":"b"}}`},
			{op: logical.Write, path: "metadata/a", body: `{"max_versions":null}`},
			{op: logical.Read, path: "metadata/a", want: set(blank(`{"a":"b"}`), true, "1h30m0s", 7)},
			{op: logical.Write, path: "metadata/a", body: `{"max_versions":0,"cas_required":false,"delete_version_after":"0s","custom_metadata":{}}`},
			{op: logical.Read, path: "metadata/a", want: blank("null")},
		}},
		{"is replaced by a write and merged by a patch", []step{
			{op: logical.Patch, path: "metadata/a", body: `{"custom_metadata":{"a":"b"}}`, err: logical.ErrNotFound},
			{op: logical.Write, path: "metadata/a", body: `{"custom_metadata":{"a":"1","b":"2"}}`},
			{op: logical.Write, path: "metadata/a", body: `{"custom_metadata":{"c":"3","d":"4"}}`},
			{op: logical.Read, path: "metadata/a", want: blank(`{"c":"3","d":"4"}`)},
			{op: logical.Patch, path: "metadata/a", body: `{"custom_metadata":{"c":null,"d":"5","e":true,"f":null}}`},
			{op: logical.Read, path: "metadata/a", want: blank(`{"d":"5","e":"true"}`)},
			{op: logical.Patch, path: "metadata/a", body: `{"max_versions":3}`},
			{op: logical.Read, path: "metadata/a", want: set(blank(`{"d":"5","e":"true"}`), false, "0s", 3)},
		}},
		{"is reset by null in a patch", []step{
			{op: logical.Write, path: "metadata/a", body: `{"max_versions":7,"cas_required":true,"delete_version_after":"1s","custom_metadata":{"a":"b"}}`},
			{op: logical.Patch, path: "metadata/a", body: `{"max_versions":null,"cas_required":null,"delete_version_after":null,"custom_metadata":null}`},
			{op: logical.Read, path: "metadata/a", want: blank("null")},
		}},
		{"is not changed by a request that is refused", []step{
			{op: logical.Write, path: "metadata/a", body: `{"custom_metadata":{"a":"b"}}`},
			{op: logical.Patch, path: "metadata/a", body: `{"custom_metadata":{"a":"c","x":{}}}`, err: logical.ErrInvalid},
			{op: logical.Patch, path: "metadata/a", body: `{"custom_metadata":"x"}`, err: logical.ErrInvalid},
			{op: logical.Patch, path: "metadata/a", body: `{"custom_metadata":{"a":"c","":"x"}}`, err: logical.ErrInvalid},
			{op: logical.Write, path: "metadata/a", body: `{"custom_metadata":{"x":{}}}`, err: logical.ErrInvalid},
			{op: logical.Write, path: "metadata/a", body: `{"max_versions":-1}`, err: logical.ErrInvalid},
			{op: logical.Write, path: "metadata/a", body: `{"max_versions":"many"}`, err: logical.ErrInvalid},
			{op: logical.Read, path: "metadata/a", want: blank(`{"a":"b"}`)},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, "2")
			s.T = t
			s.script(c.steps)
		})
	}
}

func withCustom(answer, custom string) string {
	return strings.Replace(answer, `"custom_metadata":null`, `"custom_metadata":`+custom, 1)
}

// set is a metadata answer with other settings.
func set(answer string, cas bool, after string, versions int) string {
	return strings.Replace(answer, `"cas_required":false,"delete_version_after":"0s","max_versions":0`,
		fmt.Sprintf(`"cas_required":%t,"delete_version_after":%q,"max_versions":%d`, cas, after, versions), 1)
}

func TestCustomMetadataHasLimits(t *testing.T) {
	keys := func(n int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprint("k", i)] = "v"
		}
		return m
	}
	for _, c := range []struct {
		name   string
		custom map[string]string
		ok     bool
	}{
		{"none", nil, true},
		{"64 keys", keys(64), true},
		{"65 keys", keys(65), false},
		{"a key of 128 bytes", map[string]string{strings.Repeat("k", 128): ""}, true},
		{"a key of 129 bytes", map[string]string{strings.Repeat("k", 127) + "ä": ""}, false},
		{"an empty key", map[string]string{"": "v"}, false},
		{"a value of 512 bytes", map[string]string{"k": strings.Repeat("v", 512)}, true},
		{"a value of 513 bytes", map[string]string{"k": strings.Repeat("v", 513)}, false},
		{"words of any language", map[string]string{"schlüssel 鍵": "wert 値"}, true},
		{"a line break in a value", map[string]string{"k": "a\nb"}, false},
		{"a control character in a key", map[string]string{"k\x07": "v"}, false},
		{"bytes that are no text", map[string]string{"k": "\xff"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := checkCustom(c.custom)
			if (err == nil) != c.ok {
				t.Fatalf("error %v", err)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "custom_metadata validation failed: ") {
				t.Errorf("error %q", err)
			}
		})
	}
}
