package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func noEnvironment(string) string { return "" }

// exampleLine is one of the lines of a help that show a call.
var exampleLine = regexp.MustCompile(`(?m)^ +\$ (.*)$`)

func TestEveryCommandShowsACallOfItself(t *testing.T) {
	for _, cmd := range Commands() {
		if cmd.Name == "demo application" { // only the demo calls it
			continue
		}
		shown := false
		for _, line := range exampleLine.FindAllStringSubmatch(cmd.Long, -1) {
			shown = shown || strings.Contains(line[1], program+" "+cmd.Name)
		}
		if !shown {
			t.Errorf("%s: the help has no example", cmd.Name)
		}
	}
}

// What an example calls must exist, with the flags that it has.
func TestExamplesAreCallsThatWork(t *testing.T) {
	commands := Commands()
	call := regexp.MustCompile(program + ` ([^|;)>\n]*)`)
	for _, cmd := range commands {
		for _, line := range exampleLine.FindAllStringSubmatch(cmd.Long, -1) {
			for _, found := range call.FindAllStringSubmatch(line[1], -1) {
				words, err := shellWords(strings.TrimSpace(found[1]))
				if err != nil {
					t.Errorf("%s: %q: %v", cmd.Name, line[1], err)
					continue
				}
				called, rest := find(commands, words)
				if called == nil {
					t.Errorf("%s: %q calls no command", cmd.Name, line[1])
					continue
				}
				f := newFlags()
				c := &Call{System: System{Getenv: noEnvironment}}
				called.declare(f, c)
				if err := f.parse(rest); err != nil {
					t.Errorf("%s: %q: %v", cmd.Name, line[1], err)
					continue
				}
				for i, arg := range f.rest() { // what is read from a file is no argument of ours
					if arg == "<token.txt" {
						c.Args = f.rest()[:i]
						break
					}
					c.Args = f.rest()[:i+1]
				}
				if err := c.check(called); err != nil {
					t.Errorf("%s: %q: %v", cmd.Name, line[1], err)
				}
			}
		}
	}
}

func TestEveryCommandAndFlagIsDocumented(t *testing.T) {
	for _, cmd := range Commands() {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: its short help is %q", cmd.Name, cmd.Short)
		}
		if cmd.MaxArgs != 0 && cmd.Args == "" && !cmd.Hidden {
			t.Errorf("%s: takes arguments that the help does not name", cmd.Name)
		}
		f := newFlags()
		cmd.declare(f, &Call{System: System{Getenv: noEnvironment}})
		seen := map[string]bool{}
		for _, s := range f.specs {
			if !strings.HasSuffix(s.Usage, ".") {
				t.Errorf("%s -%s: its help is %q", cmd.Name, s.Name, s.Usage)
			}
			if seen[s.Name] {
				t.Errorf("%s -%s: declared twice", cmd.Name, s.Name)
			}
			seen[s.Name] = true
		}
		var help bytes.Buffer
		writeHelp(&help, &cmd, f)
		for name := range seen {
			if !strings.Contains(help.String(), "  -"+name) {
				t.Errorf("%s: the help leaves out -%s", cmd.Name, name)
			}
		}
	}
}

func TestEveryGroupOfCommandsIsDocumentedAndThere(t *testing.T) {
	used := map[string]bool{}
	names := map[string]bool{}
	for _, cmd := range Commands() {
		if names[cmd.Name] {
			t.Errorf("%s: two commands", cmd.Name)
		}
		names[cmd.Name] = true
		words := strings.Fields(cmd.Name)
		if len(words) > maxWords {
			t.Errorf("%s: has more words than find looks at", cmd.Name)
		}
		for n := 1; n < len(words) && !cmd.Hidden; n++ {
			group := strings.Join(words[:n], " ")
			used[group] = true
			if groups[group] == "" {
				t.Errorf("%s: the help knows no group %q", cmd.Name, group)
			}
		}
	}
	for group := range groups {
		if !used[group] {
			t.Errorf("the help has a group %q without commands", group)
		}
	}
}

// notScripted are the commands that testdata does not call, and why.
var notScripted = map[string]string{
	"server":           "runs until it is stopped",
	"demo":             "runs servers",
	"demo application": "is run by the demo",
	"run":              "runs programs, and has tests of its own",
	"version":          "prints another text for each build",
}

func TestEveryCommandHasAScript(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	for _, cmd := range Commands() {
		called := regexp.MustCompile(`(?m)^([A-Z_]+=\S* )*` + program + ` ` + cmd.Name + `($| )`)
		if notScripted[cmd.Name] == "" && !called.MatchString(all.String()) {
			t.Errorf("no script calls %s", cmd.Name)
		}
	}
}

func TestVersionNamesBothVersions(t *testing.T) {
	for _, arg := range []string{"version", "-version", "-v", "--version"} {
		var out bytes.Buffer
		code := Main([]string{arg}, System{Stdout: &out, Stderr: &out, Getenv: noEnvironment})
		if code != exitOK || !strings.HasPrefix(out.String(), "Coffer v") || !strings.Contains(out.String(), "(API 1.") {
			t.Errorf("%s: %d, %q", arg, code, &out)
		}
	}
}
