package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cofferhq/coffer/internal/file"
	"github.com/cofferhq/coffer/internal/policy"
)

// policiesPath is where the server keeps policies.
const policiesPath = "sys/policies/acl"

// policyName is how the server spells names.
func policyName(arg string) string { return strings.ToLower(strings.TrimSpace(arg)) }

func policyListCommand() Command {
	return Command{
		Name: "policy list", Flags: ClientFlags | FormatFlag,
		Short: "List the names of the policies",
		Long: `
  List them:
      $ coffer policy list`,
		New: func(*Flags) Run { return runPolicyList },
	}
}

func runPolicyList(ctx context.Context, c *Call) error {
	cl, err := c.Client()
	if err != nil {
		return err
	}
	s, err := cl.List(ctx, policiesPath)
	if err != nil {
		return failed(err, "listing policies")
	}
	names := []any{}
	if s != nil {
		names, _ = s.Data["keys"].([]any)
	}
	if !c.table() {
		return c.PrintValue(names)
	}
	for _, name := range names {
		c.Print(fmt.Sprint(name))
	}
	return nil
}

func policyReadCommand() Command {
	return Command{
		Name: "policy read", Args: "NAME", MinArgs: 1, MaxArgs: 1, Flags: ClientFlags | FormatFlag,
		Short: "Print the text of a policy",
		Long: `
  Keep it in a file:
      $ coffer policy read web >web.hcl`,
		New: func(*Flags) Run { return runPolicyRead },
	}
}

func runPolicyRead(ctx context.Context, c *Call) error {
	name := policyName(c.Args[0])
	cl, err := c.Client()
	if err != nil {
		return err
	}
	s, err := cl.Read(ctx, policiesPath+"/"+name)
	if err != nil {
		return failed(err, "reading policy named %s", name)
	}
	text := ""
	if s != nil {
		text, _ = s.Data["policy"].(string)
	}
	if text == "" {
		return &failure{
			code: exitServer, text: "No policy named: " + name,
			hint: fmt.Sprintf("Hint: \"%s policy list\" shows which there are.", program),
		}
	}
	if !c.table() {
		return c.PrintValue(map[string]string{"policy": text})
	}
	c.Print(strings.TrimSpace(text))
	return nil
}

func policyWriteCommand() Command {
	return Command{
		Name: "policy write", Args: "NAME FILE", MinArgs: 2, MaxArgs: 2, Flags: ClientFlags,
		Short: "Create or replace a policy",
		Long: `
FILE is HCL or JSON; - is the standard input.

  From a file, and from the standard input:
      $ coffer policy write web web.hcl
      $ echo 'path "secret/data/web" { capabilities = ["read"] }' | coffer policy write web -`,
		New: func(*Flags) Run { return runPolicyWrite },
	}
}

func runPolicyWrite(ctx context.Context, c *Call) error {
	name, source := policyName(c.Args[0]), strings.TrimSpace(c.Args[1])
	text, err := c.input(source)
	if err != nil {
		return err
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	if _, err := cl.Write(ctx, policiesPath+"/"+name, map[string]string{"policy": string(text)}); err != nil {
		return failed(err, "uploading policy")
	}
	c.Success("Uploaded policy: %s", name)
	return nil
}

func policyDeleteCommand() Command {
	return Command{
		Name: "policy delete", Args: "NAME", MinArgs: 1, MaxArgs: 1, Flags: ClientFlags,
		Short: "Delete a policy",
		Long: `
Tokens that have it lose what it grants, at once.

  Delete one:
      $ coffer policy delete web`,
		New: func(*Flags) Run {
			return func(ctx context.Context, c *Call) error {
				name := policyName(c.Args[0])
				cl, err := c.Client()
				if err != nil {
					return err
				}
				if _, err := cl.Delete(ctx, policiesPath+"/"+name); err != nil {
					return failed(err, "deleting %s", name)
				}
				c.Success("Deleted policy: %s", name)
				return nil
			}
		},
	}
}

func policyFmtCommand() Command {
	return Command{
		Name: "policy fmt", Args: "FILE", MinArgs: 1, MaxArgs: 1,
		Short: "Format the file of a policy, in its place",
		Long: `
The file must be a policy without mistakes. - reads the standard input and writes
to the standard output.

  Format a file:
      $ coffer policy fmt web.hcl`,
		New: func(*Flags) Run { return runPolicyFmt },
	}
}

func runPolicyFmt(_ context.Context, c *Call) error {
	source := strings.TrimSpace(c.Args[0])
	text, err := c.input(source)
	if err != nil {
		return err
	}
	formatted, err := policy.Format(string(text))
	if err != nil {
		return local(fmt.Errorf("%s: %w", source, err))
	}
	if source == "-" {
		fmt.Fprint(c.Stdout, formatted)
		return nil
	}
	if formatted != string(text) {
		if err := replaceContent(source, formatted); err != nil {
			return local(err)
		}
	}
	c.Success("Formatted policy: %s", source)
	return nil
}

// replaceContent replaces what a file holds, whole or not at all, and keeps its
// permissions.
func replaceContent(path, content string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return file.ReplaceWith(path, info.Mode().Perm(), []byte(content))
}
