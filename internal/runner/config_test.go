package runner

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// shout replaces every string that begins with "ref" by its path.
func shout(path, text string) (string, bool) {
	return "<" + path + ">", strings.HasPrefix(text, "ref")
}

func TestFormatsReplaceStringsOnly(t *testing.T) {
	tests := []struct{ name, ext, content, want string }{
		{"YAML keeps comments, order and anchors", ".yaml",
			"# top\nz: ref # why\na: &x\n  - ref\n  - 1\nb: *x\nref: 'ref'\n\"a.b\": ref\n",
			"# top\nz: \"<z>\" # why\na: &x\n  - \"<a[0]>\"\n  - 1\nb: *x\nref: \"<ref>\"\n\"a.b\": \"<\\\"a.b\\\">\"\n"},
		{"YAML of several documents", ".yml", "a: ref\n---\nb: ref\n", "a: \"<a>\"\n---\nb: \"<b>\"\n"},
		{"YAML with tags and blocks", ".yaml", "a: !mine ref\nb: |\n  ref\n  x\nc: !!binary cmVm\n", "a: !mine \"<a>\"\nb: \"<b>\"\nc: !!binary cmVm\n"},
		{"empty YAML", ".yaml", "", ""},
		{"JSON keeps every blank", ".json", "{ \"ref\" :\t\"ref\",\n\"l\":[1.50, \"ref\" ,{\"k\":\"x\"}], \"n\": null }\n", "{ \"ref\" :\t\"\\u003cref\\u003e\",\n\"l\":[1.50, \"\\u003cl[1]\\u003e\" ,{\"k\":\"x\"}], \"n\": null }\n"},
		{"JSON that is a string", ".json", ` "ref"`, ` "\u003c\u003e"`},
		{"TOML keeps types", ".toml", "a = 'ref'\nd = 1979-05-27\n[[t]]\nf = 1.0\nl = [1, {x = \"ref\"}]\n", "a = \"<a>\"\nd = 1979-05-27\n\n[[t]]\n  f = 1.0\n  l = [1, {x = \"<t[0].l[1].x>\"}]\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := formats[tt.ext].rewrite([]byte(tt.content), shout)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, string(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestMalformedFilesAreToldByLine(t *testing.T) {
	tests := []struct{ name, ext, content, want string }{
		{"YAML", ".yaml", "a: 1\nb: c: c4n4ry\n", "line 2: not valid YAML"},
		{"JSON", ".json", "{\n\"a\": c4n4ry}", "line 2: not valid JSON"},
		{"JSON cut short", ".json", "{\n\"a\": [\"c4n4ry\"", "line 2: not valid JSON"},
		{"JSON cut short behind a key", ".json", "{\"c4n4ry\"", "line 1: not valid JSON"},
		{"TOML", ".toml", "a = 1\nb = \"c4n4ry\n", "line 2: not valid TOML"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := formats[tt.ext].rewrite([]byte(tt.content), shout)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// What a password looks like must not matter: it comes out as it went in.
func FuzzValuesSurviveEveryFormat(f *testing.F) {
	for _, v := range []string{"", "123", "true", "null", "a: b # c", "\"'\\", "\n x\t\r\n", "- ${}", "é\u2028\u0085\x7f", "\x01"} {
		f.Add(v)
	}
	decoders := map[string]func([]byte, any) error{".yaml": yaml.Unmarshal, ".json": json.Unmarshal, ".toml": toml.Unmarshal}
	documents := map[string]string{".yaml": "a:\n  - b: ref\n", ".json": `{"a":[{"b":"ref"}]}`, ".toml": "[[a]]\nb = 'ref'\n"}
	f.Fuzz(func(t *testing.T, value string) {
		value = strings.ToValidUTF8(value, "?")
		for ext, document := range documents {
			filled, err := formats[ext].rewrite([]byte(document), func(string, string) (string, bool) { return value, true })
			if err != nil {
				t.Fatalf("%s: %v", ext, err)
			}
			var got struct {
				A []struct{ B string } `json:"a"`
			}
			if err := decoders[ext](filled, &got); err != nil || len(got.A) != 1 || got.A[0].B != value {
				t.Errorf("%s: %q became %+v in %q: %v", ext, value, got, filled, err)
			}
		}
	})
}

func FuzzJSONIsRewrittenInPlace(f *testing.F) {
	for _, v := range []string{`{"a":["b",{"c":"d"}]}`, `"a" "b"`, `[`, `{"a"`, "\ufeff{}", `{"a":"\ud800"}`} {
		f.Add([]byte(v))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		same, err := rewriteJSON(content, func(string, string) (string, bool) { return "", false })
		if err != nil {
			return
		}
		if !bytes.Equal(same, content) {
			t.Fatalf("%q became %q", content, same)
		}
		quoted, err := rewriteJSON(content, func(_, text string) (string, bool) { return text, true })
		if err != nil {
			t.Fatal(err)
		}
		var before, after any
		if json.Unmarshal(content, &before) == nil && (json.Unmarshal(quoted, &after) != nil || !reflect.DeepEqual(before, after)) {
			t.Errorf("%q became %q", content, quoted)
		}
	})
}
