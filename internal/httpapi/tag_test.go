package httpapi

import (
	"slices"
	"strings"
	"testing"
)

func TestParseTags(t *testing.T) {
	for _, tt := range []struct {
		name    string
		headers []string
		want    []string
	}{
		{"a weak one", []string{`W/"1.ab"`}, []string{"1.ab"}},
		{"a strong one is as good", []string{`"1.ab"`}, []string{"1.ab"}},
		{"a list", []string{`W/"1.ab" ,"2.cd",W/"3"`}, []string{"1.ab", "2.cd", "3"}},
		{"several headers", []string{`"1"`, `"2"`}, []string{"1", "2"}},
		{"any", []string{"*"}, []string{"*"}},
		{"a star in quotes is a tag, and none of ours", []string{`"*"`}, nil},
		{"no tag", []string{"1.ab"}, nil},
		{"one that does not end", []string{`"1", "2`}, []string{"1"}},
		{"nothing", []string{""}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := parseTags(tt.headers); !slices.Equal(got, tt.want) {
				t.Errorf("%q", got)
			}
		})
	}
}

// What is printed is parsed, whatever stands before it; and a header does not make
// work.
func FuzzParseTags(f *testing.F) {
	for _, seed := range []string{"", `W/"a"`, `"a","b"`, "*", `W/`, `"`, ` , "x"`} {
		f.Add(seed, "1.ABCDEFGH")
	}
	f.Fuzz(func(t *testing.T, header, tag string) {
		if got := parseTags([]string{header}); len(got) > maxTags {
			t.Fatalf("%d tags", len(got))
		}
		if strings.Contains(tag, `"`) || tag == "*" {
			return
		}
		if got := parseTags([]string{tagText(tag)}); !slices.Equal(got, []string{tag}) {
			t.Errorf("%q: %q", tag, got)
		}
	})
}
