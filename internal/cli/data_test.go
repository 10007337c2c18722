package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cofferhq/coffer/api"
)

func TestDataIsReadAsScriptsKnowIt(t *testing.T) {
	tests := []struct {
		name string
		args []string
		in   string
		want map[string]any // nil: refused
	}{
		{"a pair", []string{"a=b"}, "", map[string]any{"a": "b"}},
		{"an empty value", []string{"a="}, "", map[string]any{"a": ""}},
		{"a value with equals signs", []string{"a=b=c"}, "", map[string]any{"a": "b=c"}},
		{"a key twice is a list", []string{"a=1", "a=2", "a=3"}, "", map[string]any{"a": []any{"1", "2", "3"}}},
		{"the standard input as a value", []string{"a=-"}, "x\n", map[string]any{"a": "x\n"}},
		{"the standard input as an object", []string{"-", "c=d"}, `{"a":1}`, map[string]any{"a": json.Number("1"), "c": "d"}},
		{"a plain @", []string{`a=\@b`}, "", map[string]any{"a": "@b"}},
		{"a plain -", []string{`a=\-`}, "", map[string]any{"a": "-"}},
		{"a key that begins with @", []string{`\@a=b`}, "", map[string]any{"@a": "b"}},
		{"a value that begins with -", []string{"a=-b"}, "", map[string]any{"a": "-b"}},
		{"no key", []string{"=b"}, "", nil},
		{"no value", []string{"a"}, "", nil},
		{"the standard input twice", []string{"a=-", "-"}, "{}", nil},
		{"an object that is a list", []string{"-"}, "[1]", nil},
		{"two objects", []string{"-"}, "{}{}", nil},
		{"no such file", []string{"a=@/does/not/exist"}, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := (&dataReader{stdin: strings.NewReader(tt.in)}).parse(tt.args)
			if (err == nil) != (tt.want != nil) {
				t.Fatalf("error %v", err)
			}
			if d := cmp.Diff(tt.want, got); err == nil && d != "" {
				t.Error(d)
			}
		})
	}
}

func FuzzDataErrorsRepeatNoValue(f *testing.F) {
	f.Add("a=b", `{"a":`)
	f.Add("password", "")
	f.Add("-", `{"a":1}`)
	f.Add("@/x", "")
	f.Fuzz(func(t *testing.T, arg, in string) {
		const canary = "hunter2-canary"
		if strings.HasPrefix(arg, "@") || strings.Contains(arg, "=@") {
			return // names of files are told
		}
		_, err := (&dataReader{stdin: strings.NewReader(in + canary)}).parse([]string{arg, canary})
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("error %v", err)
		}
	})
}

func TestDurationsAreThoseOfTheAPI(t *testing.T) {
	for text, want := range map[string]bool{
		"90": true, "90s": true, "1h30m": true, "7d": true, "-1": true, "0": true, "1.5h": true, "100ms": true,
		"": false, "soon": false, "h": false, "1w": false, "-": false, "1 h": false,
	} {
		if got := isDuration(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestSecondsAreWrittenShort(t *testing.T) {
	for n, want := range map[int]string{0: "0s", 59: "59s", 60: "1m", 61: "1m1s", 3600: "1h", 3601: "1h0m1s", 5400: "1h30m", 2764800: "768h"} {
		if got := seconds(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestFieldsOfAnswersHaveTheNamesOfTheTable(t *testing.T) {
	s := &api.Secret{
		RequestID: "r", LeaseID: "l", LeaseDuration: 60, Renewable: true, Data: map[string]any{"a": "b"},
		Auth:     &api.Auth{ClientToken: "t", Accessor: "acc", LeaseDuration: 60, Renewable: true, Policies: []string{"p"}, Metadata: map[string]string{"k": "v"}},
		WrapInfo: &api.WrapInfo{Token: "w", Accessor: "wa", TTL: 60},
	}
	for _, r := range secretRows(s) {
		if _, ok := secretField(s, strings.TrimSuffix(r.key, ":")); !ok {
			t.Errorf("-field does not know %s", r.key)
		}
	}
	got := map[string]string{}
	for _, name := range []string{"token", "token_accessor", "token_duration", "wrapping_token", "lease_id", "lease_duration", "request_id", "a"} {
		v, _ := secretField(s, name)
		got[name] = fmt.Sprint(v)
	}
	want := map[string]string{
		"token": "t", "token_accessor": "acc", "token_duration": "60", "wrapping_token": "w", "lease_id": "l",
		"lease_duration": "60", "request_id": "r", "a": "b",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestTablesAlignTextsOfManyBytes(t *testing.T) {
	got := layout([][]string{{"Key", "Value"}, {"ttl", "∞"}, {"größe", ""}})
	want := "Key      Value\n---      -----\nttl      ∞\ngröße    n/a\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestFlagsAreFoundInBothSpellings(t *testing.T) {
	tests := []struct {
		name  string
		args  []string
		rest  []string
		stray []string
	}{
		{"one dash", []string{"-name=x", "a"}, []string{"a"}, nil},
		{"two dashes, a word", []string{"--name", "x", "a"}, []string{"a"}, nil},
		{"behind an argument", []string{"a", "-name=x"}, []string{"a", "-name=x"}, []string{"-name"}},
		{"a negative number is none", []string{"a", "-1"}, []string{"a", "-1"}, nil},
		{"a dash alone is none", []string{"a", "-"}, []string{"a", "-"}, nil},
		{"meant as an argument", []string{"--", "-name=x"}, []string{"-name=x"}, nil},
		{"for another program", []string{"a", "--", "-x"}, []string{"a", "--", "-x"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFlags()
			f.String("name", "", "A name.")
			if err := f.parse(tt.args); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(f.rest(), tt.rest) || !slices.Equal(f.strayFlags(), tt.stray) {
				t.Errorf("rest %q, stray %q", f.rest(), f.strayFlags())
			}
		})
	}
}

func TestTheTokenHelperIsReadFromHCLAndJSON(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "",
		"# nothing\n":                  "",
		`token_helper = "/bin/helper"`: "/bin/helper",
		"# ours\n\ttoken_helper=\"/a b\" # why\n": "/a b",
		`{"token_helper": "/bin/helper"}`:         "/bin/helper",
		"{\n  \"token_helper\": \"/x\"\n}":        "/x",
		`# token_helper = "/no"`:                  "",
		`token_helper = ""`:                       "",
	} {
		if got, err := helperPath(text); got != want || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{`token_helper = helper`, `token_helper = "helper"`, `token_helper = "/unfinished`} {
		if got, err := helperPath(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func FuzzHelperPathIsAbsoluteOrNone(f *testing.F) {
	f.Add(`token_helper = "/bin/helper"`)
	f.Add(`{"token_helper": "x"}`)
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := helperPath(text); err == nil && got != "" && got[0] != '/' {
			t.Errorf("%q", got)
		}
	})
}

// What a shell makes of a quoted text is the text.
func FuzzShellQuoteIsUndoneByAShell(f *testing.F) {
	for _, seed := range []string{"", "plain", "it's", `a\b "c"`, "$HOME `x`"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !strings.ContainsRune(text, '�') && strings.ToValidUTF8(text, "") == text {
			words, err := shellWords(shellQuote(text))
			if text == "" && err == nil && slices.Equal(words, []string{""}) {
				return
			}
			if err != nil || !slices.Equal(words, []string{text}) {
				t.Errorf("%q became %q: %v", text, words, err)
			}
		}
	})
}
