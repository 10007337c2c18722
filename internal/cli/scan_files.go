package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/scan"
	"github.com/cofferhq/coffer/scan/gitleaks"
	"github.com/cofferhq/coffer/scan/ignore"
	"github.com/cofferhq/coffer/scan/rules"
)

// Files that a scan looks for at the root of what it searches.
const (
	scanConfigFile   = ".gitleaks.toml"
	scanBaselineFile = ".coffer-baseline"
)

var scanIgnoreFiles = []string{".cofferignore", ".gitleaksignore"}

// scanSettings is what files say of a scan.
type scanSettings struct {
	config *gitleaks.Config // nil: there is none
	known  []knownBelow
}

// knownBelow is what an ignore file knows, whose paths begin at its folder.
type knownBelow struct {
	prefix string // of the findings' paths; empty, or with a slash at its end
	list   *ignore.List
}

// rules are those to look for; nil: all of ours.
func (s *scanSettings) rules() []rules.Rule {
	if s.config == nil {
		return nil
	}
	return append([]rules.Rule{}, s.config.Rules...)
}

// drops says whether a finding is known, or does not count.
func (s *scanSettings) drops(f scan.Finding) bool {
	if s.config != nil && s.config.Drops(f) {
		return true
	}
	for _, k := range s.known {
		below := f
		below.Path = strings.TrimPrefix(f.Path, k.prefix)
		if k.list.Has(f) || k.list.Has(below) {
			return true
		}
	}
	return false
}

// settingsReader reads files as they are on the disk, or as a commit has them.
type settingsReader struct {
	call   *Call
	commit string // empty: the disk
}

// scanSettings reads the files that are named, and those at the roots. Of what is
// named it is a mistake if it is not there.
func (o *scanFlags) settings(ctx context.Context, c *Call) (*scanSettings, error) {
	roots := o.roots(ctx, c)
	r := &settingsReader{call: c}
	if *o.configFrom != "" {
		id, err := gitOutput(ctx, roots[0], "rev-parse", "--verify", "--quiet", "--end-of-options", *o.configFrom+"^{commit}")
		if err != nil {
			return nil, fmt.Errorf("-config-from: no commit %q in the repository of %s", *o.configFrom, roots[0])
		}
		r.commit = strings.TrimSpace(id)
	}
	s := &scanSettings{}
	if err := r.config(ctx, s, *o.config, roots); err != nil {
		return nil, err
	}
	for _, root := range roots {
		list := &ignore.List{}
		for _, name := range scanIgnoreFiles {
			if err := r.places(ctx, list, root, name); err != nil {
				return nil, err
			}
		}
		if *o.baseline == "" && !o.noBaseline {
			if err := r.baseline(ctx, list, root, scanBaselineFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
		prefix := ""
		if !o.inGit() && root != "." {
			prefix = strings.TrimSuffix(filepath.ToSlash(filepath.Clean(root)), "/") + "/"
		}
		s.known = append(s.known, knownBelow{prefix, list})
	}
	if *o.baseline != "" && !o.noBaseline {
		if err := r.baseline(ctx, s.known[0].list, "", *o.baseline); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// roots are the folders in which settings may lie: that of the repository, or the
// one that is searched and the working folder. There is one at least.
func (o *scanFlags) roots(ctx context.Context, c *Call) []string {
	if o.inGit() {
		dir := o.dir(c)
		if top, err := gitOutput(ctx, dir, "rev-parse", "--show-toplevel"); err == nil && strings.TrimSpace(top) != "" {
			return []string{strings.TrimSuffix(top, "\n")}
		}
		return []string{dir}
	}
	if len(c.Args) == 1 && filepath.Clean(c.Args[0]) != "." {
		if info, err := os.Stat(c.Args[0]); err == nil && info.IsDir() {
			if filepath.IsLocal(c.Args[0]) {
				return []string{c.Args[0], "."}
			}
			return []string{c.Args[0]}
		}
	}
	return []string{"."}
}

func (r *settingsReader) config(ctx context.Context, s *scanSettings, named string, roots []string) error {
	places := [][2]string{{"", named}}
	if named == "" {
		places = nil
		for _, root := range roots {
			places = append(places, [2]string{root, scanConfigFile})
		}
	}
	for _, p := range places {
		data, err := r.read(ctx, p[0], p[1])
		if errors.Is(err, fs.ErrNotExist) && named == "" {
			continue
		}
		if err != nil {
			return err
		}
		path := filepath.Join(p[0], p[1])
		from := gitleaks.Sources{Default: rules.All(), Read: func(path string) ([]byte, error) { return r.read(ctx, "", path) }}
		if s.config, err = gitleaks.Parse(data, from); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, w := range s.config.Warnings {
			r.call.Warn(path + ": " + w)
		}
		return nil
	}
	return nil
}

func (r *settingsReader) places(ctx context.Context, list *ignore.List, root, name string) error {
	data, err := r.read(ctx, root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	path := filepath.Join(root, name)
	strange, err := list.ReadPlaces(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, n := range strange {
		r.call.Warn(fmt.Sprintf("%s: line %d names no finding: want PATH:RULE:LINE or COMMIT:PATH:RULE:LINE", path, n))
	}
	return nil
}

func (r *settingsReader) baseline(ctx context.Context, list *ignore.List, root, name string) error {
	data, err := r.read(ctx, root, name)
	if err != nil {
		return err
	}
	if err := list.ReadBaseline(data); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(root, name), err)
	}
	return nil
}

// read returns a file below root, or one that the call names.
func (r *settingsReader) read(ctx context.Context, root, name string) ([]byte, error) {
	path := name
	if root != "" {
		path = filepath.Join(root, name)
	}
	if r.commit == "" {
		return os.ReadFile(path)
	}
	dir, base := filepath.Split(path)
	prefix, err := gitOutput(ctx, dir, "rev-parse", "--show-prefix")
	if err != nil {
		return nil, err
	}
	blob := r.commit + ":" + strings.TrimSuffix(prefix, "\n") + base
	if _, err := gitOutput(ctx, dir, "cat-file", "-e", blob); err != nil {
		return nil, &fs.PathError{Op: "read of the commit", Path: path, Err: fs.ErrNotExist}
	}
	data, err := gitOutput(ctx, dir, "cat-file", "blob", blob)
	return []byte(data), err
}

// gitOutput is what git prints in a folder.
func gitOutput(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		line, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n")
		return "", fmt.Errorf("git %s: %s", args[0], line)
	}
	return string(out), err
}

// inGit says whether the search is in a repository instead of in files.
func (o *scanFlags) inGit() bool {
	return slices.Contains([]bool{*o.staged, *o.prePush, *o.history, *o.since != ""}, true)
}

// dir is the repository of such a search.
func (o *scanFlags) dir(c *Call) string {
	if len(c.Args) == 1 {
		return c.Args[0]
	}
	return "."
}
