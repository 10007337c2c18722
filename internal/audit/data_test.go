package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/internal/secret"
)

const testSalt = "0123456789abcdef0123456789abcdef"

// hashOf is the definition of what stands for a text.
func hashOf(text string) string {
	mac := hmac.New(sha256.New, []byte(testSalt))
	mac.Write([]byte(text))
	return "hmac-sha256:" + hex.EncodeToString(mac.Sum(nil))
}

func newTestLine(o options) *line {
	f := newFormat(o, secret.Text(testSalt))
	return &line{format: &f, hasher: f.hashers.take(), buf: []byte("{")}
}

// hashed runs the transformation alone.
func hashed(doc string, o options, how data) (string, error) {
	l := newTestLine(o)
	if err := l.data(json.RawMessage(doc), how); err != nil {
		return "", err
	}
	return strings.TrimPrefix(string(l.buf), `{"data":`), nil
}

func TestDataIsHashed(t *testing.T) {
	h := func(s string) string { return `"` + hashOf(s) + `"` }
	for _, c := range []struct {
		name, doc, want string
		how             data
	}{
		{"a text", `"x"`, h("x"), data{}},
		{"an empty text", `{"a":""}`, `{"a":` + h("") + `}`, data{}},
		{"numbers stay as they are written", `{"a":9007199254740993,"b":1.50e+3,"c":-0}`, `{"a":9007199254740993,"b":1.50e+3,"c":-0}`, data{}},
		{"booleans and null stay", `[true,false,null]`, `[true,false,null]`, data{}},
		{"names stay", `{"password":"x","b":{"c":"y"}}`, `{"password":` + h("x") + `,"b":{"c":` + h("y") + `}}`, data{}},
		{"lists", `{"a":["x",["y"],{}]}`, `{"a":[` + h("x") + `,[` + h("y") + `],{}]}`, data{}},
		{"space between goes", "{ \"a\" :\n\t\"x\" ,\r\n \"b\" : [ 1 , 2 ] }", `{"a":` + h("x") + `,"b":[1,2]}`, data{}},
		{"escapes count as what they stand for", `{"a":"\u0041\n\"\\\/\ud83d\ude00"}`, `{"a":` + h("A\n\"\\/😀") + `}`, data{}},
		{"text that looks like a name", `["a:","\":", "b"]`, `[` + h("a:") + `,` + h(`":`) + `,` + h("b") + `]`, data{}},
		{"a name with escapes", `{"a\"b":"x"}`, `{"a\"b":` + h("x") + `}`, data{}},
		{"a name that is not UTF-8", "{\"a\xff\":1}", "{\"a\ufffd\":1}", data{}},
		{"a text that is not UTF-8", "\"a\xff\"", h("a\ufffd"), data{}},

		{"a plain key", `{"a":"x","b":"y"}`, `{"a":"x","b":` + h("y") + `}`, data{plain: []string{"a"}}},
		{"a plain key with all below it", `{"a": {"c": ["x", 1]} ,"b":"y"}`, `{"a":{"c":["x",1]},"b":` + h("y") + `}`, data{plain: []string{"a"}}},
		{"a plain number at the end", `{"b":"y","a":12}`, `{"b":` + h("y") + `,"a":12}`, data{plain: []string{"a"}}},
		{"a plain key below the top is not plain", `{"b":{"a":"x"}}`, `{"b":{"a":` + h("x") + `}}`, data{plain: []string{"a"}}},
		{"a plain key in a list is not plain", `[{"a":"x"}]`, `[{"a":` + h("x") + `}]`, data{plain: []string{"a"}}},
		{"a plain key with escapes", `{"\u0061":"x"}`, `{"\u0061":"x"}`, data{plain: []string{"a"}}},

		{"keys of a list", `{"keys":["a","b,c","]"],"x":"y"}`, `{"keys":3,"x":` + h("y") + `}`, data{elide: true}},
		{"no keys", `{"keys": [ ] }`, `{"keys":0}`, data{elide: true}},
		{"info on keys", `{"keys":["a"],"key_info": {"a" : {"x":[1,2]}, "b" : 5 , "c":"," } }`, `{"keys":1,"key_info":3}`, data{elide: true}},
		{"keys that are none", `{"keys":"a","key_info":["b"]}`, `{"keys":` + h("a") + `,"key_info":[` + h("b") + `]}`, data{elide: true}},
		{"keys deeper down", `{"d":{"keys":["a"]}}`, `{"d":{"keys":[` + h("a") + `]}}`, data{elide: true}},
		{"keys, but not of a list", `{"keys":["a"]}`, `{"keys":[` + h("a") + `]}`, data{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := hashed(c.doc, options{}, c.how)
			if err != nil || got != c.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
}

func TestRawDataKeepsItsTextsOnOneLine(t *testing.T) {
	got, err := hashed("{\n \"a\": \"x\\ny\" }", options{raw: true}, data{})
	if err != nil || got != `{"a":"x\ny"}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestDataThatIsNoJSONIsRefusedWithoutTellingIt(t *testing.T) {
	for _, doc := range []string{`{"a":"s3cret"`, `s3cret`, `{"a":1}s3cret`, "\"s3cret\n\"", `{"a":s3cret}`, `"s3cret\x"`} {
		_, err := hashed(doc, options{}, data{})
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

// hashTexts is the definition of the transformation: decode, replace, compare.
func hashTexts(v any) any {
	switch v := v.(type) {
	case string:
		return hashOf(v)
	case []any:
		for i := range v {
			v[i] = hashTexts(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = hashTexts(v[k])
		}
	}
	return v
}

func decode(t *testing.T, doc []byte) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%q: %v", doc, err)
	}
	return v
}

// The output is valid JSON on one line, of the same structure, and each text in
// it that is no name stands for the one that was there.
func FuzzData(f *testing.F) {
	for _, seed := range []string{
		`{"a":"x","b":[1,2.50,true,null,{"c":""}]}`, `"\ud83d\ude00\ud800"`, "{\"\xff\":\"\xff\"}", ` [ ] `, `{"":{"":""}}`,
		`{"keys":["a","b"],"key_info":{"a":{}}}`, `{"a":"\\\"","b":"\\"}`, `{"a" : "b" , "a" : "c"}`, `1e400`, "\"\u2028\"",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, doc []byte, raw bool) {
		got, err := hashed(string(doc), options{raw: raw}, data{})
		if (err == nil) != (len(doc) == 0 || json.Valid(doc)) {
			t.Fatalf("%q: %v", doc, err)
		}
		if err != nil || len(doc) == 0 {
			return
		}
		if strings.ContainsAny(got, "\n\r") {
			t.Fatalf("%q: broken line %q", doc, got)
		}
		want := decode(t, doc)
		if !raw {
			want = hashTexts(want)
		}
		if have := decode(t, []byte(got)); !reflect.DeepEqual(have, want) {
			t.Fatalf("%q: got %s", doc, got)
		}
		// Elision and plain keys change nothing but members of the top.
		elided, err := hashed(string(doc), options{raw: raw}, data{plain: []string{"a"}, elide: true})
		if err != nil || !json.Valid([]byte(elided)) {
			t.Fatalf("%q: %s, %v", doc, elided, err)
		}
		if object, ok := decode(t, doc).(map[string]any); ok {
			have := decode(t, []byte(elided)).(map[string]any)
			if list, ok := object["keys"].([]any); ok && strings.Count(string(doc), "keys") == 1 && have["keys"] != json.Number(jsonLen(list)) {
				t.Fatalf("%q: %s", doc, elided)
			}
		}
	})
}

func jsonLen(list []any) string {
	b, _ := json.Marshal(len(list)) // an int always marshals
	return string(b)
}

func FuzzQuoted(f *testing.F) {
	for _, seed := range []string{"", "a\"b\\c\n\x00\x7f", "\xff\u2028é😀", "\xf0\x9f"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		if err := json.Unmarshal(appendQuoted(nil, s), &back); err != nil {
			t.Fatal(err)
		}
		want := string([]rune(s)) // with U+FFFD for what is not UTF-8
		if back != want {
			t.Fatalf("%q came back as %q", s, back)
		}
	})
}

func TestHashersAreReused(t *testing.T) {
	l := newTestLine(options{})
	var buf []byte
	for _, text := range []string{"", "a", strings.Repeat("long ", 100), "a"} {
		if buf = l.hasher.appendTextHash(nil, text); string(buf) != hashOf(text) {
			t.Errorf("%q: %s", text, buf)
		}
	}
	if slices.ContainsFunc(l.hasher.text[:cap(l.hasher.text)], func(b byte) bool { return b != 0 }) {
		t.Error("a text is left behind")
	}
}
