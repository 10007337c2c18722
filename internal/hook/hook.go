// Package hook puts the scanner in git's way: it installs hooks that search what is
// about to be committed or pushed, keeps the hooks that are there, and looks whether
// git ignores .env files. It does not search; the hooks call the program.
//
// Start reading at [Install].
package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/cofferhq/coffer/internal/file"
)

// Kind is when git calls a hook, by git's name.
type Kind string

// The kinds. A merge without conflicts asks PreMerge instead of PreCommit.
const (
	PreCommit Kind = "pre-commit"
	PreMerge  Kind = "pre-merge-commit"
	PrePush   Kind = "pre-push"
)

// Options say how to install.
type Options struct {
	Program string // path of coffer
	Force   bool   // also where all of a user's repositories have their hooks
}

// Result is what was done with one hook.
type Result struct {
	Path    string // of the hook
	Kept    string // of the hook that was there, and is called first; or empty
	Changed bool   // false: all was as it is
}

// ErrShared is returned for a folder of hooks that other repositories use, too.
var ErrShared = errors.New("core.hooksPath is set for more than this repository")

// keptSuffix is added to the name of a hook that was there.
const keptSuffix = ".before-coffer"

// Install makes a hook of the repository that dir is in, a worktree or a folder
// below included. What is there already stays, beside, and is called first. To
// install twice is to install once.
func Install(ctx context.Context, dir string, kind Kind, o Options) (Result, error) {
	folder, shared, err := hooksFolder(ctx, dir)
	if err != nil {
		return Result{}, err
	}
	if shared && !o.Force {
		return Result{}, fmt.Errorf("%w: %s", ErrShared, folder)
	}
	r := Result{Path: filepath.Join(folder, string(kind))}
	kept := r.Path + keptSuffix
	want := script(kind, o.Program)
	there, err := os.ReadFile(r.Path)
	_, statErr := os.Lstat(r.Path)
	switch {
	case err == nil && isOurs(there):
		r.Changed = !bytes.Equal(there, want)
	case statErr == nil:
		if err := keep(r.Path, kept); err != nil {
			return Result{}, err
		}
		r.Changed = true
	case errors.Is(statErr, fs.ErrNotExist):
		r.Changed = true
	default:
		return Result{}, statErr
	}
	if _, err := os.Lstat(kept); err == nil {
		r.Kept = kept
	}
	if !r.Changed {
		return r, nil
	}
	return r, write(r.Path, want)
}

// keep puts a hook of somebody else's aside.
func keep(path, kept string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("%s: a folder", path)
	}
	if _, err := os.Lstat(kept); err == nil {
		return fmt.Errorf("%s was replaced since, and %s is there, too: make one of both, and remove the latter", path, filepath.Base(kept))
	}
	return os.Rename(path, kept)
}

// write makes the hook whole, or not at all.
func write(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return file.ReplaceWith(path, 0o755, text)
}

// Uninstall removes the hook, and puts that which was there before in its place. If
// the hook is not ours, nothing is changed.
func Uninstall(ctx context.Context, dir string, kind Kind) (Result, error) {
	folder, _, err := hooksFolder(ctx, dir)
	if err != nil {
		return Result{}, err
	}
	r := Result{Path: filepath.Join(folder, string(kind))}
	there, err := os.ReadFile(r.Path)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !isOurs(there)) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	r.Changed = true
	kept := r.Path + keptSuffix
	if _, err := os.Lstat(kept); err == nil {
		r.Kept = kept
		return r, os.Rename(kept, r.Path)
	}
	return r, os.Remove(r.Path)
}

// hooksFolder is where git looks for hooks, and whether that is for more than one
// repository.
func hooksFolder(ctx context.Context, dir string) (folder string, shared bool, err error) {
	top, err := root(ctx, dir)
	if err != nil {
		return "", false, err
	}
	folder, err = git(ctx, top, "rev-parse", "--git-path", "hooks")
	if err != nil {
		return "", false, err
	}
	if !filepath.IsAbs(folder) { // of core.hooksPath: where hooks run, which is the root
		folder = filepath.Join(top, folder)
	}
	scope, err := git(ctx, top, "config", "--show-scope", "--get", "core.hooksPath")
	shared = err == nil && (strings.HasPrefix(scope, "global") || strings.HasPrefix(scope, "system"))
	return folder, shared, nil
}

// root is the top folder of the working tree, or a bare repository itself.
func root(ctx context.Context, dir string) (string, error) {
	bare, err := git(ctx, dir, "rev-parse", "--is-bare-repository")
	if err != nil {
		return "", err
	}
	if bare == "true" {
		return git(ctx, dir, "rev-parse", "--absolute-git-dir")
	}
	return git(ctx, dir, "rev-parse", "--show-toplevel")
}

// git returns what git prints, less the last line end.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		line, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n")
		return "", fmt.Errorf("git %s: %s", args[0], line)
	}
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
