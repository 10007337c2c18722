package stanza

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// Whatever the bytes, there is a tree or a reason, whose lines lie within the
// text; and the reason repeats nothing of the text, wherever a password stands.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "{", "}", "a", "a =", "a = [", "a b c {", "\"\" = 1", "a = 0x", "a = 1e", "a = -",
		"a = <<A\nA", "a = <<-A\n  b\n A\n", "a=<<", "a = \"${b}\"", "\"${\"", "a = \"\\u12\"", "a \"\\U00110000\" {}",
		"a = 0x7fffffffffffffffffff", "/*", "a = [1, {b = 2}, [3]]", "a = [[[[{b={c=1e9}}]]]]", "a {\x00} b = 1",
		"a = [{b = c}]", "a = <<E\r\nx\r\nE\r\n", `{"a": [{"b": null}, 1e999, true, "c"]}`, `{"a":`, "{}\n{}", `{"a" 1}`,
	} {
		f.Add([]byte(seed), uint16(len(seed)/2))
	}
	f.Fuzz(func(t *testing.T, text []byte, at uint16) {
		for _, parse := range []func([]byte) (Node, error){ParseHCL, ParseJSON} {
			check(t, parse, text)
			const canary = "hunter2"
			planted := slices.Insert(slices.Clone(text), min(int(at), len(text)), []byte(canary)...)
			if err := check(t, parse, planted); err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("of %q: %v", planted, err)
			}
		}
	})
}

// check parses text and returns the error, if it is one that can be.
func check(t *testing.T, parse func([]byte) (Node, error), text []byte) error {
	t.Helper()
	lines := bytes.Count(text, []byte{'\n'}) + 1
	n, err := parse(text)
	if err == nil {
		checkNode(t, n, lines)
		return nil
	}
	var at *SyntaxError
	if !errors.As(err, &at) || at.Text == "" || at.Line < 0 || at.Line > lines {
		t.Errorf("of %d lines: %#v", lines, err)
	}
	return err
}

func checkNode(t *testing.T, n Node, lines int) {
	t.Helper()
	_, isText := n.Text()
	if n.Line < 1 || n.Line > lines || isText != (n.Shape == Scalar) {
		t.Errorf("of %d lines: %+v", lines, n)
	}
	if n.Shape != List && n.Items != nil || n.Shape != Object && n.Entries != nil {
		t.Errorf("what a node of its shape has not: %+v", n)
	}
	for _, item := range n.Items {
		checkNode(t, item, lines)
	}
	for _, e := range n.Entries {
		if e.Line < 1 || e.Line > lines {
			t.Errorf("of %d lines: %+v", lines, e)
		}
		checkNode(t, e.Value, lines)
	}
}
