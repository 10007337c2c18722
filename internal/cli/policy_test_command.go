package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/policy"
)

func policyTestCommand() Command {
	return Command{
		Name: "policy test", Args: "FILE...", MinArgs: 1, MaxArgs: -1, Flags: ClientFlags | FormatFlag, WrongCall: exitServer,
		Short: "Check what policies allow against tables of what they should",
		Long: `
FILE is a table of checks in TOML, YAML, JSON or HCL, by its ending:

      policies = ["policies/*.hcl"]

      [[check]]
      as      = ["app"]
      do      = ["read", "list"]
      path    = "secret/data/app/db"
      allow   = true
      because = "the application starts with it"

The policies are files, seen from the table, and are called what the files are
without their ending. "default" is coffer's own unless a file is. A check may also
have parameters, sudo, wrap_ttl, and an entity with id, name and metadata for
templates. No server is asked, except with -server, for policies that no file has.

Every check that fails is explained. Stanzas that decided no check are told, on the
standard error. Exit codes: 0 if all is as it should be; 1 if a check fails; 2 if
a table or a policy cannot be read.

  In continuous integration:
      $ coffer policy test -junit=policies.xml policies/checks.toml
  What is on the server:
      $ coffer policy test -server checks.toml`,
		New: newPolicyTest,
	}
}

type policyTestFlags struct {
	files  *[]string
	server *bool
	junit  *string
}

func newPolicyTest(f *Flags) Run {
	o := &policyTestFlags{
		files:  f.List("policy-file", "File of a policy, beside those that tables name."),
		server: f.Bool("server", false, "Read policies that no file has from the server."),
		junit:  f.String("junit", "", "Write the results into this file as JUnit's XML."),
	}
	return o.run
}

// exitTable is for tables and policies that cannot be read, so that scripts can
// tell them from checks that fail.
const exitTable = 2

// badTable returns nil for nil.
func badTable(err error) error {
	if err == nil {
		return nil
	}
	return &failure{code: exitTable, text: err.Error()}
}

// tableResult is what one table has come to.
type tableResult struct {
	File   string        `json:"file"`
	Checks []checkResult `json:"checks"`
}

// checkResult is a row of a table for one thing to do.
type checkResult struct {
	Number      int                 `json:"check"` // of the row, from 1
	As          []string            `json:"as"`
	Do          string              `json:"do"`
	Path        string              `json:"path"`
	Allow       bool                `json:"allow"`
	OK          bool                `json:"ok"`
	Because     string              `json:"because,omitempty"`
	Explanation *policy.Explanation `json:"explanation"`
}

// name is the check in few words.
func (r *checkResult) name() string {
	may := "may not"
	if r.Allow {
		may = "may"
	}
	return fmt.Sprintf("check %d: %s %s %s %s", r.Number, strings.Join(r.As, "+"), may, r.Do, r.Path)
}

// policyTestAnswer is what -format=json prints.
type policyTestAnswer struct {
	OK        bool            `json:"ok"`
	Tables    []tableResult   `json:"tables"`
	Untouched []policy.Source `json:"untouched"` // stanzas that decided no check
}

func (o *policyTestFlags) run(ctx context.Context, c *Call) error {
	t := &policyTester{call: c, known: map[string]*testedPolicy{}}
	if *o.server {
		cl, err := c.Client()
		if err != nil {
			return err
		}
		t.server = cl
	}
	for _, path := range *o.files {
		if err := t.load(path); err != nil {
			return badTable(err)
		}
	}
	answer := policyTestAnswer{OK: true, Untouched: []policy.Source{}}
	for _, path := range c.Args {
		result, err := t.table(ctx, path)
		if err != nil {
			return err
		}
		answer.Tables = append(answer.Tables, *result)
		answer.OK = answer.OK && !slices.ContainsFunc(result.Checks, func(r checkResult) bool { return !r.OK })
	}
	answer.Untouched = append(answer.Untouched, t.untouched()...)
	if *o.junit != "" {
		if err := writeJUnit(*o.junit, answer.Tables); err != nil {
			return badTable(err)
		}
	}
	return c.printPolicyTest(&answer)
}

// policyTester holds the policies of one run. All tables see the same ones.
type policyTester struct {
	call     *Call
	server   *client.Client           // nil: ask none
	known    map[string]*testedPolicy // name → policy
	coverage policy.Coverage
}

// testedPolicy is a policy and where it is from.
type testedPolicy struct {
	*policy.Policy
	file string // empty: from the server, or built in
	ours bool   // whoever runs the test answers for what it says
}

// table runs one table.
func (t *policyTester) table(ctx context.Context, path string) (*tableResult, error) {
	table, err := loadTable(t.call, path)
	if err != nil {
		return nil, badTable(err)
	}
	for _, pattern := range table.Policies {
		if err := t.loadAll(path, pattern); err != nil {
			return nil, badTable(fmt.Errorf("%s: %w", path, err))
		}
	}
	result := &tableResult{File: path}
	for i := range table.Rows {
		row := &table.Rows[i]
		var policies []*policy.Policy
		for _, name := range row.As {
			p, err := t.named(ctx, policyName(name))
			if err != nil {
				return nil, badTable(fmt.Errorf("%s: check %d: %w", path, row.Number, err))
			}
			policies = append(policies, p)
		}
		explanations, err := row.Check(policies)
		if err != nil {
			return nil, badTable(fmt.Errorf("%s: check %d: %w", path, row.Number, err))
		}
		for _, x := range explanations {
			t.coverage.Add(x)
			result.Checks = append(result.Checks, checkResult{
				Number: row.Number, As: row.As, Do: x.Operation, Path: x.Path,
				Allow: row.Allow, OK: x.Allowed == row.Allow, Because: row.Because, Explanation: x,
			})
		}
	}
	return result, nil
}

// named finds a policy that a check names.
func (t *policyTester) named(ctx context.Context, name string) (*policy.Policy, error) {
	p := t.known[name]
	switch {
	case p != nil:
		return p.Policy, nil
	case name == policy.RootName:
		return policy.Root(), nil
	case t.server != nil:
		return t.fetch(ctx, name)
	case name == logical.DefaultPolicy:
		return policy.Parse(name, policy.DefaultText)
	}
	return nil, fmt.Errorf("no file has the policy %q, and -server is not given", name)
}

func (t *policyTester) fetch(ctx context.Context, name string) (*policy.Policy, error) {
	s, err := t.server.Read(ctx, policiesPath+"/"+name)
	if err != nil {
		return nil, fmt.Errorf("reading policy %q: %w", name, err)
	}
	text := ""
	if s != nil {
		text, _ = s.Data["policy"].(string)
	}
	if text == "" {
		return nil, fmt.Errorf("neither a file nor the server has the policy %q", name)
	}
	p, err := policy.Parse(name, text)
	if err != nil {
		return nil, fmt.Errorf("policy %q of the server: %w", name, err)
	}
	t.known[name] = &testedPolicy{Policy: p, ours: name != logical.DefaultPolicy}
	return p, nil
}

// untouched are the stanzas that have decided nothing, by policy.
func (t *policyTester) untouched() []policy.Source {
	var all []policy.Source
	for _, p := range t.known {
		if p.ours {
			all = append(all, t.coverage.Untouched(p.Policy)...)
		}
	}
	slices.SortFunc(all, func(a, b policy.Source) int {
		if order := strings.Compare(a.Policy, b.Policy); order != 0 {
			return order
		}
		return a.Line - b.Line
	})
	return all
}
