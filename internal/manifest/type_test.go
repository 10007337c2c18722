package manifest

import (
	"strings"
	"testing"
)

const somePEM = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"

func TestTypesTakeWhatTheySay(t *testing.T) {
	tests := []struct {
		of     Type
		takes  []string
		others []string
	}{
		{String, []string{"", "x", "\n"}, nil},
		{Int, []string{"0", "-5", "9223372036854775807"}, []string{"", "1.0", "1e3", "0x1", "1_000", "9223372036854775808", " 1"}},
		{Number, []string{"1", "-1.5", "1e3"}, []string{"", "x", "NaN", "Inf", "0x1p-2", "1_0"}},
		{Bool, []string{"true", "False", "1", "off"}, []string{"", "t", "2"}},
		{Port, []string{"1", "65535"}, []string{"", "0", "65536", "-1", "http"}},
		{URL, []string{"https://x", "postgres://u:p%40@db:5432/app?sslmode=require", "unix:///run/x.sock"}, []string{"", "x", "//x", "mailto:x", "http:// x", "https://"}},
		{Duration, []string{"90", "90s", "1h30m", "7d"}, []string{"", "x", "-5s", "5 s"}},
		{JSON, []string{"{}", "1", `"x"`, "[1, 2]"}, []string{"", "{", "{} {}", "'x'"}},
		{PEM, []string{somePEM, somePEM + "\n" + somePEM, strings.TrimSpace(somePEM)}, []string{"", "x", "x" + somePEM, somePEM + "x", "x\n" + somePEM}},
		{Base64, []string{"YQ==", "YQ", "_-8="}, []string{"", "a b", "é"}},
		{Hex, []string{"00ffAA"}, []string{"", "0", "0x00", "zz"}},
		{UUID, []string{"123e4567-e89b-12d3-a456-426614174000"}, []string{"", "123e4567", "123e4567-e89b-12d3-a456-42661417400g"}},
	}
	for _, test := range tests {
		t.Run(string(test.of), func(t *testing.T) {
			for _, value := range test.takes {
				if err := test.of.Check(value); err != nil {
					t.Errorf("%q: %v", value, err)
				}
			}
			for _, value := range test.others {
				if test.of.Check(value) == nil {
					t.Errorf("takes %q", value)
				}
			}
		})
	}
	if len(tests) != len(Types) {
		t.Errorf("%d of %d types", len(tests), len(Types))
	}
}

func TestAMistakeIsToldWithoutTheValue(t *testing.T) {
	err := Int.Check("31337\n")
	if err == nil || !strings.Contains(err.Error(), "white space at its ends") || strings.Contains(err.Error(), "31337") {
		t.Errorf("%v", err)
	}
	if err := Type("x").Check(""); err == nil {
		t.Error("an unknown type takes a value")
	}
}
