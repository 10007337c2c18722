package scan

import (
	"strings"
	"testing"

	"github.com/cofferhq/coffer/scan/rules"
)

func TestRulesThatAskForOthersNearBy(t *testing.T) {
	s := newScanner(t, Options{Rules: []rules.Rule{
		{ID: "id", Keywords: []string{"acme_"}, Token: `acme_[0-9a-f]{8}`},
		{ID: "key", Keywords: []string{"acmekey"}, Token: `acmekey[0-9a-z]{12}`, Near: []rules.Near{{ID: "id", Lines: 2}}},
	}})
	for _, test := range []struct {
		name, text string
		want       int
	}{
		{"on the next line", "acme_3f8a1c9b\nacmekeyq8zk3vqx8lmt\n", 2},
		{"before it", "acmekeyq8zk3vqx8lmt acme_3f8a1c9b\n", 2},
		{"too far away", "acme_3f8a1c9b\n\n\n\nacmekeyq8zk3vqx8lmt\n", 1},
		{"not there", "acmekeyq8zk3vqx8lmt\n", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if found := s.Bytes("x", []byte(test.text)); len(found) != test.want {
				t.Error(describe(found))
			}
		})
	}
}

// However many wait, those with company at hand are found, and each once.
func TestManyMayWaitForOthersNearBy(t *testing.T) {
	s := newScanner(t, Options{Rules: []rules.Rule{
		{ID: "id", Keywords: []string{"acme_"}, Token: `acme_[0-9a-f]{8}`},
		{ID: "key", Keywords: []string{"acmekey"}, Token: `acmekey[0-9a-z]{12}`, Near: []rules.Near{{ID: "id", Lines: 2}}},
	}})
	const pairs = 4 * maxAwaiting
	text := strings.Repeat("acme_3f8a1c9b\nacmekeyq8zk3vqx8lmt\n", pairs) + "\n\n\n" + strings.Repeat("acmekeyq8zk3vqx8lmt\n", pairs)
	if found := s.Bytes("x", []byte(text)); len(found) != 2*pairs {
		t.Errorf("%d, want %d", len(found), 2*pairs)
	}
}

func TestRulesMayAllow(t *testing.T) {
	rule := func(a rules.Allow) *Scanner {
		return newScanner(t, Options{Rules: []rules.Rule{{ID: "x", Keywords: []string{"acme_"}, Pattern: `acme_([0-9a-z]{8})`, Allow: []rules.Allow{a}}}})
	}
	for _, test := range []struct {
		name  string
		allow rules.Allow
		want  int
	}{
		{"nothing", rules.Allow{}, 1},
		{"a path", rules.Allow{Paths: []string{`^vendor/`}}, 0},
		{"another path", rules.Allow{Paths: []string{`^src/`}}, 1},
		{"the secret", rules.Allow{Patterns: []string{`^q8zk`}}, 0},
		{"the match", rules.Allow{Patterns: []string{`^acme_`}, Target: rules.TargetMatch}, 0},
		{"the line", rules.Allow{Patterns: []string{`for tests`}, Target: rules.TargetLine}, 0},
		{"a word", rules.Allow{StopWords: []string{"ZK3V"}}, 0},
		{"all of two conditions", rules.Allow{Paths: []string{`^vendor/`}, StopWords: []string{"zk3v"}, All: true}, 0},
		{"one of two conditions", rules.Allow{Paths: []string{`^vendor/`}, StopWords: []string{"other"}}, 0},
		{"one where all are asked for", rules.Allow{Paths: []string{`^vendor/`}, StopWords: []string{"other"}, All: true}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			if found := rule(test.allow).Bytes("vendor/x", []byte("use acme_q8zk3vqx for tests\n")); len(found) != test.want {
				t.Error(describe(found))
			}
		})
	}
}

func TestWrongRulesAreRefused(t *testing.T) {
	for _, test := range []struct {
		name, want string
		rule       rules.Rule
	}{
		{"without an id", "no id", rules.Rule{Keywords: []string{"abc"}, Token: "abc"}},
		{"without a way to find", "exactly one", rules.Rule{ID: "x", Keywords: []string{"abc"}}},
		{"with two ways", "exactly one", rules.Rule{ID: "x", Keywords: []string{"abc"}, Token: "abc", Value: "abc"}},
		{"without keywords", "keywords", rules.Rule{ID: "x", Token: "abc"}},
		{"with a short keyword", "less than three", rules.Rule{ID: "x", Keywords: []string{"ab"}, Token: "abc"}},
		{"with an unknown parser", "no parser", rules.Rule{ID: "x", Keywords: []string{"abc"}, Parser: "psychic"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := New(Options{Rules: []rules.Rule{test.rule}}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Error(err)
			}
		})
	}
	s := newScanner(t, Options{Rules: []rules.Rule{{ID: "x", Keywords: []string{"abc"}, Token: "("}}})
	if err := s.Check(); err == nil {
		t.Error("an expression that is none compiles")
	}
	if found := s.Bytes("x", []byte("abc")); len(found) > 0 {
		t.Error(describe(found))
	}
}
