package hook

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// DotEnv is how git treats .env files.
type DotEnv struct {
	Tracked []string // that are in the repository, with slashes
	Ignored bool     // a new .env is
}

// ignoreLines are what Ignore adds.
const ignoreLines = `.env
.env.*
!.env.example
!.env.sample
!.env.template
`

// CheckDotEnv looks at the repository that dir is in.
func CheckDotEnv(ctx context.Context, dir string) (DotEnv, error) {
	top, err := root(ctx, dir)
	if err != nil {
		return DotEnv{}, err
	}
	out, err := git(ctx, top, "ls-files", "-z", "--cached")
	if err != nil {
		return DotEnv{}, err
	}
	var d DotEnv
	for file := range strings.SplitSeq(out, "\x00") {
		if isDotEnv(path.Base(file)) {
			d.Tracked = append(d.Tracked, file)
		}
	}
	_, err = git(ctx, top, "check-ignore", "--quiet", "--no-index", "--", ".env")
	d.Ignored = err == nil
	return d, nil
}

// isDotEnv says whether a file holds the values of somebody's environment, and not
// an example of them.
func isDotEnv(base string) bool {
	rest, found := strings.CutPrefix(base, ".env.")
	return base == ".env" || (found && !slices.ContainsFunc([]string{"example", "sample", "template", "tmpl", "dist", "default", "defaults", "schema"}, func(word string) bool {
		return slices.Contains(strings.Split(rest, "."), word)
	}))
}

// IgnoreDotEnv adds .env files to the .gitignore at the root, and returns its path.
func IgnoreDotEnv(ctx context.Context, dir string) (string, error) {
	top, err := root(ctx, dir)
	if err != nil {
		return "", err
	}
	file := filepath.Join(top, ".gitignore")
	there, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return "", err
	}
	add := ignoreLines
	if n := len(there); n > 0 && there[n-1] != '\n' {
		add = "\n" + add
	}
	out, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	if _, err := out.WriteString(add); err != nil {
		out.Close()
		return "", err
	}
	return file, out.Close()
}
