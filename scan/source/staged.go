package source

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/cofferhq/coffer/scan"
)

// Staged searches what the next commit would add, in the repository that dir is
// in: the files of the index, of which only findings on added lines count.
func Staged(ctx context.Context, s *scan.Scanner, dir string, to scan.Sink) error {
	repo := repository{dir}
	var changes []change
	err := repo.run(ctx, nil, func(out *bufio.Reader) error {
		all, err := io.ReadAll(out)
		changes = parseChanges(all)
		return err
	}, "diff", "--cached", "--raw", "--patch", "-z", "-U0", "--no-abbrev", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv",
		"--ignore-submodules", "--diff-filter=d", "--diff-algorithm=myers", "--src-prefix=a/", "--dst-prefix=b/")
	if err != nil {
		return err
	}
	var ask []object
	for i, c := range changes {
		ask = append(ask, object{id: c.id, rest: strconv.Itoa(i)})
	}
	change := func(o object) change {
		i, _ := strconv.Atoi(o.rest)
		return changes[i]
	}
	return repo.each(ctx, ask, func(o object, r io.Reader) error {
		c := change(o)
		sink := scan.Sink{
			Found: func(f scan.Finding) {
				if c.adds(f.Start.Line, f.End.Line) {
					to.Found(f)
				}
			},
			Skipped: to.Skipped,
		}
		in := scan.Input{Path: c.path, R: r}
		if o.size <= heldBlob {
			in.R, in.Data = nil, make([]byte, o.size)
			if _, err := io.ReadFull(r, in.Data); err != nil {
				return nil // told where it is missed
			}
		}
		if err := s.Scan(ctx, in, sink); err != nil && ctx.Err() == nil && to.Skipped != nil {
			to.Skipped(c.path, err)
		}
		return ctx.Err()
	}, func(o object, err error) {
		if to.Skipped != nil {
			to.Skipped(change(o).path, err)
		}
	})
}

// change is a file that a commit changes.
type change struct {
	id, path string
	whole    bool // no lines are known: the file is new to us, or binary
	added    []lineRange
}

type lineRange struct{ first, last int }

// adds says whether one of the lines was added.
func (c *change) adds(first, last int) bool {
	for _, r := range c.added {
		if first <= r.last && r.first <= last {
			return true
		}
	}
	return c.whole
}

// parseChanges reads the output of git diff --raw -z --patch: records of which
// each ends in NUL, and then patches in the same order.
func parseChanges(b []byte) []change {
	var all []change
	var patched []bool // of which records there is a patch to look at
	for len(b) > 0 && b[0] == ':' {
		head, rest, ok := bytes.Cut(b, []byte{0})
		path, rest, ok2 := bytes.Cut(rest, []byte{0})
		f := strings.Fields(string(head))
		if !ok || !ok2 || len(f) < 5 {
			return all
		}
		b = rest
		patched = append(patched, f[1] != "160000")
		all = append(all, change{id: f[3], path: string(path), whole: true})
	}
	b = bytes.TrimLeft(b, "\x00")
	at := -1
	for line := range bytes.SplitSeq(b, []byte("\n")) {
		switch {
		case bytes.HasPrefix(line, []byte("diff --git ")):
			at++
		case at < 0 || at >= len(all):
		case bytes.HasPrefix(line, []byte("@@ ")):
			all[at].whole = false
			if r, ok := parseHunk(string(line)); ok {
				all[at].added = append(all[at].added, r)
			}
		}
	}
	kept := all[:0]
	for i, c := range all {
		if patched[i] && strings.Trim(c.id, "0") != "" {
			kept = append(kept, c)
		}
	}
	return kept
}

// parseHunk reads which lines a hunk adds: @@ -3,0 +4,2 @@.
func parseHunk(line string) (lineRange, bool) {
	_, rest, _ := strings.Cut(line, " +")
	where, _, _ := strings.Cut(rest, " ")
	first, count, _ := strings.Cut(where, ",")
	n, err := strconv.Atoi(cmp.Or(count, "1"))
	start, err2 := strconv.Atoi(first)
	return lineRange{start, start + n - 1}, err == nil && err2 == nil && n > 0
}
