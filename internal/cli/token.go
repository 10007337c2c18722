package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// tokenArg is a token, or its accessor, that a command is about.
type tokenArg struct {
	value    string // empty: the caller's own
	accessor bool
}

// field is what the server calls it.
func (t tokenArg) field() string {
	if t.accessor {
		return "accessor"
	}
	return "token"
}

// path is the one of the three paths of a verb that takes it.
func (t tokenArg) path(verb string) string {
	switch {
	case t.value == "":
		return "auth/token/" + verb + "-self"
	case t.accessor:
		return "auth/token/" + verb + "-accessor"
	}
	return "auth/token/" + verb
}

// body has it, if it is not the caller's own.
func (t tokenArg) body() map[string]any {
	if t.value == "" {
		return map[string]any{}
	}
	return map[string]any{t.field(): t.value}
}

// tokenArg reads the first argument, of which "-" is the standard input.
func (c *Call) tokenArg(accessor bool) (tokenArg, error) {
	if accessor && len(c.Args) == 0 {
		return tokenArg{}, usage("Not enough arguments with -accessor (expected 1, got 0)")
	}
	value, err := c.argument(0)
	if err != nil {
		return tokenArg{}, err
	}
	if value = strings.TrimSpace(value); value == "" && len(c.Args) > 0 {
		return tokenArg{}, usage("The token is empty")
	}
	return tokenArg{value, accessor}, nil
}

func accessorFlag(f *Flags) *bool {
	return f.Bool("accessor", false, "The argument is the accessor of the token.")
}

func tokenLookupCommand() Command {
	return Command{
		Name: "token lookup", Args: "[TOKEN | ACCESSOR]", MaxArgs: 1, Flags: outputFlags,
		Short: "Show what is known about a token",
		Long: `
Without an argument it is the caller's own token; - reads it from the standard input.

  Show how long our token lives:
      $ coffer token lookup -field=ttl
  Show a token of which only the accessor is known:
      $ coffer token lookup -accessor 9793c9b3-e04a-46f3-e7b8-748d7da248da`,
		New: func(f *Flags) Run {
			accessor := accessorFlag(f)
			self := f.Bool("self", false, "Show the caller's own token, as without an argument.")
			return func(ctx context.Context, c *Call) error {
				if *self && (*accessor || len(c.Args) > 0) {
					return usage("-self takes no other token")
				}
				return runTokenLookup(ctx, c, *accessor)
			}
		},
	}
}

func runTokenLookup(ctx context.Context, c *Call, accessor bool) error {
	t, err := c.tokenArg(accessor)
	if err != nil {
		return err
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	var s *api.Secret
	if t.value == "" {
		s, err = cl.Read(ctx, t.path("lookup"))
	} else {
		s, err = cl.Write(ctx, t.path("lookup"), t.body())
	}
	if err == nil && s == nil {
		err = errNoAnswer
	}
	if err != nil {
		return failed(err, "looking up token")
	}
	return c.PrintSecret(s)
}

func tokenRenewCommand() Command {
	return Command{
		Name: "token renew", Args: "[TOKEN | ACCESSOR]", MaxArgs: 1, Flags: outputFlags,
		Short: "Let a token live longer",
		Long: `
Without an argument it is the caller's own token; - reads it from the standard input.

  Let our token live an hour from now on:
      $ coffer token renew -increment=1h`,
		New: func(f *Flags) Run {
			accessor := accessorFlag(f)
			increment := incrementFlag(f)
			return func(ctx context.Context, c *Call) error { return runTokenRenew(ctx, c, *accessor, *increment) }
		},
	}
}

// incrementFlag declares -increment, which was -i once.
func incrementFlag(f *Flags) *string {
	p := f.Duration("increment", "Time from now on to ask for. The server may give less.")
	f.Alias("i", "increment")
	return p
}

func runTokenRenew(ctx context.Context, c *Call, accessor bool, increment string) error {
	t, err := c.tokenArg(accessor)
	if err != nil {
		return err
	}
	body := t.body()
	if increment != "" {
		body["increment"] = increment
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	s, err := cl.Write(ctx, t.path("renew"), body)
	if err == nil && s == nil {
		err = errNoAnswer
	}
	if err != nil {
		return failed(err, "renewing token")
	}
	return c.PrintSecret(s)
}

func tokenCapabilitiesCommand() Command {
	return Command{
		Name: "token capabilities", Args: "[TOKEN | ACCESSOR] PATH", MinArgs: 1, MaxArgs: 2, Flags: ClientFlags | FormatFlag,
		Short: "Tell what a token may do at a path",
		Long: `
With one argument it is the caller's own token; - reads it from the standard input.

  Ask about our own, and about another:
      $ coffer token capabilities secret/data/web
      $ coffer token capabilities - secret/data/web <token.txt`,
		New: func(f *Flags) Run {
			accessor := accessorFlag(f)
			return func(ctx context.Context, c *Call) error { return runCapabilities(ctx, c, *accessor) }
		},
	}
}

func runCapabilities(ctx context.Context, c *Call, accessor bool) error {
	path := c.Args[len(c.Args)-1]
	var t tokenArg
	if accessor && len(c.Args) < 2 {
		return usage("Not enough arguments with -accessor (expected 2, got %d)", len(c.Args))
	}
	if len(c.Args) == 2 {
		var err error
		if t, err = c.tokenArg(accessor); err != nil {
			return err
		}
	}
	cl, err := c.Client()
	if err != nil {
		return err
	}
	names, err := capabilitiesOf(ctx, cl, t, path)
	if err != nil {
		return failed(err, "listing capabilities")
	}
	if !c.table() {
		return c.PrintValue(names)
	}
	c.Print(strings.Join(names, ", "))
	return nil
}

func capabilitiesOf(ctx context.Context, cl *client.Client, t tokenArg, path string) ([]string, error) {
	where := "sys/capabilities"
	switch {
	case t.value == "":
		where += "-self"
	case t.accessor:
		where += "-accessor"
	}
	body := t.body()
	body["path"] = path
	s, err := cl.Write(ctx, where, body)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, errNoAnswer
	}
	list, ok := s.Data["capabilities"].([]any)
	if !ok {
		list, _ = s.Data[path].([]any)
	}
	names := []string{}
	for _, v := range list {
		names = append(names, fmt.Sprint(v))
	}
	slices.Sort(names)
	return names, nil
}
