package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/policy"
)

// explainPath is where the server tells why it allows or denies.
const explainPath = "sys/coffer/policy/explain"

func policyExplainCommand() Command {
	return Command{
		Name: "policy explain", Args: "CAPABILITY PATH [KEY=VALUE...]", MinArgs: 2, MaxArgs: -1, Flags: ClientFlags | FormatFlag,
		Short: "Say why a request would be allowed or denied",
		Long: `
CAPABILITY is read, list, create, update, patch or delete; write is update. PATH is
the API's, as policies name it: secret/data/app, where "kv get" takes secret/app.
KEY=VALUE is what the request would send, for policies that restrict parameters.

It names the rule that decides and the policies it comes from, the rules that match
as well and lost, what was nearly right, and the lines that would grant the request.
By default that is about your own token. To ask about another you must be allowed to
look it up and to read its policies. With -policy-file no server is asked.

Exit codes: 0 if the request is allowed; 2 if it is denied, or if the server does
not answer; 1 if the call is wrong.

  Why am I denied?
      $ coffer policy explain read secret/data/app/db
  What may the tokens of a role do?
      $ coffer policy explain -role=auth/approle/role/app update secret/data/app/db
  Before a policy is uploaded:
      $ coffer policy explain -policy-file=app.hcl list secret/metadata/app/`,
		New: newPolicyExplain,
	}
}

type policyExplainFlags struct {
	accessor, entity, role, wrap *string
	policies, files              *[]string
	sudo                         *bool
}

func newPolicyExplain(f *Flags) Run {
	o := &policyExplainFlags{
		accessor: f.String("token-accessor", "", "Ask about the token with this accessor."),
		entity:   f.String("entity", "", "Id of the entity that fills in the templates of -policy or -role."),
		role:     f.String("role", "", "Ask about the tokens of a role: auth/approle/role/app."),
		policies: f.Commas("policy", "Ask about a token that had these policies, and no others."),
		files:    f.List("policy-file", "Ask about the policies of files, without a server."),
		sudo:     f.Bool("sudo", false, "With -policy-file: the path takes sudo as well. A server knows."),
		wrap:     f.Duration("wrapped", "The request would ask for its answer to be wrapped for so long."),
	}
	return o.run
}

// explainAnswer is what the server says.
type explainAnswer struct {
	policy.Explanation
	Policies []string `json:"policies"`
}

func (o *policyExplainFlags) run(ctx context.Context, c *Call) error {
	op, err := policy.ParseOp(c.Args[0])
	if err != nil {
		return usage("%v", err)
	}
	parameters, err := c.data(2)
	if err != nil {
		return err
	}
	others := 0
	for _, given := range []bool{*o.accessor != "", *o.role != "" || len(*o.policies) > 0, len(*o.files) > 0} {
		if given {
			others++
		}
	}
	switch {
	case others > 1:
		return usage("-token-accessor, -policy-file, and -role or -policy exclude each other")
	case *o.entity != "" && *o.role == "" && len(*o.policies) == 0:
		return usage("-entity needs -policy or -role: entities have no policies of their own")
	case *o.sudo && len(*o.files) == 0:
		return usage("-sudo is for -policy-file: the server knows which paths take sudo")
	}
	var answer *explainAnswer
	if len(*o.files) > 0 {
		answer, err = o.here(c, op, parameters)
	} else {
		answer, err = o.there(ctx, c, parameters)
	}
	if err != nil {
		return err
	}
	if answer == nil { // it is wrapped, and that has been told
		return nil
	}
	return c.printExplanation(answer)
}

// here explains with the policies of files.
func (o *policyExplainFlags) here(c *Call, op logical.Op, parameters map[string]any) (*explainAnswer, error) {
	answer := &explainAnswer{}
	var policies []*policy.Policy
	for _, path := range *o.files {
		text, err := c.input(path)
		if err != nil {
			return nil, err
		}
		p, err := policy.Parse(fileName(path), string(text))
		if err != nil {
			return nil, local(fmt.Errorf("%s: %w", path, err))
		}
		policies = append(policies, p)
		answer.Policies = append(answer.Policies, p.Name())
	}
	e, err := policy.NewExplainer(policies, nil)
	if err != nil {
		return nil, local(err)
	}
	q := policy.Query{Op: op, Path: c.Args[1], Sudo: *o.sudo}
	if len(parameters) > 0 {
		if q.Body, err = json.Marshal(parameters); err != nil {
			return nil, local(err)
		}
	}
	if *o.wrap != "" {
		if q.WrapTTL, err = logical.ParseDuration(*o.wrap); err != nil {
			return nil, usage("-wrapped: %v", err)
		}
	}
	answer.Explanation = *e.Explain(q, "")
	return answer, nil
}

// fileName is what a file calls its policy, if nobody else does.
func fileName(path string) string {
	base := filepath.Base(path)
	return policyName(strings.TrimSuffix(base, filepath.Ext(base)))
}

// there has the server explain. There is no answer if it is wrapped.
func (o *policyExplainFlags) there(ctx context.Context, c *Call, parameters map[string]any) (*explainAnswer, error) {
	cl, err := c.Client()
	if err != nil {
		return nil, err
	}
	body := map[string]any{"operation": c.Args[0], "path": c.Args[1]}
	if len(parameters) > 0 {
		body["parameters"] = parameters
	}
	names := *o.policies
	if *o.role != "" {
		of, err := rolePolicies(ctx, cl, *o.role)
		if err != nil {
			return nil, err
		}
		names = append(names, of...)
	}
	if len(names) > 0 {
		body["policies"] = names
	}
	for name, value := range map[string]string{"accessor": *o.accessor, "entity_id": *o.entity, "wrap_ttl": *o.wrap} {
		if value != "" {
			body[name] = value
		}
	}
	s, err := cl.Write(ctx, explainPath, body)
	if client.StatusOf(err) == http.StatusNotFound {
		return nil, &failure{
			code: exitServer, text: "The server cannot explain its policies: only coffer's can.",
			hint: fmt.Sprintf("Hint: \"%s policy read\" and -policy-file explain them here.", program),
		}
	}
	if err != nil {
		return nil, failed(err, "explaining %s", c.Args[1])
	}
	if s == nil {
		return nil, noValue(explainPath)
	}
	if s.WrapInfo != nil {
		return nil, c.PrintSecret(s)
	}
	c.printWarnings(s)
	answer := &explainAnswer{}
	b, err := json.Marshal(s.Data)
	if err == nil {
		err = json.Unmarshal(b, answer)
	}
	return answer, failed(err, "reading the explanation")
}

// rolePolicies are those that the tokens of a role have.
func rolePolicies(ctx context.Context, cl *client.Client, path string) ([]string, error) {
	s, err := cl.Read(ctx, strings.Trim(path, "/"))
	if err != nil {
		return nil, failed(err, "reading role %s", path)
	}
	if s == nil {
		return nil, noValue(path)
	}
	var names []string
	list, ok := s.Data["token_policies"].([]any)
	if !ok {
		return nil, &failure{code: exitServer, text: path + " is no role: it has no token_policies"}
	}
	for _, name := range list {
		names = append(names, fmt.Sprint(name))
	}
	if bare, _ := s.Data["token_no_default_policy"].(bool); !bare {
		names = append(names, logical.DefaultPolicy)
	}
	if len(names) == 0 {
		return nil, &failure{code: exitServer, text: "The tokens of " + path + " have no policies: everything is denied."}
	}
	return names, nil
}

func (c *Call) printExplanation(x *explainAnswer) error {
	if c.table() {
		fmt.Fprint(c.Stdout, explanationText(&x.Explanation))
	} else if err := c.PrintValue(x); err != nil {
		return err
	}
	if !x.Allowed {
		return silently(exitServer)
	}
	return nil
}

// explanationText is an explanation for people.
func explanationText(x *policy.Explanation) string {
	var b strings.Builder
	verdict := "Denied"
	if x.Allowed {
		verdict = "Allowed"
	}
	fmt.Fprintf(&b, "%s: %s %s\nBecause %s.\n", verdict, x.Operation, x.Path, x.Reason)
	if x.Decided != nil {
		b.WriteString("\nThe rule that decides:\n")
		writeMatch(&b, x.Decided)
	}
	if len(x.Lost) > 0 {
		b.WriteString("\nRules that match as well, and do not count:\n")
		for i := range x.Lost {
			writeMatch(&b, &x.Lost[i])
		}
	}
	if len(x.Hints) > 0 {
		b.WriteString("\nHints:\n")
		for _, hint := range x.Hints {
			fmt.Fprintf(&b, "  - %s\n", hint)
		}
	}
	if x.Grant != "" {
		b.WriteString("\nA policy with these lines would grant it:\n\n" + x.Grant)
	}
	return b.String()
}

func writeMatch(b *strings.Builder, m *policy.Match) {
	fmt.Fprintf(b, "  %q [%s]", m.Pattern, strings.Join(m.Capabilities, ", "))
	if m.Why != "" {
		fmt.Fprintf(b, ": %s", m.Why)
	}
	b.WriteByte('\n')
	for _, s := range m.Stanzas {
		fmt.Fprintf(b, "      %s\n", s)
	}
}
