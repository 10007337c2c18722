// Command coffer keeps secrets: it is the server, and the command line to it.
// Run it without arguments for its commands.
package main

import (
	"os"

	"github.com/cofferhq/coffer/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], cli.OS())) }
