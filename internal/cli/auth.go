package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/api"
)

func authListCommand() Command {
	return authKind.list(`
  List the auth methods, and all that is known of them:
      $ coffer auth list
      $ coffer auth list -detailed`,
		[]mountColumn{colPath, colType, colAccessor, colDescription, colVersion},
		[]mountColumn{
			colPath, colPlugin, colAccessor, colDefaultTTL, colMaxTTL, colTokenType, colReplication, colSealWrap,
			colEntropy, colOptions, colDescription, colUUID, colVersion, colRunning, colSHA256, colDeprecation,
		})
}

func authEnableCommand() Command {
	return authKind.enable(`
  Let applications log in:
      $ coffer auth enable approle
  The same at another path:
      $ coffer auth enable -path=apps approle`)
}

func authDisableCommand() Command {
	return authKind.disable(`
All tokens that logins there earned are revoked.

  Disable the method at apps/:
      $ coffer auth disable apps`)
}

func authMoveCommand() Command {
	return authKind.move(`
The tokens that logins there earned are revoked; roles and users stay.

  Give the method at approle/ the path apps/:
      $ coffer auth move approle apps`)
}

func authTuneCommand() Command {
	return authKind.tune(`
Only what flags name changes.

  Shorten the tokens of a method:
      $ coffer auth tune -default-lease-ttl=1h -max-lease-ttl=1d approle`)
}

func authHelpCommand() Command {
	return Command{
		Name: "auth help", Args: "TYPE | PATH", MinArgs: 1, MaxArgs: 1, Flags: ClientFlags,
		Short: "Show how to log in with an auth method",
		Long: `
  For a type of method, and for the one that is enabled at apps/:
      $ coffer auth help approle
      $ coffer auth help apps/`,
		New: func(*Flags) Run { return runAuthHelp },
	}
}

func runAuthHelp(ctx context.Context, c *Call) error {
	kind, path := cleanPath(c.Args[0]), ""
	if _, known := loginMethods[kind]; !known && kind != "token" {
		path = kind + "/"
		var err error
		if kind, err = c.methodAt(ctx, path); err != nil {
			return err
		}
	}
	if kind == "token" {
		c.Print(fmt.Sprintf("Usage: %s login [TOKEN]\n\nWithout TOKEN it is asked for and not shown; - reads it from the standard input.", program))
		return nil
	}
	m, known := loginMethods[kind]
	if !known {
		return &failure{
			code: exitLocal, text: fmt.Sprintf("The command line cannot log in with auth methods of type %q", kind),
			hint: "Hint: write to its login path instead: " + program + " write auth/" + path + "login KEY=VALUE...",
		}
	}
	c.Print(m.help(kind, path))
	return nil
}

// methodAt asks the server which type of method is enabled at path.
func (c *Call) methodAt(ctx context.Context, path string) (string, error) {
	cl, err := c.Client()
	if err != nil {
		return "", err
	}
	s, err := cl.Read(ctx, "sys/auth")
	if err != nil {
		return "", failed(err, "listing auth methods")
	}
	if s == nil {
		return "", failed(errNoAnswer, "listing auth methods")
	}
	methods, err := decoded[map[string]api.Mount](s.Data)
	if err != nil {
		return "", failed(err, "listing auth methods")
	}
	m, ok := methods[path]
	if !ok {
		types := append(slices.Collect(maps.Keys(loginMethods)), "token")
		slices.Sort(types)
		return "", &failure{
			code: exitServer, text: fmt.Sprintf("No auth method at: %s", path),
			hint: fmt.Sprintf("Hint: \"%s auth list\" shows those that are enabled. Types: %s.", program, strings.Join(types, ", ")),
		}
	}
	return m.Type, nil
}

// help tells how to log in.
func (m loginMethod) help(kind, path string) string {
	call := program + " login -method=" + kind
	if path != "" && path != m.mount+"/" {
		call += " -path=" + cleanPath(path)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s [KEY=VALUE...]\n", call)
	if len(m.fields) > 0 {
		b.WriteString("\nFields:\n")
	}
	for _, name := range m.fields {
		note := ""
		if name == m.secret {
			note = " (asked for, and not shown, if it is missing)"
		}
		fmt.Fprintf(&b, "  %s%s\n", name, note)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
