package cli

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"
	"go.yaml.in/yaml/v3"

	"github.com/cofferhq/coffer/internal/file"
	"github.com/cofferhq/coffer/internal/policy"
)

// loadTable reads a table of checks in the syntax that its name ends in.
func loadTable(c *Call, path string) (*policy.Table, error) {
	text, err := c.input(path)
	if err != nil {
		return nil, err // names the path
	}
	table, err := parseTable(path, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return table, nil
}

func parseTable(path string, text []byte) (*policy.Table, error) {
	var document map[string]any
	var err error
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".hcl":
		return policy.ParseTableHCL(text)
	case ".json":
		return policy.ParseTable(text)
	case ".toml":
		_, err = toml.Decode(string(text), &document)
	case ".yaml", ".yml":
		err = yaml.Unmarshal(text, &document)
	default:
		return nil, errors.New("the name of a table ends in .toml, .yaml, .json or .hcl")
	}
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("no table of checks: %w", err)
	}
	return policy.ParseTable(b)
}

// loadAll loads the policies that pattern names, seen from the file of a table.
func (t *policyTester) loadAll(table, pattern string) error {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(table), pattern)
	}
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return fmt.Errorf("%q: %w", pattern, err)
	}
	if len(paths) == 0 {
		return fmt.Errorf("no policy at %q", pattern)
	}
	for _, path := range paths {
		if err := t.load(path); err != nil {
			return err
		}
	}
	return nil
}

// load reads the policy of a file, unless it has been read already.
func (t *policyTester) load(path string) error {
	path = filepath.Clean(path)
	name := fileName(path)
	if p := t.known[name]; p != nil && p.file == path {
		return nil
	} else if p != nil {
		return fmt.Errorf("two files have a policy %q: %s and %s", name, p.file, path)
	}
	if name == policy.RootName {
		return fmt.Errorf("%s: the policy %q has no text", path, name)
	}
	text, err := t.call.input(path)
	if err != nil {
		return err
	}
	p, err := policy.Parse(name, string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	t.known[name] = &testedPolicy{Policy: p, file: path, ours: true}
	return nil
}

func (c *Call) printPolicyTest(a *policyTestAnswer) error {
	failing, all := 0, 0
	for _, t := range a.Tables {
		for i := range t.Checks {
			r := &t.Checks[i]
			all++
			if r.OK {
				continue
			}
			failing++
			if c.table() {
				c.Print(r.failure(t.File))
			}
		}
	}
	if !c.table() {
		if err := c.PrintValue(a); err != nil || a.OK {
			return err
		}
		return silently(exitLocal)
	}
	for _, s := range a.Untouched {
		c.Warn("No check is decided by " + s.String())
	}
	if failing > 0 {
		return &failure{code: exitLocal, text: fmt.Sprintf("%d of %s failed", failing, count(all, "check", "checks"))}
	}
	c.Print(count(all, "check", "checks") + " passed")
	return nil
}

// failure tells people of a check that failed, with an empty line behind.
func (r *checkResult) failure(file string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "FAILED %s, %s\n", file, r.name())
	if r.Because != "" {
		fmt.Fprintf(&b, "  because %s\n", r.Because)
	}
	for line := range strings.Lines(explanationText(r.Explanation)) {
		if line != "\n" {
			b.WriteString("    ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// junitSuites is a file of JUnit's XML, as far as build servers read it.
type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// writeJUnit writes the results of tables, one suite each, into a file.
func writeJUnit(path string, tables []tableResult) error {
	var all junitSuites
	for _, t := range tables {
		suite := junitSuite{Name: t.File, Tests: len(t.Checks)}
		for i := range t.Checks {
			r := &t.Checks[i]
			entry := junitCase{Class: t.File, Name: r.name()}
			if !r.OK {
				suite.Failures++
				entry.Failure = &junitFailure{r.Explanation.Reason, r.failure(t.File)}
			}
			suite.Cases = append(suite.Cases, entry)
		}
		all.Suites = append(all.Suites, suite)
	}
	b, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("JUnit's XML: %w", err)
	}
	return file.ReplaceWith(path, 0o644, append([]byte(xml.Header), append(b, '\n')...))
}
