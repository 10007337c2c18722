package gitleaks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cofferhq/coffer/scan"
	"github.com/cofferhq/coffer/scan/rules"
)

// defaults stand in for coffer's own rules.
func defaults() []rules.Rule {
	return []rules.Rule{
		{ID: "acme-token", Description: "Acme token", Keywords: []string{"acme_"}, Token: `acme_[0-9a-z]{12}`},
		{ID: "password-assignment", Description: "password", Keywords: []string{"password"}, Parser: rules.NamedPassword},
	}
}

func parsed(t *testing.T, text string, files ...string) *Config {
	t.Helper()
	c, err := Parse([]byte(text), Sources{Default: defaults(), Read: func(path string) ([]byte, error) {
		for i := 0; i+1 < len(files); i += 2 {
			if files[i] == path {
				return []byte(files[i+1]), nil
			}
		}
		return nil, errors.New("no such file")
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// secrets are what a scanner with the config finds.
func secrets(t *testing.T, c *Config, path, text string) []string {
	t.Helper()
	s, err := scan.New(scan.Options{Rules: c.Rules})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	var found []string
	sink := scan.Sink{Found: func(f scan.Finding) {
		if !c.Drops(f) {
			found = append(found, f.RuleID+"="+f.Secret.Reveal())
		}
	}}
	if err := s.Scan(context.Background(), scan.Input{Path: path, Data: []byte(text)}, sink); err != nil {
		t.Fatal(err)
	}
	return found
}

const widget = `
[[rules]]
id = "widget"
description = "Widget key"
regex = '''(?i)widget_key\s*[:=]\s*"?([a-z0-9]{10,40})'''
keywords = ["Widget_Key"]
`

func TestAFileFindsWhatItSays(t *testing.T) {
	const text = "widget_key = q8w7e6r5t4y3\n"
	for _, tt := range []struct {
		name, config, path, text string
		want                     []string
	}{
		{"a rule", widget, "a.conf", text, []string{"widget=q8w7e6r5t4y3"}},
		{"a keyword that is not in the expression", strings.ReplaceAll(widget, `"Widget_Key"`, `"elsewhere"`), "a.conf", text, []string{"widget=q8w7e6r5t4y3"}},
		{"a short keyword", strings.ReplaceAll(widget, `"Widget_Key"`, `"wi"`), "a.conf", text, []string{"widget=q8w7e6r5t4y3"}},
		{"a group", "[[rules]]\nid='g'\nregex='''(k1)=([a-z0-9]{4,9})'''\nsecretGroup=2\nkeywords=['k1=']", "a", "k1=x9y8z7\n", []string{"g=x9y8z7"}},
		{"little entropy", "[[rules]]\nid='g'\nregex='''key=(\\w+)'''\nentropy=3\nkeywords=['key=']", "a", "key=ababababab\nkey=q8w7e6r5t4y3\n", []string{"g=q8w7e6r5t4y3"}},
		{"not in another path", widget + "path = '''\\.yaml$'''", "a.conf", text, nil},
		{"in its path", widget + "path = '''\\.conf$'''", "a.conf", text, []string{"widget=q8w7e6r5t4y3"}},
		{"a path alone", "[[rules]]\nid='p12'\npath='''(?i)\\.p12$'''", "x/a.p12", "qwerty", []string{"p12=q"}},
		{"only the file's rules", widget, "a.conf", "acme_q8w7e6r5t4y3", nil},
		{"ours, too", "[extend]\nuseDefault = true\n" + widget, "a.conf", text + "acme_q8w7e6r5t4y3", []string{"widget=q8w7e6r5t4y3", "acme-token=acme_q8w7e6r5t4y3"}},
		{"ours less one", "[extend]\nuseDefault = true\ndisabledRules = ['acme-token']", "a.conf", "acme_q8w7e6r5t4y3", nil},
		{"a global path", widget + "[allowlist]\npaths = ['''vendor/''']", "vendor/a.conf", text, nil},
		{"a global expression", widget + "[[allowlists]]\nregexes = ['''^q8w''']", "a.conf", text, nil},
		{"for another rule", widget + "[[allowlists]]\ntargetRules = ['other']\nregexes = ['''^q8w''']", "a.conf", text, []string{"widget=q8w7e6r5t4y3"}},
		{"for this rule", widget + "[[allowlists]]\ntargetRules = ['widget']\nregexes = ['''^q8w''']", "a.conf", text, nil},
		{"a stop word", widget + "[rules.allowlist]\nstopwords = ['E6R5']", "a.conf", text, nil},
		{"both of two conditions", widget + "[[rules.allowlists]]\ncondition = 'AND'\npaths = ['''conf$''']\nstopwords = ['e6r5']", "a.conf", text, nil},
		{"one of two conditions", widget + "[[rules.allowlists]]\ncondition = 'AND'\npaths = ['''yaml$''']\nstopwords = ['e6r5']", "a.conf", text, []string{"widget=q8w7e6r5t4y3"}},
		{"the match", widget + "[[rules.allowlists]]\nregexTarget = 'match'\nregexes = ['''^widget_key''']", "a.conf", text, nil},
		{"the line", widget + "[[rules.allowlists]]\nregexTarget = 'line'\nregexes = ['''# example''']", "a.conf", "widget_key = q8w7e6r5t4y3 # example", nil},
		{"our rule, adjusted", "[extend]\nuseDefault = true\n[[rules]]\nid = 'acme-token'\n[rules.allowlist]\nstopwords = ['q8w7']", "a", "acme_q8w7e6r5t4y3", nil},
		{"the generic rule, adjusted", "[extend]\nuseDefault = true\n[[rules]]\nid = 'generic-api-key'\n[rules.allowlist]\nstopwords = ['kQ8w']", "a.conf", "password = kQ8w!eR5tY3x", nil},
		{"with another near by", widget + "[[rules.required]]\nid = 'id'\nwithinLines = 1\n[[rules]]\nid = 'id'\nregex = '''widget_id=(\\w+)'''\nkeywords = ['widget_id']\nskipReport = true", "a.conf", "widget_id=a9b8c7d6\n" + text, []string{"widget=q8w7e6r5t4y3"}},
		{"without", widget + "[[rules.required]]\nid = 'id'\nwithinLines = 1\n[[rules]]\nid = 'id'\nregex = '''widget_id=(\\w+)'''\nkeywords = ['widget_id']\nskipReport = true", "a.conf", "widget_id=a9b8c7d6\n\n\n\n" + text, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := secrets(t, parsed(t, tt.config), tt.path, tt.text); !slices.Equal(got, tt.want) {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
	if got := secrets(t, &Config{Rules: defaults()}, "a", "acme_q8w7e6r5t4y3"); len(got) != 1 {
		t.Errorf("the defaults were changed: %q", got)
	}
}

func TestFilesExtendOneAnother(t *testing.T) {
	c := parsed(t, "[extend]\npath = 'base.toml'\n[[rules]]\nid = 'widget'\ndescription = 'Ours'\ntags = ['more']", "base.toml", strings.Replace(widget, "description", "tags = ['one']\ndescription", 1))
	if r := c.rule("widget"); r == nil || r.Description != "Ours" || r.Pattern == "" || !slices.Equal(c.Tags["widget"], []string{"one", "more"}) {
		t.Errorf("%+v, tags %v", r, c.Tags)
	}
	c = parsed(t, "[extend]\npath = 'base.toml'\n"+widget, "base.toml", "[allowlist]\nstopwords = ['q8w7']")
	if got := secrets(t, c, "a.conf", "widget_key = q8w7e6r5t4y3"); got != nil {
		t.Errorf("the allowlist of an extended file is for its own rules only: %q", got)
	}
	c = parsed(t, "[extend]\npath = 'base.toml'\n[[rules]]\nid = 'g'\nsecretGroup = 2", "base.toml", "[[rules]]\nid = 'g'\nregex = '(k1)=(\\w+)'\nkeywords = ['k1=']")
	if got := secrets(t, c, "a.conf", "k1=x9y8z7"); !slices.Equal(got, []string{"g=x9y8z7"}) {
		t.Errorf("another group: %q", got)
	}
	_, err := Parse([]byte("[extend]\npath = 'self'"), Sources{Read: func(string) ([]byte, error) { return []byte("[extend]\npath = 'self'"), nil }})
	if err == nil {
		t.Error("a file extends itself for ever")
	}
}

func TestTheTextOfAFileThatIsNamedIsNotTold(t *testing.T) {
	_, err := Parse([]byte("[extend]\npath = 'other'"), Sources{Read: func(string) ([]byte, error) { return []byte("hunter22:x:hunter22\n"), nil }})
	if err == nil || strings.Contains(err.Error(), "hunter") {
		t.Errorf("%v", err)
	}
}

func TestCommitsAreAllowed(t *testing.T) {
	id := strings.Repeat("ab", 20)
	f := scan.Finding{RuleID: "widget", Path: "a.conf", Secret: scan.NewSecret("q8w7"), Commit: &scan.Commit{ID: id}}
	for config, want := range map[string]bool{
		"[allowlist]\ncommits = ['" + strings.ToUpper(id) + "']":                                     true,
		"[allowlist]\ncommits = ['" + strings.Repeat("cd", 20) + "']":                                false,
		"[[allowlists]]\ncondition = 'AND'\ncommits = ['" + id + "']\npaths = ['''conf$''']":         true,
		"[[allowlists]]\ncondition = 'AND'\ncommits = ['" + id + "']\npaths = ['''yaml$''']":         false,
		"[[allowlists]]\ncondition = 'AND'\ncommits = ['" + id + "']\nregexes = ['''^q8''']":         true,
		"[[allowlists]]\ncondition = 'AND'\ncommits = ['" + id + "']\nstopwords = ['W7', 'nothing']": true,
	} {
		if got := parsed(t, widget+config).Drops(f); got != want {
			t.Errorf("%s: dropped %t", config, got)
		}
	}
	f.Commit = nil
	if parsed(t, widget+"[allowlist]\ncommits = ['"+id+"']").Drops(f) {
		t.Error("dropped without a commit")
	}
}

func TestErrorsNameRuleAndLine(t *testing.T) {
	for _, tt := range []struct{ name, config, want string }{
		{"no TOML", "[[rules", "line 1"},
		{"no RE2", "[[rules]]\nid = 'look'\nregex = '''(?=x)y'''", `line 3: rule "look": regex`},
		{"no RE2 over lines", "[[rules]]\nid = 'look'\nregex = '''\nabc\n(?<!x)y'''", `line 4: rule "look": regex`},
		{"a path that is none", "[[rules]]\nid = 'look'\npath = '''*.go'''", `line 3: rule "look": path`},
		{"a group too many", "[[rules]]\nid = 'g'\nregex = '''a(b)'''\nsecretGroup = 2", `line 3: rule "g": secretGroup`},
		{"no id", widget + "[[rules]]\nregex = 'a'", "rule 2 has no id"},
		{"neither regex nor path", "[[rules]]\nid = 'empty'", `line 2: rule "empty"`},
		{"an empty allowlist", widget + "[rules.allowlist]\ndescription = 'x'", `rule "widget": allowlist: want`},
		{"a condition that is none", widget + "[allowlist]\ncondition = 'XOR'\npaths = ['x']", "want AND or OR"},
		{"a target that is none", widget + "[allowlist]\nregexTarget = 'file'\npaths = ['x']", "want match, line"},
		{"a global expression that is no RE2", widget + "[allowlist]\nregexes = ['''(?!x)''']", "line 8: allowlist 1"},
		{"a file that is not there", "[extend]\npath = 'gone'", "extend: no such file"},
		{"two to extend", "[extend]\npath = 'gone'\nuseDefault = true", "exclude each other"},
	} {
		_, err := Parse([]byte(tt.config), Sources{Read: func(string) ([]byte, error) { return nil, errors.New("no such file") }})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
}

func TestWarningsTellWhatMeansNothing(t *testing.T) {
	for config, want := range map[string]string{
		widget + "entropi = 3": `unknown key "rules.entropi"`,
		"[[rules]]\n":          "rule 1 says nothing",
		"title = 'x'":          "there are no rules",
		"[extend]\nuseDefault = true\ndisabledRules = ['gone']":           `no rule "gone"`,
		"[extend]\nuseDefault = true\n[[rules]]\nid = 'adafruit-api-key'": `"adafruit-api-key" is none of coffer's own`,
		widget + "[[allowlists]]\ntargetRules = ['gone']\npaths=['x']":    `no rule "gone"`,
	} {
		if got := fmt.Sprint(parsed(t, config).Warnings); !strings.Contains(got, want) {
			t.Errorf("%s\nwarnings %s; want %q", config, got, want)
		}
	}
}

// Whatever a file holds, it is refused or makes rules that a scanner takes.
func FuzzParse(f *testing.F) {
	f.Add(widget)
	f.Add("[extend]\nuseDefault = true\ndisabledRules = ['acme-token']\n[allowlist]\npaths = ['x']")
	f.Add("[[rules]]\nid='p'\npath='p'\n[[rules.required]]\nid='p'\nwithinLines=0")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse([]byte(text), Sources{Default: defaults(), Read: func(string) ([]byte, error) { return []byte(text), nil }})
		if err != nil {
			return
		}
		s, err := scan.New(scan.Options{Rules: c.Rules})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
	})
}
