package database

import (
	"regexp"
	"strings"
	"testing"
)

// A pattern means what the regular expression does that has .* for each *.
func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{{"*", ""}, {"a*", "ab"}, {"*a*a", "aa"}, {"a*a", "a"}, {"a**b", "a*b"}, {"", "a"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		text := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, "(?s:.*)")
		re, err := regexp.Compile("^(?:" + text + ")$")
		if err != nil || strings.ContainsRune(name, '\uFFFD') || strings.ToValidUTF8(name, "") != name {
			return // regexp reads both as UTF-8
		}
		if got, want := match(pattern, name), re.MatchString(name); got != want {
			t.Errorf("%q matches %q: %t, want %t", pattern, name, got, want)
		}
	})
}
