package cli

import (
	"context"
	"net/http"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

func operatorUnsealCommand() Command {
	return Command{
		Name: "operator unseal", Args: "[KEY]", MaxArgs: 1, Flags: ClientFlags | FormatFlag,
		Short: "Give the server a share of its unseal key",
		Long: `
Without KEY it is asked for, and not shown; - reads it from the standard input.

  Give a share:
      $ coffer operator unseal`,
		New: func(f *Flags) Run {
			reset := f.Bool("reset", false, "Forget the shares given so far.")
			migrate := f.Bool("migrate", false, "The share belongs to the seal that is being left.")
			return func(ctx context.Context, c *Call) error {
				return runUnseal(ctx, c, api.UnsealRequest{Reset: *reset, Migrate: *migrate})
			}
		},
	}
}

func runUnseal(ctx context.Context, c *Call, req api.UnsealRequest) error {
	cl, err := c.anonymous()
	if err != nil {
		return err
	}
	if !req.Reset {
		if req.Key, err = c.unsealKey(); err != nil {
			return err
		}
		if req.Key == "" {
			return usage("No unseal key was given")
		}
	}
	status, err := call[api.SealStatus](ctx, cl, http.MethodPut, "sys/unseal", req)
	if err != nil {
		return failed(err, "unsealing")
	}
	leader := &api.Leader{}
	if !status.Sealed {
		if leader, err = call[api.Leader](ctx, cl, http.MethodGet, "sys/leader", nil); err != nil {
			return failed(err, "checking leader status")
		}
	}
	return c.printStatus(status, leader)
}

func (c *Call) unsealKey() (string, error) {
	if len(c.Args) > 0 {
		return c.argument(0)
	}
	return c.ask("Unseal Key")
}

func operatorSealCommand() Command {
	return Command{
		Name: "operator seal", Flags: ClientFlags,
		Short: "Seal the server: it forgets its key and serves nothing until it is unsealed",
		Long: `
  Stop all access at once:
      $ coffer operator seal`,
		New: func(*Flags) Run {
			return simply(http.MethodPut, "sys/seal", "sealing", "Coffer is sealed.")
		},
	}
}

func operatorStepDownCommand() Command {
	return Command{
		Name: "operator step-down", Flags: ClientFlags,
		Short: "Make the active server hand over to another one",
		Long: `
  Before work on its machine:
      $ coffer operator step-down`,
		New: func(*Flags) Run {
			return simply(http.MethodPut, "sys/step-down", "stepping down", "Stepped down.")
		},
	}
}

// simply makes a request without content and tells of its success.
func simply(method, path, doing, done string) Run {
	return func(ctx context.Context, c *Call) error {
		cl, err := c.Client()
		if err != nil {
			return err
		}
		if _, err := cl.Do(ctx, client.Request{Method: method, Path: path}); err != nil {
			return failed(err, "%s", doing)
		}
		c.Success("%s", done)
		return nil
	}
}

func operatorRotateCommand() Command {
	return Command{
		Name: "operator rotate", Flags: ClientFlags | FormatFlag,
		Short: "Encrypt what is written from now on with a new key",
		Long: `
What is stored already stays readable, with the keys before.

  Change the key:
      $ coffer operator rotate`,
		New: func(*Flags) Run {
			return func(ctx context.Context, c *Call) error {
				cl, err := c.Client()
				if err != nil {
					return err
				}
				if _, err := cl.Write(ctx, "sys/rotate", nil); err != nil {
					return failed(err, "rotating key")
				}
				if c.table() {
					c.Success("Rotated key\n")
				}
				return runKeyStatus(ctx, c)
			}
		},
	}
}

func operatorKeyStatusCommand() Command {
	return Command{
		Name: "operator key-status", Flags: ClientFlags | FormatFlag,
		Short: "Tell which key encrypts what is written",
		Long: `
  Show its number and age:
      $ coffer operator key-status`,
		New: func(*Flags) Run { return runKeyStatus },
	}
}

func runKeyStatus(ctx context.Context, c *Call) error {
	cl, err := c.Client()
	if err != nil {
		return err
	}
	s, err := cl.Read(ctx, "sys/key-status")
	if err != nil {
		return failed(err, "reading key status")
	}
	if s == nil {
		return noValue("sys/key-status")
	}
	if !c.table() {
		return c.PrintValue(s.Data)
	}
	var rows []row
	for _, r := range []row{{"Key Term", "term"}, {"Install Time", "install_time"}, {"Encryption Count", "encryptions"}} {
		if v, ok := s.Data[r.value.(string)]; ok {
			rows = append(rows, row{r.key, v})
		}
	}
	c.printRows("Key", "Value", rows)
	return nil
}
