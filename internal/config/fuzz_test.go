package config

import (
	"bytes"
	"errors"
	"testing"
)

// Whatever the bytes, there is a configuration or a reason, and reasons lie
// within the text.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		everything, everythingJSON, "", "}", "\"\" = 1", "listener \"tcp\" { telemetry { } }", "listener = [{}, 1]",
		`{"listener": [{"tcp": null}]}`, `{"a": 1e999, "ui": [true]}`, "ui = 99999999999999999999",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, warnings, err := Parse("f", text)
		if (c == nil) != (err != nil) {
			t.Fatalf("got %v and %v", c, err)
		}
		said := warnings
		if err != nil {
			var all *Error
			if !errors.As(err, &all) || len(all.Problems) == 0 {
				t.Fatalf("got %#v, want an *Error with problems", err)
			}
			said = append(said, all.Problems...)
		}
		lines := bytes.Count(text, []byte{'\n'}) + 1
		for _, p := range said {
			if p.Line < 0 || p.Line > lines || p.Text == "" {
				t.Errorf("of %d lines: %+v", lines, p)
			}
		}
	})
}
