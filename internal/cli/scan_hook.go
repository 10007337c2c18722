package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/cofferhq/coffer/internal/hook"
	"github.com/cofferhq/coffer/scan"
	"github.com/cofferhq/coffer/scan/source"
)

func scanHookCommand() Command {
	return Command{
		Name: "scan install-hook", Args: "[REPOSITORY]", MaxArgs: 1,
		Short: "Search each commit or push for secrets",
		Long: `
Installs hooks of git that search what is about to be committed or merged, and with
-pre-push what is about to be pushed, and refuse it if there is a secret. They go
where git looks for them (core.hooksPath, the common folder of worktrees). A hook
that is there stays, with ".before-coffer" behind its name, and is called first. To
install twice is to install once.

It tells, too, whether git ignores .env files; -fix makes it so, in .gitignore.

A hook is skipped with "git commit -n", and one's own clone is one's own: what must
not happen is to be checked by the server, too.

  Search before each commit:
      $ coffer scan install-hook
  Search before each push, too, and have git ignore .env files:
      $ coffer scan install-hook -pre-push -fix
  Remove the hooks, and put those in place that were there before:
      $ coffer scan install-hook -uninstall`,
		New: newScanHook,
	}
}

func newScanHook(f *Flags) Run {
	push := f.Bool("pre-push", false, "Search what is pushed, too.")
	fix := f.Bool("fix", false, "Have git ignore .env files.")
	force := f.Bool("force", false, "Install also where core.hooksPath is that of all repositories.")
	remove := f.Bool("uninstall", false, "Remove the hooks.")
	return func(ctx context.Context, c *Call) error {
		dir := "."
		if len(c.Args) == 1 {
			dir = c.Args[0]
		}
		if *remove {
			return local(uninstallHooks(ctx, c, dir))
		}
		kinds := []hook.Kind{hook.PreCommit, hook.PreMerge}
		if *push {
			kinds = append(kinds, hook.PrePush)
		}
		for _, kind := range kinds {
			r, err := hook.Install(ctx, dir, kind, hook.Options{Program: c.Executable, Force: *force})
			if err != nil {
				return local(err)
			}
			c.Print(describeHook(r))
		}
		return local(checkDotEnv(ctx, c, dir, *fix))
	}
}

func describeHook(r hook.Result) string {
	text := "Installed " + r.Path
	if !r.Changed {
		text = "Already there: " + r.Path
	}
	if r.Kept != "" {
		text += ", which calls " + r.Kept + " first"
	}
	return text
}

func uninstallHooks(ctx context.Context, c *Call, dir string) error {
	none := true
	for _, kind := range []hook.Kind{hook.PreCommit, hook.PreMerge, hook.PrePush} {
		r, err := hook.Uninstall(ctx, dir, kind)
		if err != nil {
			return err
		}
		switch {
		case r.Changed && r.Kept != "":
			c.Print("Removed, and what was there before put back: " + r.Path)
		case r.Changed:
			c.Print("Removed " + r.Path)
		}
		none = none && !r.Changed
	}
	if none {
		c.Print("There is no hook of coffer's.")
	}
	return nil
}

func checkDotEnv(ctx context.Context, c *Call, dir string, fix bool) error {
	d, err := hook.CheckDotEnv(ctx, dir)
	if err != nil {
		return err
	}
	if len(d.Tracked) > 0 {
		c.Warn(fmt.Sprintf("In the repository: %s. If there is more than references in it: git rm --cached, and rotate what it holds.", strings.Join(d.Tracked, ", ")))
	}
	switch {
	case d.Ignored:
		return nil
	case !fix:
		c.Warn("git does not ignore .env files; -fix makes it so.")
		return nil
	}
	file, err := hook.IgnoreDotEnv(ctx, dir)
	if err == nil {
		c.Print("git ignores .env files now: " + file)
	}
	return err
}

// pushed searches what a pre-push hook was told of.
func (o *scanFlags) pushed(ctx context.Context, c *Call, s *scan.Scanner, dir string, to scan.Sink) error {
	pushes, err := hook.ReadPushes(c.Stdin)
	if err != nil {
		return err
	}
	for _, p := range pushes {
		base, isNew, err := p.Base(ctx, dir)
		switch {
		case err != nil:
		case !isNew:
			continue
		case base == "":
			err = source.History(ctx, s, dir, source.Depth{Revisions: []string{p.Local}}, to)
		default:
			err = source.Since(ctx, s, dir, base+".."+p.Local, source.Depth{}, to)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.Ref, err)
		}
	}
	return nil
}
