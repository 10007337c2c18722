package cli

import (
	"context"
	"fmt"

	"github.com/cofferhq/coffer/internal/version"
)

func versionCommand() Command {
	return Command{
		Name: "version", Short: "Print the version",
		Long: `
  Print ours and that of the API:
      $ coffer version`,
		New: func(*Flags) Run {
			return func(_ context.Context, c *Call) error { c.Print(versionText()); return nil }
		},
	}
}

// versionText is what "coffer version" prints.
func versionText() string {
	text := fmt.Sprintf("Coffer v%s (API %s)", version.Coffer, version.API)
	if rev := version.Revision(); rev != "" {
		text += ", commit " + rev[:min(12, len(rev))]
	}
	if d := version.BuildDate(); d != "" {
		text += ", built " + d
	}
	return text
}
