package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/cofferhq/coffer/internal/dotenv"
)

func envLintCommand() Command {
	return Command{
		Name: "env lint", Args: "[FILE...]", MaxArgs: -1, Flags: FormatFlag,
		Short: "Find what is wrong with .env files",
		Long: `
There is no standard for .env files, and libraries read the same line differently:
a # or a $ in a password, quotes, escapes, more than one line. Each line is given to
` + dialectNames() + `; where they read another value, it is told how
each does (not the value), and how to write it so that all agree.

Also found: secrets in plain text, where a reference to the store could stand; a
name that is set twice; a file that git has, or would take.

With -fix the values are written so that all libraries read what ` + dotenv.Dialects[0].Name + ` reads now
(that is what "coffer run" does), and the file is added to .gitignore. Comments,
order and mode stay, and a backup is left beside it. A file that git has is taken
out of its index, after a question or with -yes; the file itself stays.

Exit codes: 0 if nothing is left to do, 1 if something is.

  Look at .env:
      $ coffer env lint
  Write what is unclear anew:
      $ coffer env lint -fix .env .env.local`,
		New: func(f *Flags) Run {
			o := &lintFlags{
				fix: f.Bool("fix", false, "Correct what can be."),
				yes: f.Bool("yes", false, "Do not ask before git forgets a file."),
			}
			return o.run
		},
	}
}

func dialectNames() string {
	var names []string
	for _, d := range dotenv.Dialects {
		names = append(names, d.Name)
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

type lintFlags struct{ fix, yes *bool }

// lintedFile is what was found in one file.
type lintedFile struct {
	File     string           `json:"file"`
	Findings []dotenv.Finding `json:"findings"`
	Backup   string           `json:"backup,omitempty"`
}

func (o *lintFlags) run(ctx context.Context, c *Call) error {
	paths := c.Args
	if len(paths) == 0 {
		paths = []string{dotenvFile}
	}
	left := 0
	var all []lintedFile
	for _, path := range paths {
		linted, err := o.lint(ctx, c, path)
		if err != nil {
			return err
		}
		all = append(all, linted)
		for _, f := range linted.Findings {
			if !f.Fixed {
				left++
			}
		}
	}
	if !c.table() {
		if err := c.PrintValue(all); err != nil {
			return err
		}
	} else {
		for _, f := range all {
			c.printLinted(f)
		}
	}
	if left > 0 {
		return silently(exitLocal)
	}
	return nil
}

func (o *lintFlags) lint(ctx context.Context, c *Call, path string) (lintedFile, error) {
	out := lintedFile{File: path, Findings: []dotenv.Finding{}}
	f, err := dotenv.Load(path)
	if err != nil {
		return out, local(err)
	}
	out.Findings = append(out.Findings, f.Lint()...)
	git, err := dotenv.LintGit(ctx, path)
	if err != nil {
		c.Warn(path + ": " + err.Error())
	}
	out.Findings = append(out.Findings, git...)
	if !*o.fix {
		return out, nil
	}
	was := f.Content()
	if f.Fix(out.Findings) {
		if out.Backup, err = dotenv.Backup(ctx, path); err != nil {
			return out, local(err)
		}
		if err := dotenv.Replace(path, was, f.Content()); err != nil {
			return out, local(err)
		}
	}
	return out, o.fixGit(ctx, c, path, out.Findings)
}

// fixGit has git ignore and, if that is wanted, forget the file.
func (o *lintFlags) fixGit(ctx context.Context, c *Call, path string, findings []dotenv.Finding) error {
	r := dotenv.OpenRepository(ctx, path)
	for i := range findings {
		f := &findings[i]
		switch f.Kind {
		case dotenv.NotIgnored:
			if err := r.Ignore(ctx); err != nil {
				return local(err)
			}
			f.Fixed = true
		case dotenv.Tracked:
			ok, err := c.confirm(fmt.Sprintf("Take %s out of git's index, and leave the file where it is?", path), *o.yes)
			if err != nil {
				c.Warn(err.Error() + " -yes says so.")
			}
			if !ok {
				continue
			}
			if err := r.Untrack(ctx); err != nil {
				return local(err)
			}
			f.Fixed = true
		}
	}
	return nil
}

func (c *Call) printLinted(l lintedFile) {
	for _, f := range l.Findings {
		place := l.File
		if f.Line > 0 {
			place = fmt.Sprintf("%s:%d", l.File, f.Line)
		}
		if f.Name != "" {
			place += ": " + f.Name
		}
		c.Print(place + ": " + f.Text)
		for _, r := range f.Readings {
			c.Print(fmt.Sprintf("    %-12s %s", r.Dialect, r.Reads))
		}
		if f.Fixed {
			c.Print("    done: " + f.Fix)
		} else {
			c.Print("    " + f.Fix)
		}
	}
	if l.Backup != "" {
		c.Print(fmt.Sprintf("%s is as before in %s: delete that when all is well.", l.File, l.Backup))
	}
	if len(l.Findings) == 0 {
		c.Print(l.File + ": nothing to do")
	}
}
