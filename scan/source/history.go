package source

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cofferhq/coffer/scan"
)

// Depth says what of a history is searched.
type Depth struct {
	// Revisions are what git rev-list takes: "main", "v1.0..HEAD", "^main". None:
	// every ref and HEAD, with the newest stash.
	Revisions []string

	// Reflog adds what refs have pointed to, and with it older stashes. Dangling adds
	// objects that nothing points to.
	Reflog, Dangling bool

	// Cache remembers what was clean. May be nil.
	Cache *Cache
}

// History searches every blob that commits brought, merges included, once each, in
// the repository that dir is in. A finding is told for the first commit with the
// same secret at the same path.
func History(ctx context.Context, s *scan.Scanner, dir string, d Depth, to scan.Sink) error {
	h := newHistory(s, dir, d, to)
	if _, err := h.repo.output(ctx, "rev-parse", "--git-dir"); err != nil {
		return err
	}
	if err := h.reachable(ctx); err != nil {
		return err
	}
	if d.Dangling {
		if err := h.dangling(ctx); err != nil {
			return err
		}
	}
	return h.tell(ctx, to)
}

// A group is how many objects one call of git cat-file is asked for, which is also
// how far the search lags behind the walk.
const groupObjects = 8 << 10

// heldBlob is the size up to which a blob is held in memory; heldBytes bounds all
// that are.
const (
	heldBlob  = 8 << 20
	heldBytes = 64 << 20
)

type history struct {
	scanner *scan.Scanner
	repo    repository
	depth   Depth
	sink    scan.Sink // for what is skipped

	group []object
	seen  int // objects, in order

	mu    sync.Mutex       // guards the fields below
	first map[string]found // rule, secret and path → where it came in
	dirty map[string]bool  // ids of blobs with findings, or that could not be read
}

// found is a finding, the blob that it is in, and when that came.
type found struct {
	scan.Finding
	blob  string
	order int
}

func newHistory(s *scan.Scanner, dir string, d Depth, to scan.Sink) *history {
	return &history{scanner: s, repo: repository{dir}, depth: d, sink: locked(to), first: map[string]found{}, dirty: map[string]bool{}}
}

// list is the call of git that lists what the revisions reach, the oldest first.
func (h *history) list(more ...string) []string {
	args := append([]string{"rev-list", "--objects", "--in-commit-order", "--reverse"}, more...)
	if len(h.depth.Revisions) == 0 {
		args = append(args, "--all")
	}
	if h.depth.Reflog {
		args = append(args, "--reflog")
	}
	return append(append(args, h.depth.Revisions...), "--")
}

// reachable searches what the revisions reach.
func (h *history) reachable(ctx context.Context) error {
	walk := func(out *bufio.Reader) error {
		return lines(out, func(line string) error {
			id, path, object := strings.Cut(line, " ")
			if !object {
				return nil
			}
			return h.add(ctx, id, path)
		})
	}
	err := h.repo.run(ctx, nil, walk, h.list("--filter=object:type=blob")...)
	if err != nil && h.seen == 0 && strings.Contains(err.Error(), "filter") { // git before 2.32: trees come, too
		err = h.repo.run(ctx, nil, walk, h.list()...)
	}
	if err != nil {
		return err
	}
	return h.search(ctx)
}

// firstCommits returns the commits that were the first to have blobs. The list has
// each before the objects that it brought.
func (h *history) firstCommits(ctx context.Context, blobs map[string]bool) (map[string]string, error) {
	commits := map[string]string{}
	if len(blobs) == 0 {
		return commits, nil
	}
	current := ""
	err := h.repo.run(ctx, nil, func(out *bufio.Reader) error {
		return lines(out, func(line string) error {
			id, _, object := strings.Cut(line, " ")
			switch {
			case !object:
				current = id
			case blobs[id]:
				commits[id] = current
			}
			return nil
		})
	}, h.list()...)
	return commits, err
}

// dangling searches the objects that were not seen yet.
func (h *history) dangling(ctx context.Context) error {
	known := map[string]bool{}
	err := h.repo.run(ctx, nil, func(out *bufio.Reader) error {
		return lines(out, func(line string) error {
			id, _, _ := strings.Cut(line, " ")
			known[id] = true
			return nil
		})
	}, "rev-list", "--objects", "--no-object-names", "--all")
	if err != nil {
		return err
	}
	err = h.repo.run(ctx, nil, func(out *bufio.Reader) error {
		return lines(out, func(id string) error {
			if known[id] {
				return nil
			}
			return h.add(ctx, id, "")
		})
	}, "cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objectname)")
	if err != nil {
		return err
	}
	return h.search(ctx)
}

func lines(out *bufio.Reader, each func(string) error) error {
	for {
		line, err := out.ReadString('\n')
		if isEnd(err) {
			return nil
		}
		if err == nil {
			err = each(strings.TrimSuffix(line, "\n"))
		}
		if err != nil {
			return err
		}
	}
}

func (h *history) add(ctx context.Context, id, path string) error {
	h.seen++
	if h.depth.Cache.has(id) {
		return nil
	}
	h.group = append(h.group, object{id: id, rest: strconv.Itoa(h.seen) + " " + path})
	if len(h.group) < groupObjects {
		return nil
	}
	return h.search(ctx)
}

// search looks at the group, and empties it.
func (h *history) search(ctx context.Context) error {
	if err := h.scanBlobs(ctx, h.group); err != nil {
		return err
	}
	for _, o := range h.group {
		if !h.dirty[o.id] {
			h.depth.Cache.add(o.id)
		}
	}
	h.group = h.group[:0]
	return nil
}

func (h *history) lost(o object, err error) {
	_, path := unpack(o.rest)
	h.mu.Lock()
	h.dirty[o.id] = true
	h.mu.Unlock()
	h.sink.Skipped(cmp.Or(path, o.id), fmt.Errorf("object %s: %w", o.id, err))
}

// unpack returns what add has given with an object.
func unpack(rest string) (order int, path string) {
	n, path, _ := strings.Cut(rest, " ")
	order, _ = strconv.Atoi(n)
	return order, path
}

// blob is an object with what it holds.
type blob struct {
	object
	data []byte
}

func (h *history) scanBlobs(ctx context.Context, blobs []object) error {
	queue := make(chan blob, 64)
	room := newRoom(heldBytes)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for b := range queue {
				h.scanBlob(ctx, b.object, scan.Input{Data: b.data})
				room.free(len(b.data))
			}
		})
	}
	err := h.repo.each(ctx, blobs, func(o object, r io.Reader) error {
		switch {
		case o.kind != "blob":
			return nil
		case o.size > heldBlob:
			h.scanBlob(ctx, o, scan.Input{R: r})
			return ctx.Err()
		}
		room.take(int(o.size))
		data := make([]byte, o.size)
		if _, err := io.ReadFull(r, data); err != nil {
			room.free(int(o.size))
			return nil // cat-file has ended in the middle, which is told where it is missed
		}
		queue <- blob{o, data}
		return nil
	}, h.lost)
	close(queue)
	workers.Wait()
	return errors.Join(err, ctx.Err())
}

func (h *history) scanBlob(ctx context.Context, o object, in scan.Input) {
	order, path := unpack(o.rest)
	in.Path = cmp.Or(path, o.id)
	sink := scan.Sink{
		Found: func(f scan.Finding) { h.keep(found{f, o.id, order}) },
		Skipped: func(path string, err error) {
			h.mu.Lock()
			h.dirty[o.id] = true
			h.mu.Unlock()
			h.sink.Skipped(path, err)
		},
	}
	if err := h.scanner.Scan(ctx, in, sink); err != nil && ctx.Err() == nil {
		sink.Skipped(in.Path, err)
	}
}

// keep remembers the earliest finding of a secret at a path.
func (h *history) keep(f found) {
	key := keyOf(f.Finding)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dirty[f.blob] = true
	if old, ok := h.first[key]; !ok || f.order < old.order {
		h.first[key] = f
	}
}

func keyOf(f scan.Finding) string { return f.RuleID + "\x00" + f.Path + "\x00" + f.Secret.Reveal() }

// tell reports what was found, the oldest first, with its commits.
func (h *history) tell(ctx context.Context, to scan.Sink) error {
	all := slices.SortedFunc(maps.Values(h.first), func(a, b found) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.Start.Offset, b.Start.Offset), cmp.Compare(a.RuleID, b.RuleID))
	})
	blobs := map[string]bool{}
	for _, f := range all {
		blobs[f.blob] = true
	}
	first, err := h.firstCommits(ctx, blobs)
	if err != nil {
		return err
	}
	commits, err := h.repo.commits(ctx, slices.Compact(slices.Sorted(maps.Values(first))))
	if err != nil {
		return err
	}
	for _, f := range all {
		f.Commit = commits[first[f.blob]]
		to.Found(f.Finding)
	}
	return h.depth.Cache.save()
}

// commits reads what is told of commits.
func (r repository) commits(ctx context.Context, ids []string) (map[string]*scan.Commit, error) {
	out := map[string]*scan.Commit{}
	if len(ids) == 0 {
		return out, nil
	}
	stdin := strings.NewReader(strings.Join(ids, "\n") + "\n")
	err := r.run(ctx, stdin, func(b *bufio.Reader) error {
		all, err := io.ReadAll(b)
		if err != nil {
			return err
		}
		for record := range bytes.SplitSeq(all, []byte("\x00\x01")) {
			f := strings.SplitN(strings.TrimLeft(string(record), "\n"), "\x00", 5)
			if len(f) < 5 {
				continue
			}
			seconds, _ := strconv.ParseInt(f[3], 10, 64)
			out[f[0]] = &scan.Commit{ID: f[0], Author: f[1], Email: f[2], Time: time.Unix(seconds, 0).UTC(), Message: strings.TrimSpace(f[4])}
		}
		return nil
	}, "log", "--no-walk=unsorted", "--stdin", "--no-show-signature", "--format=%H%x00%an%x00%ae%x00%at%x00%B%x00%x01")
	return out, err
}

// room bounds the memory of what waits.
type room struct {
	mu   sync.Mutex
	cond *sync.Cond
	left int // guarded by mu
}

func newRoom(n int) *room {
	r := &room{left: n}
	r.cond = sync.NewCond(&r.mu)
	return r
}

func (r *room) take(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.left < n {
		r.cond.Wait()
	}
	r.left -= n
}

func (r *room) free(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left += n
	r.cond.Signal()
}
