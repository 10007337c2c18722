package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/cofferhq/coffer/internal/demo"
)

func demoCommand() Command {
	return Command{
		Name: "demo", Short: "Show the main job, end to end, in a temporary folder",
		Long: `
Starts a server on the embedded store, stores three secrets, runs an application
that has only references to them, rotates one, and lets two thieves try. Each
step is checked and shows its audit lines. It ends with code 2 if one fails.

  Run it, and leave nothing behind:
      $ coffer demo
  Run it, and look around in its server afterwards:
      $ coffer demo -keep`,
		New: func(f *Flags) Run {
			keep := f.Bool("keep", false, "Leave the server up, and print how to go on.")
			return func(ctx context.Context, c *Call) error {
				ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
				defer stop()
				return failed(demo.Run(ctx, demo.Options{Program: c.Executable, Out: c.Stdout, Keep: *keep}), "in the demo")
			}
		},
	}
}

func demoApplicationCommand() Command {
	return Command{
		Name: "demo application", Hidden: true, Short: "The application that the demo runs",
		New: func(*Flags) Run {
			return func(ctx context.Context, c *Call) error {
				ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
				defer stop()
				return local(demo.Application(ctx, c.Getenv, c.Stdout))
			}
		},
	}
}
