package cli

import "context"

func unwrapCommand() Command {
	return Command{
		Name: "unwrap", Args: "[TOKEN]", MaxArgs: 1, Flags: outputFlags,
		Short: "Fetch an answer that was put away under a wrapping token, once",
		Long: `
Without an argument the token in COFFER_TOKEN or of the last login is the wrapping
token; - reads it from the standard input.

  Hand a secret over, and fetch it:
      $ coffer kv get -wrap-ttl=5m secret/db
      $ coffer unwrap cfs.…`,
		New: func(*Flags) Run {
			return func(ctx context.Context, c *Call) error {
				token, err := c.argument(0)
				if err != nil {
					return err
				}
				cl, err := c.Client()
				if err != nil {
					return err
				}
				s, err := cl.Unwrap(ctx, token)
				if err != nil {
					return failed(err, "unwrapping")
				}
				if s == nil {
					return &failure{code: exitServer, text: "Could not find wrapped response"}
				}
				return c.PrintSecret(s)
			}
		},
	}
}

// argument returns an argument that may be a secret: "-" reads a line of the
// standard input, and one that is missing is empty.
func (c *Call) argument(n int) (string, error) {
	switch {
	case n >= len(c.Args):
		return "", nil
	case c.Args[n] == "-":
		return c.readLine()
	}
	return c.Args[n], nil
}
