package password

import (
	"fmt"
	"strings"
	"testing"
)

func mustParse(t testing.TB, text string) Policy {
	t.Helper()
	p, err := Parse(text)
	if err != nil {
		t.Fatalf("Parse(%s): %v", text, err)
	}
	return p
}

// charsets is a policy of one rule for each set, all with the same min-chars.
func charsets(length, least int, sets ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "length = %d\n", length)
	for _, set := range sets {
		fmt.Fprintf(&b, "rule \"charset\" {\n  charset = %q\n  min-chars = %d\n}\n", set, least)
	}
	return b.String()
}

// runes is n different characters that can be printed.
func runes(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteRune('一' + rune(i))
	}
	return b.String()
}

// describe shows a policy as parsing has understood it.
func (p Policy) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %s:", p.length, string(p.chars))
	for _, r := range p.rules {
		fmt.Fprintf(&b, " %d+%s", r.min, string(r.chars))
	}
	return b.String()
}

func TestParseReadsWhatVaultDocuments(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"one rule without a minimum", "length = 20\nrule \"charset\" {\n charset = \"cba\"\n}", "20 of abc: 0+abc"},
		{"several rules", charsets(8, 1, "abc", "012"), "8 of 012abc: 1+abc 1+012"},
		{"characters that stand twice in a set count once", charsets(4, 0, "aabbab"), "4 of ab: 0+ab"},
		{"sets that overlap are joined without doubles", charsets(6, 2, "abcde", "cdefg"), "6 of abcdefg: 2+abcde 2+cdefg"},
		{"rules that are the same count each", charsets(4, 2, "ab", "ab"), "4 of ab: 2+ab 2+ab"},
		{"characters beyond ASCII, and a space", charsets(4, 1, "ä ß€😀"), "4 of  ßä€😀: 1+ ßä€😀"},
		{"numbers as texts", "length = \"12\"\nrule \"charset\" {\n charset = \"a\"\n min-chars = \"3\"\n}", "12 of a: 3+a"},
		{"a set that looks like a number", "length = 4\nrule \"charset\" {\n charset = 0123\n}", "4 of 0123: 0+0123"},
		{"JSON with an object", `{"length": 8, "rule": {"charset": {"charset": "ab", "min-chars": 1}}}`, "8 of ab: 1+ab"},
		{"JSON with lists", ` {"length": 8, "rule": [{"charset": [{"charset": "ab"}, {"charset": "c"}]}, {"charset": {"charset": "d"}}]}`,
			"8 of abcd: 0+ab 0+c 0+d"},
		{"the shortest length with all of it asked for", charsets(4, 1, "a", "b", "c", "d"), "4 of abcd: 1+a 1+b 1+c 1+d"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := mustParse(t, tt.text).describe(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	if got := mustParse(t, charsets(MaxLength, 0, runes(MaxChars))); len(got.chars) != MaxChars || got.length != MaxLength {
		t.Errorf("the largest policy: %s", got.describe())
	}
}

func TestParseRefusesWhatCannotBeMeant(t *testing.T) {
	const rule = "\nrule \"charset\" { charset = \"ab\" }"
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", `"length" is missing`},
		{"no length", "rule \"charset\" {\n charset = \"ab\"\n}", `"length" is missing`},
		{"no rule", "length = 20", `no charset specified: at least one rule "charset" is needed`},
		{"an empty list of rules", `{"length": 20, "rule": []}`, `no charset specified: at least one rule "charset" is needed`},
		{"a length that is too short", "length = 3" + rule, `line 1: "length" must be a number from 4 to 1024`},
		{"a length that is too long", "length = 1025" + rule, `line 1: "length" must be a number from 4 to 1024`},
		{"a length of zero before another", "length = 0\nlength = 20" + rule, `line 1: "length" must be a number from 4 to 1024`},
		{"a length with a fraction", "length = 20.5" + rule, `line 1: "length" must be a number from 4 to 1024`},
		{"a length that is a list", "length = [20]" + rule, `line 1: "length" must be a number from 4 to 1024`},
		{"a length that no integer holds", "length = 99999999999999999999" + rule, `line 1: "length" must be a number from 4 to 1024`},
		{"two lengths", "length = 20\nlength = 20" + rule, `line 2: "length" was already set`},
		{"another key", "length = 20\nlenght = 20" + rule, `line 2: invalid key "lenght": expected "length" or "rule"`},
		{"another kind of rule", "length = 20\nrule \"entropy\" {\n}", `line 2: invalid rule "entropy": expected "charset"`},
		{"a rule without a kind", "length = 20\nrule = 1", `line 2: "rule": expected "charset" and a block`},
		{"a rule that is no block", "length = 20\nrule {\n charset = \"ab\"\n}", `line 3: rule "charset": expected a block`},
		{"a rule without a set", "length = 20\nrule \"charset\" {\n min-chars = 1\n}", `line 2: rule "charset": its "charset" is missing or empty`},
		{"an empty set", charsets(20, 0, ""), `line 2: rule "charset": its "charset" is missing or empty`},
		{"a set that is a list", "length = 20\nrule \"charset\" {\n charset = [\"ab\"]\n}", `line 3: "charset" must be a text in UTF-8`},
		{"a set that cannot be printed", charsets(20, 0, "ab\n"), `line 3: "charset" has the character U+000A, which cannot be printed`},
		{"a set with an invisible space", charsets(20, 0, "ab\u00a0"), `line 3: "charset" has the character U+00A0, which cannot be printed`},
		{"two sets in a rule", "length = 20\nrule \"charset\" {\n charset = \"a\"\n charset = \"b\"\n}", `line 4: "charset" was already set`},
		{"another key in a rule", "length = 20\nrule \"charset\" {\n charset = \"a\"\n min_chars = 1\n}",
			`line 4: invalid key "min_chars": expected "charset" or "min-chars"`},
		{"a minimum below zero", charsets(20, -1, "ab"), `line 4: "min-chars" must be a number of characters`},
		{"a minimum that is no number", "length = 20\nrule \"charset\" {\n charset = \"a\"\n min-chars = true\n}", `line 4: "min-chars" must be a number of characters`},
		{"a minimum above the length", charsets(20, 21, "ab"), "the rules ask for more characters than the length of 20 has"},
		{"minimums that do not fit together", charsets(4, 1, "a", "b", "c", "d", "e"), "the rules ask for more characters than the length of 4 has"},
		{"minimums whose sum overflows", charsets(4, 1<<62, "a", "b", "c", "d"), "the rules ask for more characters than the length of 4 has"},
		{"too many different characters", charsets(20, 0, "a", runes(MaxChars)), "line 6: the rules have more than 256 different characters"},
		{"too many rules", charsets(20, 0, strings.Split(strings.Repeat("a", MaxRules+1), "")...), "line 258: more than 64 rules"},
		{"a text that is too long", "#" + strings.Repeat(" ", MaxTextBytes), "the policy is longer than 65536 bytes"},
		{"a text that is no HCL", "length: 20", "line 1: illegal char"},
		{"JSON that ends early", `{"length": 20`, "line 1: the text ends before a value does"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.text)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}
