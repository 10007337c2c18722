package cli

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/cofferhq/coffer/internal/file"
)

//go:embed completion/bash.sh
var bashScript string

//go:embed completion/zsh.sh
var zshScript string

//go:embed completion/fish.sh
var fishScript string

// shell is one whose completion we speak.
type shell struct {
	name   string
	script string

	// rc is the file, below the home folder, that gets a line which loads the
	// script; of fish, the file that is the script.
	rc string
}

var shells = []shell{
	{"bash", bashScript, ".bashrc"},
	{"fish", fishScript, ".config/fish/completions/" + program + ".fish"},
	{"zsh", zshScript, ".zshrc"},
}

// commandName is what a shell takes as the name of a command and of a function.
var commandName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// text is the script for a command of some name, which calls the program exe.
func (s shell) text(name, exe string) string {
	return strings.NewReplacer("PROGRAM", exe, "NAME", name).Replace(s.script)
}

func completionCommand(name string) Command {
	return Command{
		Name: "completion " + name, Short: "Print the script that completes in " + name,
		Long: fmt.Sprintf(`
  Complete in this shell; see also "coffer completion install":
      $ %s
  Complete an alias, too:
      $ alias vault=coffer
      $ %s`, sourceLine(name, program+" completion "+name), sourceLine(name, program+" completion "+name+" -name=vault")),
		New: func(f *Flags) Run {
			command := f.String("name", program, "Name of the command that is completed, if it is an alias.")
			return func(_ context.Context, c *Call) error {
				if !commandName.MatchString(*command) {
					return usage("-name: want a name of letters, digits and underscores")
				}
				fmt.Fprint(c.Stdout, shellNamed(name).text(*command, program))
				return nil
			}
		},
	}
}

func shellNamed(name string) shell {
	for _, s := range shells {
		if s.name == name {
			return s
		}
	}
	return shell{}
}

// sourceLine is how a shell runs what a command prints.
func sourceLine(shell, command string) string {
	if shell == "fish" {
		return command + " | source"
	}
	return "source <(" + command + ")"
}

func completionInstallCommand() Command {
	return Command{
		Name: "completion install", Short: "Complete in every new shell",
		Long: `
Adds a line to ~/.bashrc or ~/.zshrc, or a file to fish's completions, as $SHELL
says.

  Install it for the shell we use, and for another:
      $ coffer completion install
      $ coffer completion install -shell=zsh`,
		New: shellRun(func(c *Call, s shell, path string) error {
			changed, err := s.install(path, c.Executable)
			if err != nil {
				return local(err)
			}
			if !changed {
				c.Print("Completion is installed already, in " + path)
				return nil
			}
			c.Success("Completion is installed in %s. New shells have it.", path)
			return nil
		}),
	}
}

func completionUninstallCommand() Command {
	return Command{
		Name: "completion uninstall", Short: "Undo what completion install did",
		Long: `
  For the shell we use:
      $ coffer completion uninstall`,
		New: shellRun(func(c *Call, s shell, path string) error {
			if err := s.uninstall(path); err != nil {
				return local(err)
			}
			c.Success("Completion is not installed in %s any more.", path)
			return nil
		}),
	}
}

// shellRun finds the shell and its file first.
func shellRun(do func(c *Call, s shell, path string) error) func(f *Flags) Run {
	return func(f *Flags) Run {
		name := f.Choice("shell", "", []string{"", "bash", "fish", "zsh"}, "Shell to do it for, if not the one in SHELL.")
		return func(_ context.Context, c *Call) error {
			wanted := *name
			if wanted == "" {
				wanted = filepath.Base(c.Getenv("SHELL"))
			}
			s := shellNamed(wanted)
			if s.name == "" {
				return usage("No completion for the shell %q: name one with -shell", wanted)
			}
			home := c.Getenv("HOME")
			if home == "" {
				return local(errors.New("no home folder: set HOME"))
			}
			return do(c, s, filepath.Join(home, s.rc))
		}
	}
}

// mark ends the line that we add, so that we find it again.
const mark = "# completion of " + program

// install says whether there was anything to do.
func (s shell) install(path, exe string) (changed bool, err error) {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	exe = shellQuote(exe)
	if s.name == "fish" {
		text := s.text(program, exe)
		if string(old) == text {
			return false, nil
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return false, err
		}
		return true, os.WriteFile(path, []byte(text), 0o644)
	}
	if strings.Contains(string(old), mark) {
		return false, nil
	}
	text := string(old)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	text += sourceLine(s.name, exe+" completion "+s.name) + " " + mark + "\n"
	return true, s.rewrite(path, text)
}

func (s shell) uninstall(path string) error {
	old, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if s.name == "fish" {
		return os.Remove(path)
	}
	var kept strings.Builder
	for line := range strings.Lines(string(old)) {
		if !strings.Contains(line, mark) {
			kept.WriteString(line)
		}
	}
	return s.rewrite(path, kept.String())
}

// rewrite replaces a start-up file, of which a half would be worse than none.
func (s shell) rewrite(path, text string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return file.ReplaceWith(path, 0o644, []byte(text))
	}
	return replaceContent(path, text)
}
