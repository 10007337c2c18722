package stanza

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func scalar(line int, value any) Node { return Node{Shape: Scalar, Line: line, Value: value} }

func list(line int, items ...Node) Node { return Node{Shape: List, Line: line, Items: items} }

func object(line int, entries ...Entry) Node {
	return Node{Shape: Object, Line: line, Entries: entries}
}

func TestParseHCLBuildsATreeWithLines(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []Entry // of the whole
	}{
		{"nothing is an empty object", " \n# a comment\n", nil},
		{"a text loses its quotes and escapes", `a = "x\ty"`, []Entry{{"a", 1, scalar(1, "x\ty")}}},
		{"a number keeps how it is written", "a = 0x10\nb = 1e999", []Entry{
			{"a", 1, scalar(1, json.Number("0x10"))}, {"b", 2, scalar(2, json.Number("1e999"))},
		}},
		{"a boolean is one, a text of that name is not", "a = true\nb = \"true\"", []Entry{
			{"a", 1, scalar(1, true)}, {"b", 2, scalar(2, "true")},
		}},
		{"labels are objects around a block", "a \"b\" \"c\" {\n d = 1\n}", []Entry{
			{"a", 1, object(1, Entry{"b", 1, object(1, Entry{"c", 1, object(1, Entry{"d", 2, scalar(2, json.Number("1"))})})})},
		}},
		{"a key may stand twice", "a = 1\na = 2", []Entry{
			{"a", 1, scalar(1, json.Number("1"))}, {"a", 2, scalar(2, json.Number("2"))},
		}},
		{"a list holds all shapes", "a = [\n \"b\",\n {c = false},\n [],\n]", []Entry{
			{"a", 1, list(1, scalar(2, "b"), object(3, Entry{"c", 3, scalar(3, false)}), list(4))},
		}},
		{"a document keeps its lines", "a = <<E\n x\ny\nE\n", []Entry{{"a", 1, scalar(1, " x\ny\n")}}},
		{"an indented document loses its indentation", "a = <<-E\n   x\n  y\n  E\n", []Entry{{"a", 1, scalar(1, " x\ny\n")}}},
		{"line ends of Windows are line ends", "a = <<E\r\nx\r\nE\r\nb = 1\r\n", []Entry{
			{"a", 1, scalar(1, "x\n")}, {"b", 4, scalar(4, json.Number("1"))},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseHCL([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(object(1, tt.want...), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseJSONBuildsATreeWithLines(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Node
	}{
		{"nothing in braces is an empty object", " {}\n", object(1)},
		{"a value need not be an object", "\n1", scalar(2, json.Number("1"))},
		{"every shape has its line", "{\n\"a\": [\n\"b\", true,\nnull, {}],\n\"c\":\n1e999}", object(1,
			Entry{"a", 2, list(2, scalar(3, "b"), scalar(3, true), Node{Shape: Null, Line: 4}, object(4))},
			Entry{"c", 5, scalar(6, json.Number("1e999"))},
		)},
		{"a key may stand twice", `{"a": 1, "a": 2}`, object(1,
			Entry{"a", 1, scalar(1, json.Number("1"))}, Entry{"a", 1, scalar(1, json.Number("2"))},
		)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseJSON([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTextIsWhatAScalarWasWrittenAs(t *testing.T) {
	for _, tt := range []struct {
		name string
		node Node
		want string
		ok   bool
	}{
		{"a text", scalar(1, "x"), "x", true},
		{"an empty text", scalar(1, ""), "", true},
		{"a number", scalar(1, json.Number("0660")), "0660", true},
		{"a boolean", scalar(1, false), "false", true},
		{"null is none", Node{}, "", false},
		{"a list is none", list(1, scalar(1, "x")), "", false},
		{"an object is none", object(1), "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := tt.node.Text(); got != tt.want || ok != tt.ok {
				t.Errorf("got %q, %v", got, ok)
			}
		})
	}
}

func TestSyntaxErrorsHaveTheirLine(t *testing.T) {
	deep := strings.Repeat("[", 100_000)
	const value = "expected a value: a text in quotes, a number, true or false, a list or a block"
	for _, tt := range []struct{ name, text, want string }{
		{"a block that is not closed", "a {\n", "line 2: object expected closing RBRACE got: EOF"},
		{"a text that is not closed", "\na = \"b", "line 2: literal not terminated"},
		{"a text that cannot be unquoted", `a = "\U00110000"`, "line 1: malformed text in quotes"},
		{"a word in place of a value", "a = 1\nb = hunter2", "line 2: " + value},
		{"a word in place of a value in a list", "a = [{\n b = hunter2 }]",
			"line 1: error while trying to parse object within list: At 2:6: " + value},
		{"a key without a sign", "a = 1\nb \"hunter2\"", "line 2: expected start of object ('{') or assignment ('=') after a key"},
		{"a key that says what the parser would", "\"Unknown token\" \"hunter2\"", "line 1: expected start of object ('{') or assignment ('=') after a key"},
		{"blocks too deep", "a = 1\nb = " + deep, "line 2: nested deeper than 32 blocks"},
		{"a null byte, behind which the parser would go on", "\na {\x00} b = " + deep, "line 2: unexpected null character (0x00)"},
		{"a document of Windows that hides blocks", "a = <<E\r\nE\r\nb = " + deep, "line 3: nested deeper than 32 blocks"},
		{"JSON without a comma", "{\"a\": 1\n\"hunter2\": 2}", "line 2: malformed JSON"},
		{"JSON that ends early", "{\n\"a\":", "line 2: the text ends before a value does"},
		{"JSON with text after its end", "{}\n{}", "line 2: text after the end of the object"},
		{"JSON too deep", "{\n\"a\":" + deep, "line 2: nested deeper than 32 blocks"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parse := ParseHCL
			if strings.HasPrefix(tt.text, "{") {
				parse = ParseJSON
			}
			_, err := parse([]byte(tt.text))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if !errors.As(err, new(*SyntaxError)) {
				t.Errorf("got a %T", err)
			}
		})
	}
}

func TestTheDepthThatIsAllowedIsRead(t *testing.T) {
	text := strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1)
	if _, err := ParseHCL([]byte("a = " + text)); err != nil {
		t.Error(err)
	}
	if _, err := ParseJSON([]byte(`{"a":` + text + "}")); err != nil {
		t.Error(err)
	}
}
