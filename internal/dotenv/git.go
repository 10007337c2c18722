package dotenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Repository is the git work tree that a file lies in. It asks the program git,
// which alone knows all that counts: work trees, submodules, every file of rules.
type Repository struct {
	dir  string // of the file
	name string // of the file, in dir
}

// OpenRepository returns the work tree around a file, or nil if there is none, or
// no git. The file need not exist.
func OpenRepository(ctx context.Context, path string) *Repository {
	r := &Repository{dir: filepath.Dir(path), name: filepath.Base(path)}
	if out, err := r.git(ctx, "rev-parse", "--is-inside-work-tree"); err != nil || strings.TrimSpace(out) != "true" {
		return nil
	}
	return r
}

// git runs a command in the file's folder and returns what it prints.
func (r *Repository) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.dir
	// These point git elsewhere, as in a hook.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "GIT_DIR=") || strings.HasPrefix(v, "GIT_WORK_TREE=") || strings.HasPrefix(v, "GIT_INDEX_FILE=")
	})
	cmd.Env = append(cmd.Env, "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Tracks says whether git has the file.
func (r *Repository) Tracks(ctx context.Context) bool {
	out, err := r.git(ctx, "--literal-pathspecs", "ls-files", "--", r.name)
	return err == nil && out != ""
}

// Ignores says whether git's rules keep the file out.
func (r *Repository) Ignores(ctx context.Context) (bool, error) {
	_, err := r.git(ctx, "check-ignore", "--quiet", "--no-index", "--", "./"+r.name)
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() == 1 {
		return false, nil
	}
	return err == nil, err
}

// Ignore adds the file to .gitignore beside it.
func (r *Repository) Ignore(ctx context.Context) error {
	return r.exclude(ctx, filepath.Join(r.dir, ".gitignore"), "/"+escapePattern(r.name))
}

// IgnoreHere adds the file to the rules of this clone alone, which nobody commits.
func (r *Repository) IgnoreHere(ctx context.Context) error {
	rules, err := r.git(ctx, "rev-parse", "--git-path", "info/exclude")
	if err != nil {
		return err
	}
	prefix, err := r.git(ctx, "rev-parse", "--show-prefix")
	if err != nil {
		return err
	}
	path := strings.TrimSuffix(rules, "\n")
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return r.exclude(ctx, path, "/"+escapePattern(strings.TrimSuffix(prefix, "\n")+r.name))
}

// exclude adds a rule to a file and sees that it holds.
func (r *Repository) exclude(ctx context.Context, path, rule string) error {
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if len(content) > 0 && content[len(content)-1] != '\n' {
		rule = "\n" + rule
	}
	_, err = f.WriteString(rule + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if ignored, err := r.Ignores(ctx); err != nil || !ignored {
		return errors.Join(err, fmt.Errorf("%s has a rule for %s now, and git does not follow it: is there one with ! elsewhere?", path, r.name))
	}
	return nil
}

// Untrack takes the file out of the index, with what is staged of it, and leaves
// it where it is.
func (r *Repository) Untrack(ctx context.Context) error {
	_, err := r.git(ctx, "--literal-pathspecs", "rm", "--cached", "--force", "--quiet", "--", r.name)
	return err
}

// escapePattern makes a rule of a path that stands for it alone (gitignore(5)).
func escapePattern(path string) string {
	var b strings.Builder
	for i, c := range path {
		if strings.ContainsRune(`\*?[`, c) || c == ' ' && i == len(path)-1 {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// templates are names of files that show what a .env must hold, and belong into
// git.
var templates = []string{".example", ".sample", ".template", ".dist", ".schema"}

// IsTemplate says whether the file is one to copy from.
func IsTemplate(path string) bool {
	return slices.ContainsFunc(templates, func(t string) bool { return strings.HasSuffix(path, t) })
}

// LintGit says what is not right with where the file lies.
func LintGit(ctx context.Context, path string) ([]Finding, error) {
	r := OpenRepository(ctx, path)
	if r == nil || IsTemplate(path) {
		return nil, nil
	}
	var all []Finding
	if r.Tracks(ctx) {
		all = append(all, Finding{
			Kind: Tracked, Text: "git has this file, and every clone its values",
			Fix: "take it out (git rm --cached), and rotate what was in it: the history keeps it",
		})
	}
	ignored, err := r.Ignores(ctx)
	if err == nil && !ignored {
		all = append(all, Finding{Kind: NotIgnored, Text: "git does not ignore this file: the next \"git add\" takes it", Fix: "add it to .gitignore"})
	}
	return all, err
}
