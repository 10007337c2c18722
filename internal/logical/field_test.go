package logical_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
)

// accept reads the field "f" of type t from a body.
func accept(typ logical.FieldType, value string) (*logical.Request, error) {
	r := &logical.Request{Body: json.RawMessage(`{"f":` + value + `}`)}
	return r, r.Accept(logical.Fields{"f": {Type: typ}}, nil, nil)
}

// shown is the field "f" as text.
func shown(r *logical.Request, typ logical.FieldType) string {
	switch {
	case !r.Has("f"):
		return "absent"
	case typ == logical.Bool:
		return fmt.Sprint(r.Bool("f"))
	case typ == logical.Int:
		return fmt.Sprint(r.Int("f"))
	case typ == logical.Duration:
		return r.Duration("f").String()
	case typ == logical.Texts:
		return fmt.Sprintf("%q", r.Texts("f"))
	case typ == logical.Ints:
		return fmt.Sprint(r.Ints("f"))
	case typ == logical.TextMap:
		return fmt.Sprintf("%q", r.TextMap("f"))
	case typ == logical.Object, typ == logical.Any:
		return string(r.Raw("f"))
	case typ == logical.Time:
		return r.Time("f").Format(time.RFC3339Nano)
	}
	return r.Text("f")
}

func TestFieldsAreConvertedAsVaultDoes(t *testing.T) {
	tests := []struct {
		name  string
		typ   logical.FieldType
		value string
		want  string // "refused": an error
	}{
		{"a text", logical.Text, `"x y"`, "x y"},
		{"a number as text keeps its digits", logical.Text, `12345678901234567890.10`, "12345678901234567890.10"},
		{"a boolean as text", logical.Text, `true`, "true"},
		{"null is absent", logical.Text, `null`, "absent"},
		{"the empty text is there", logical.Text, `""`, ""},
		{"a list is no text", logical.Text, `["a"]`, "refused"},
		{"an object is no text", logical.Text, `{}`, "refused"},
		{"names are in lower case", logical.Lower, `"Admin"`, "admin"},

		{"true", logical.Bool, `true`, "true"},
		{"true as text", logical.Bool, `"true"`, "true"},
		{"one is true", logical.Bool, `1`, "true"},
		{"zero as text is false", logical.Bool, `"0"`, "false"},
		{"nothing is false", logical.Bool, `""`, "false"},
		{"yes is no boolean", logical.Bool, `"yes"`, "refused"},
		{"a list is no boolean", logical.Bool, `[]`, "refused"},

		{"an integer", logical.Int, `5`, "5"},
		{"a negative integer as text", logical.Int, `"-5"`, "-5"},
		{"an integer with a fraction of zero", logical.Int, `5.0`, "5"},
		{"an integer with an exponent", logical.Int, `1e3`, "1000"},
		{"no integer is zero", logical.Int, `""`, "0"},
		{"the largest integer", logical.Int, `9223372036854775807`, "9223372036854775807"},
		{"one more than the largest", logical.Int, `9223372036854775808`, "refused"},
		{"half an integer", logical.Int, `0.5`, "refused"},
		{"not a number", logical.Int, `"NaN"`, "refused"},
		{"infinity", logical.Int, `"Inf"`, "refused"},
		{"a boolean is no integer", logical.Int, `true`, "refused"},

		{"seconds", logical.Duration, `90`, "1m30s"},
		{"seconds as text", logical.Duration, `"90"`, "1m30s"},
		{"a duration", logical.Duration, `"1h30m"`, "1h30m0s"},
		{"a list is no duration", logical.Duration, `[1]`, "refused"},

		{"a list of texts", logical.Texts, `["a","b"]`, `["a" "b"]`},
		{"texts with commas between", logical.Texts, `"a, b,,c"`, `["a" "b" "c"]`},
		{"an element keeps its commas", logical.Texts, `["a,b"," c ",""]`, `["a,b" "c"]`},
		{"one number is a list", logical.Texts, `5`, `["5"]`},
		{"mixed elements", logical.Texts, `[1,true,"x"]`, `["1" "true" "x"]`},
		{"an empty list is there", logical.Texts, `[]`, `[]`},
		{"an empty text is an empty list", logical.Texts, `""`, `[]`},
		{"a list in a list", logical.Texts, `[["a"]]`, "refused"},
		{"an object is no list", logical.Texts, `{"a":1}`, "refused"},

		{"integers", logical.Ints, `[1,2]`, "[1 2]"},
		{"integers as texts", logical.Ints, `["1","2"]`, "[1 2]"},
		{"integers with commas between", logical.Ints, `"1,2"`, "[1 2]"},
		{"one integer", logical.Ints, `7`, "[7]"},
		{"a text among integers", logical.Ints, `[1,"x"]`, "refused"},

		{"an object of texts", logical.TextMap, `{"a":"b","n":1,"t":true,"z":null}`, `map["a":"b" "n":"1" "t":"true" "z":""]`},
		{"an object in a text", logical.TextMap, `" {\"a\":\"b\"}"`, `map["a":"b"]`},
		{"pairs", logical.TextMap, `["a=b"," c = d=e "]`, `map["a":"b" "c":"d=e"]`},
		{"pairs in a text", logical.TextMap, `"a=b,c=d"`, `map["a":"b" "c":"d"]`},
		{"an empty text is an empty map", logical.TextMap, `""`, `map[]`},
		{"an empty object is there", logical.TextMap, `{}`, `map[]`},
		{"a pair without a sign", logical.TextMap, `["a"]`, "refused"},
		{"a number among pairs", logical.TextMap, `[1]`, "refused"},
		{"an object in an object", logical.TextMap, `{"a":{}}`, "refused"},
		{"a broken object in a text", logical.TextMap, `"{"`, "refused"},
		{"a number is no map", logical.TextMap, `1`, "refused"},

		{"an object keeps its numbers", logical.Object, `{"n":12345678901234567890}`, `{"n":12345678901234567890}`},
		{"a list is no object", logical.Object, `[]`, "refused"},
		{"anything is kept as it is", logical.Any, `[1.0, "a"]`, `[1.0, "a"]`},

		{"a time", logical.Time, `"2026-01-02T03:04:05.5+01:00"`, "2026-01-02T02:04:05.5Z"},
		{"a time in seconds", logical.Time, `1`, "1970-01-01T00:00:01Z"},
		{"a day is no time", logical.Time, `"2026-01-02"`, "refused"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := accept(test.typ, test.value)
			if err != nil && !errors.Is(err, logical.ErrInvalid) {
				t.Fatalf("error of the wrong kind: %v", err)
			}
			got := "refused"
			if err == nil {
				got = shown(r, test.typ)
			}
			if got != test.want {
				t.Errorf("%s: %s (%v), want %s", test.value, got, err, test.want)
			}
		})
	}
}

func TestAcceptTakesFieldsFromPathBodyAndQuery(t *testing.T) {
	fields := logical.Fields{"name": {Type: logical.Lower}, "list": {Type: logical.Texts}, "x": {Type: logical.Text}}
	tests := []struct {
		name   string
		body   string
		params []logical.Param
		query  map[string][]string
		want   string // name list x
	}{
		{"nothing", ``, nil, nil, `"" [] ""`},
		{"the body", `{"x":"body"}`, nil, nil, `"" [] "body"`},
		{"the body goes before the query", `{"x":"body"}`, nil, map[string][]string{"x": {"query"}}, `"" [] "body"`},
		{"the path goes before the body", `{"x":"body"}`, []logical.Param{{Name: "x", Value: "path"}}, nil, `"" [] "path"`},
		{"the path in lower case", ``, []logical.Param{{Name: "name", Value: "Bob"}}, nil, `"bob" [] ""`},
		{"one value of the query", ``, nil, map[string][]string{"list": {"a,b"}}, `"" ["a" "b"] ""`},
		{"two values of the query", ``, nil, map[string][]string{"list": {"a", "b"}}, `"" ["a" "b"] ""`},
		{"an empty query is absent", ``, nil, map[string][]string{"x": {}}, `"" [] ""`},
		{"a null body is empty", `null`, nil, nil, `"" [] ""`},
		{"null in the body hides the query", `{"x":null}`, nil, map[string][]string{"x": {"query"}}, `"" [] ""`},
		{"what is not declared is ignored", `{"y":{}}`, nil, map[string][]string{"z": {"1"}}, `"" [] ""`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &logical.Request{Body: json.RawMessage(test.body)}
			if err := r.Accept(fields, test.params, test.query); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%q %q %q", r.Text("name"), r.Texts("list"), r.Text("x")); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestAcceptRefusesBodiesThatAreNoObject(t *testing.T) {
	for _, body := range []string{`[]`, `"x"`, `1`, `{`, `{} {}`} {
		r := &logical.Request{Body: json.RawMessage(body)}
		if err := r.Accept(logical.Fields{"x": {}}, nil, nil); !errors.Is(err, logical.ErrInvalid) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestErrorsOfFieldsKeepTheirValues(t *testing.T) {
	const value = "hunter2"
	for typ := logical.Text; typ <= logical.Time; typ++ {
		for _, form := range []string{`"` + value + `"`, `["` + value + `"]`, `{"a":["` + value + `"]}`, `"{` + value + `"`} {
			if _, err := accept(typ, form); err != nil && strings.Contains(err.Error(), value) {
				t.Errorf("type %d: %v", typ, err)
			}
		}
	}
}

func TestAcceptForgetsWhatItHasAccepted(t *testing.T) {
	r, err := accept(logical.Text, `"a"`)
	if err != nil {
		t.Fatal(err)
	}
	if r.Body = nil; r.Accept(logical.Fields{"f": {}}, nil, nil) != nil || r.Has("f") {
		t.Error("the field of the first body is still there")
	}
}

func TestReadingAFieldAsAnotherTypePanics(t *testing.T) {
	r, err := accept(logical.Text, `"a"`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	r.Int("f")
}

func TestDurations(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want string // "refused": an error
	}{
		{"nothing is zero", "", "0s"},
		{"white space is nothing", " ", "0s"},
		{"seconds", "3600", "1h0m0s"},
		{"a fraction of seconds", "0.5", "500ms"},
		{"an exponent", "1e3", "16m40s"},
		{"with a unit", " 90s ", "1m30s"},
		{"several units", "1h30m", "1h30m0s"},
		{"a day", "1d", "24h0m0s"},
		{"half a day", "0.5d", "12h0m0s"},
		{"the longest", "8589934592", "2386092h56m32s"},
		{"longer than the longest", "8589934593", "refused"},
		{"longer than the longest, in hours", "2400000h", "refused"},
		{"longer than the longest, in days", "99421d", "refused"},
		{"longer than Go knows", "99999999999h", "refused"},
		{"negative", "-1", "refused"},
		{"negative with a unit", "-1s", "refused"},
		{"negative days", "-1d", "refused"},
		{"infinite", "inf", "refused"},
		{"infinitely many days", "infd", "refused"},
		{"not a number", "nan", "refused"},
		{"not a number of days", "nand", "refused"},
		{"a unit alone", "s", "refused"},
		{"days alone", "d", "refused"},
		{"a word", "soon", "refused"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d, err := logical.ParseDuration(test.in)
			got := d.String()
			if err != nil {
				got = "refused"
			}
			if got != test.want {
				t.Errorf("%q: %s, want %s", test.in, got, test.want)
			}
		})
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"90", "1h30m", "1d", "0x1p4", "-0", "1e300", "99421.9d"} {
		f.Add(s)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		d, err := logical.ParseDuration(s)
		if err != nil && d != 0 {
			t.Errorf("%q: %s beside an error", s, d)
		}
		if d < 0 || now.Add(d).Before(now) {
			t.Errorf("%q: %s", s, d)
		}
		if again, err := logical.ParseDuration(d.String()); err != nil || again != d {
			t.Errorf("%q: %s reads as %s, %v", s, d, again, err)
		}
	})
}

// How a body is spelt makes no difference to its fields.
func FuzzAccept(f *testing.F) {
	f.Add([]byte(`{"f":"a=b"}`), uint8(logical.TextMap))
	f.Add([]byte(`{"f":[1,"2",null]}`), uint8(logical.Ints))
	f.Add([]byte(`{"f":"{\"a\":{}}"}`), uint8(logical.TextMap))
	f.Add([]byte(`{"f":1e999}`), uint8(logical.Time))
	f.Fuzz(func(t *testing.T, body []byte, typ uint8) {
		kind := logical.FieldType(typ % (uint8(logical.Time) + 1))
		r := &logical.Request{Body: body}
		if err := r.Accept(logical.Fields{"f": {Type: kind}}, nil, nil); err != nil {
			if !errors.Is(err, logical.ErrInvalid) {
				t.Errorf("%v", err)
			}
			return
		}
		first := shown(r, kind) // panics if the value is not of its type
		var members map[string]any
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.UseNumber()
		if dec.Decode(&members) != nil || kind == logical.Time || kind == logical.Object || kind == logical.Any {
			return
		}
		again, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		r = &logical.Request{Body: again}
		if err := r.Accept(logical.Fields{"f": {Type: kind}}, nil, nil); err != nil || shown(r, kind) != first {
			t.Errorf("%s reads as %s, and %s as %s, %v", body, first, again, shown(r, kind), err)
		}
	})
}
