package source

import (
	"bufio"
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/cofferhq/coffer/scan"
)

// Since searches what the commits of a range brought: "main..topic", or one
// revision for all that HEAD has beyond it. A secret that the same path held
// before the range is not told again.
func Since(ctx context.Context, s *scan.Scanner, dir, revisions string, d Depth, to scan.Sink) error {
	base, _, isRange := strings.Cut(revisions, "..")
	if !isRange {
		revisions += "..HEAD"
	}
	d.Revisions, d.Dangling, d.Reflog = []string{revisions}, false, false
	h := newHistory(s, dir, d, to)
	// What does not name a commit must not be taken for an option.
	tree, err := h.repo.output(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", orHead(base)+"^{tree}")
	if err != nil {
		return err
	}
	if err := h.reachable(ctx); err != nil {
		return err
	}
	if err := h.forgetOld(ctx, tree); err != nil {
		return err
	}
	return h.tell(ctx, to)
}

func orHead(rev string) string {
	if rev == "" {
		return "HEAD"
	}
	return rev
}

// forgetOld drops the findings whose secret the same path of tree has, too.
func (h *history) forgetOld(ctx context.Context, tree string) error {
	paths := map[string]bool{}
	for _, f := range h.first {
		path, _, _ := strings.Cut(f.Path, "!/")
		paths[path] = true
	}
	if len(paths) == 0 {
		return nil
	}
	var ask []object
	var names []string
	err := h.repo.run(ctx, nil, func(out *bufio.Reader) error {
		for {
			entry, err := out.ReadString(0)
			if isEnd(err) {
				return nil
			}
			if err != nil {
				return err
			}
			head, path, _ := strings.Cut(strings.TrimSuffix(entry, "\x00"), "\t")
			if f := strings.Fields(head); len(f) == 3 && f[1] == "blob" && paths[path] {
				ask = append(ask, object{id: f[2], rest: strconv.Itoa(len(names))})
				names = append(names, path)
			}
		}
	}, "ls-tree", "-r", "-z", "--full-tree", tree)
	if err != nil {
		return err
	}
	return h.repo.each(ctx, ask, func(o object, r io.Reader) error {
		i, _ := strconv.Atoi(o.rest)
		return h.scanner.Scan(ctx, scan.Input{Path: names[i], R: r}, scan.Sink{Found: func(f scan.Finding) {
			delete(h.first, keyOf(f))
		}})
	}, h.lost)
}
