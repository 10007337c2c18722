package hook

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
)

// Push is what git tells a pre-push hook of a ref.
type Push struct {
	Ref    string // here
	Local  string // id of what is pushed
	Remote string // id of what the other side has; empty: nothing
}

// ReadPushes reads what git gives a pre-push hook: a line a ref. Refs that are
// deleted are left out.
func ReadPushes(r io.Reader) ([]Push, error) {
	var all []Push
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) == 0 {
			continue
		}
		if len(f) != 4 || !isID(f[1]) || !isID(f[3]) {
			return nil, errors.New("want the lines that git gives a pre-push hook: REF ID REF ID")
		}
		p := Push{Ref: f[0], Local: f[1], Remote: f[3]}
		if isZero(p.Local) {
			continue
		}
		if isZero(p.Remote) {
			p.Remote = ""
		}
		all = append(all, p)
	}
	return all, lines.Err()
}

func isID(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

func isZero(id string) bool { return strings.Trim(id, "0") == "" }

// Base returns the commit after which what is pushed begins: what the other side
// has, or for a new ref what any remote has. It is empty if there is none. New is
// false if nothing is pushed that no remote has.
func (p Push) Base(ctx context.Context, dir string) (base string, isNew bool, err error) {
	if p.Remote != "" {
		if _, err := git(ctx, dir, "cat-file", "-e", p.Remote+"^{commit}"); err == nil {
			return p.Remote, p.Remote != p.Local, nil
		}
	}
	out, err := git(ctx, dir, "rev-list", "--boundary", p.Local, "--not", "--remotes", "--")
	if err != nil || out == "" {
		return "", false, err
	}
	for line := range strings.SplitSeq(out, "\n") {
		if id, boundary := strings.CutPrefix(line, "-"); boundary {
			return id, true, nil
		}
	}
	return "", true, nil
}
