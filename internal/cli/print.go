package cli

import "context"

func printTokenCommand() Command {
	return Command{
		Name: "print token", Short: "Print the token that commands use",
		Long: `
The token is the one in COFFER_TOKEN, VAULT_TOKEN or of the last login.

  For a program that wants it as a header:
      $ curl -H "X-Vault-Token: $(coffer print token)" https://127.0.0.1:8200/v1/sys/mounts`,
		New: func(*Flags) Run {
			return func(_ context.Context, c *Call) error {
				token := c.setting("TOKEN")
				if token == "" {
					var err error
					if token, err = c.tokens().load(); err != nil {
						return local(err)
					}
				}
				c.Print(token)
				return nil
			}
		},
	}
}
