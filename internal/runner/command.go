package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"

	"github.com/cofferhq/coffer/secrets"
)

// placeholder stands in the arguments for the path of the config's copy.
const placeholder = "{}"

// lookPath finds the program as a shell does.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path, nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist), errors.Is(err, exec.ErrDot):
		return "", &problem{code: ExitNotFound, err: fmt.Errorf("%s: command not found", name)}
	}
	return "", notExecutable(name, err)
}

func notExecutable(name string, err error) error {
	// Only the system's reason: the rest repeats the name.
	if pathErr := new(fs.PathError); errors.As(err, &pathErr) {
		err = pathErr.Err
	} else if execErr := new(exec.Error); errors.As(err, &execErr) {
		err = execErr.Err
	}
	return &problem{code: ExitNotExecutable, err: fmt.Errorf("%s: cannot be executed: %w", name, err)}
}

// checkArguments refuses references, which would show in the list of processes,
// and a config that has no place to go.
func checkArguments(command []string, hasConfig bool) error {
	placed := false
	for i, arg := range command {
		placed = placed || i > 0 && strings.Contains(arg, placeholder)
		t, err := secrets.Parse(arg)
		if err != nil && !strings.Contains(arg, "${") {
			continue // "vault: a sentence"
		}
		if err != nil || len(t.References()) > 0 {
			return fmt.Errorf("argument %d of the command has a reference to a secret, and every user of this machine could read its value there: "+
				"put it into an environment variable, or into a file for -config", i)
		}
	}
	if hasConfig && !placed {
		return fmt.Errorf("-config is given, and nothing tells the command where the copy with the secrets is: "+
			"write %s where it takes its config file, as in \"-- %s --config %[1]s\"", placeholder, command[0])
	}
	return nil
}

// placeFile returns the command with the path in place of the placeholder.
func placeFile(command []string, path string) []string {
	args := []string{command[0]}
	for _, arg := range command[1:] {
		args = append(args, strings.ReplaceAll(arg, placeholder, path))
	}
	return args
}
