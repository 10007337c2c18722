// Package pebble is the store that coffer uses by default: one folder on the
// local disk, kept by CockroachDB's Pebble.
//
// One goroutine commits. It takes all calls of Apply that wait, checks them one
// after another, writes them as one batch and waits for one fdatasync; while it
// waits, the next group gathers. Readers see a group when it is durable, never
// before, and meet no lock on the way. Start reading at [Store], then at
// committer.
package pebble

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

var (
	_ storage.Store    = (*Store)(nil)
	_ storage.Snapshot = (*snapshot)(nil)
)

// Errors beside those of package storage.
var (
	// ErrBroken says that the disk failed under a commit. The store still reads
	// but takes no more commits: what the disk holds of the last one is known
	// only after the folder has been opened anew.
	ErrBroken error = &logical.Error{
		Kind: errors.New("storage broken"),
		Text: "the storage takes no more changes, because its disk failed; reads go on",
		Hint: "the server's log has the cause: mend the disk, then restart the server",
	}
	// ErrInUse says that a process, maybe this one, has the folder open.
	ErrInUse = errors.New("the folder is in use: stop the server that uses it, or choose another folder")
	// ErrNewerFormat says that a later release wrote the folder.
	ErrNewerFormat = errors.New("the folder was written by a newer release: run that release, or restore a snapshot into a new folder")
)

// Options for [Open]. The zero value is right for a server.
type Options struct {
	// FS is where the folder lives. Nil: the disk.
	FS vfs.FS
	// Logger gets Pebble's errors at level error and its chatter at level debug.
	// Nil: neither.
	Logger *slog.Logger
	// CacheBytes bounds the cache of uncompressed blocks. Zero: 16 MiB.
	CacheBytes int64
	// LogCommits and LogBytes bound what is remembered for Watch, see
	// [storage.NewLog].
	LogCommits, LogBytes int
}

const (
	defaultCacheBytes = 16 << 20
	memTableBytes     = 4 << 20
	bloomBitsPerKey   = 10 // 1 % of false positives
	maxJoin           = 5 * time.Second
)

// Store is a [storage.Store] in a folder.
type Store struct {
	db    *pebble.DB
	fuse  *fuse
	log   *storage.Log
	reads gate

	newest  atomic.Pointer[view] // replaced by the committer only
	calls   chan *call
	stop    chan struct{} // closed by Close
	stopped chan struct{} // closed when the committer has returned

	closed atomic.Bool
	views  []*view // what the committer leaves behind, valid when stopped is closed
}

// Open opens the store in dir and creates it, with mode 0700, if there is none.
// It returns [ErrInUse] or [ErrNewerFormat], wrapped, if that is why it cannot.
func Open(dir string, opts Options) (*Store, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	s := &Store{
		fuse:    newFuse(opts.Logger),
		calls:   make(chan *call, maxGroupCalls),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	s.reads.idle = make(chan struct{}, 1)
	db, err := s.open(dir, opts)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", dir, openError(err))
	}
	s.db = db
	rev, err := s.recall()
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", dir, errors.Join(openError(err), db.Close()))
	}
	s.log = storage.NewLog(rev, opts.LogCommits, opts.LogBytes)
	first := &view{snap: db.NewSnapshot(), rev: rev}
	first.refs.Store(1)
	s.newest.Store(first)
	s.fuse.pauses.Store(true)
	go newCommitter(s, first).run()
	return s, nil
}

// recall reads what the store says of itself, and writes it into a new one.
func (s *Store) recall() (storage.Revision, error) {
	rev, err := recall(s.db)
	if err != nil {
		return 0, err
	}
	return rev, s.fuse.err() // Open may have gone on after a failed write
}

// open opens the database. Pebble repeats for ever a flush that fails while it
// recovers its log: then it is left alone, writes nothing any more, and keeps the
// folder locked until the process ends.
func (s *Store) open(dir string, opts Options) (*pebble.DB, error) {
	if err := refuseForeign(opts.FS, dir); err != nil {
		return nil, err
	}
	log := &logger{log: opts.Logger, fuse: s.fuse, stuck: make(chan error, 1)}
	type opened struct {
		db  *pebble.DB
		err error
	}
	done := make(chan opened, 1)
	go func() {
		db, err := pebble.Open(dir, opts.pebble(log))
		done <- opened{db, err}
	}()
	select {
	case o := <-done:
		return o.db, o.err
	case err := <-log.stuck:
		s.fuse.blow(err)
		s.fuse.pauses.Store(true)
		return nil, err
	}
}

// remedies says what to do about the errors of a start that goes wrong most
// often; the first match wins.
var remedies = []struct {
	cause error
	text  string
}{
	{errDamagedLog, mendAndPutBack},
	{fs.ErrPermission, "does the folder belong to the user that runs the server?"},
	{syscall.ENOSPC, "free some space on its disk, then start again"},
	{syscall.EDQUOT, "free some space of its user, then start again"},
	{syscall.EROFS, "mount its file system writable, then start again"},
	{fs.ErrNotExist, "a file of the folder is missing: " + putBack},
	{syscall.EIO, "its disk fails: mend it, or restore a snapshot into a new folder"},
}

const (
	putBack        = "put back a copy of the whole folder, or restore a snapshot into a new one"
	mendAndPutBack = "mend the disk, then " + putBack
)

// openError adds to an error what to do about it.
func openError(err error) error {
	for _, r := range remedies {
		if errors.Is(err, r.cause) {
			return fmt.Errorf("%w (%s)", err, r.text)
		}
	}
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("a file is damaged: %w (%s)", err, mendAndPutBack)
	}
	if strings.Contains(err.Error(), "unknown format major version") { // Pebble has no other name for it
		return fmt.Errorf("%w: %w", ErrNewerFormat, err)
	}
	return err
}

func (o Options) pebble(log *logger) *pebble.Options {
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	p := &pebble.Options{
		FS:                          guardedFS{FS: o.FS, fuse: log.fuse},
		Logger:                      log,
		EventListener:               log.listener(),
		FormatMajorVersion:          pebble.FormatNewest,
		CacheSize:                   o.CacheBytes,
		MemTableSize:                memTableBytes,
		MemTableStopWritesThreshold: 4,
	}
	for i := range p.Levels {
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBitsPerKey)
	}
	return p
}

// Apply implements [storage.Store]. If ctx ends before the commit is under way,
// the call is withdrawn and ctx's error returned; after that Apply waits for
// the outcome, which takes one fdatasync. When the disk has failed it returns
// an error that wraps [storage.ErrUnknownOutcome], and from then on [ErrBroken].
func (s *Store) Apply(ctx context.Context, conds []storage.Cond, ops []storage.Op) (storage.Revision, error) {
	if err := storage.Check(conds, ops); err != nil {
		return 0, err
	}
	if s.closed.Load() {
		return 0, storage.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	c := newCall(conds, ops)
	select {
	case s.calls <- c:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-s.stopped:
		return 0, storage.ErrClosed
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		if c.withdraw() {
			return 0, ctx.Err()
		}
		<-c.done
	case <-s.stopped:
		if c.withdraw() {
			return 0, storage.ErrClosed
		}
		<-c.done
	}
	return c.rev, c.err
}

// Watch implements [storage.Store]. It remembers nothing from before Open.
func (s *Store) Watch(ctx context.Context, prefix string, rev storage.Revision) iter.Seq2[storage.Commit, error] {
	return s.log.Watch(ctx, prefix, rev)
}

// Close implements [storage.Store]. It waits for the commit under way and for
// reads in progress; calls of Apply that wait, and every later call of the
// store or of its snapshots, return [storage.ErrClosed].
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return storage.ErrClosed
	}
	s.fuse.hurry()
	close(s.stop)
	if err := s.join(); err != nil {
		return err
	}
	s.log.Close()
	s.reads.shut()
	return errors.Join(s.closeViews(), s.db.Close())
}

// join waits for the committer. In a store that is broken it may hang for ever
// in Pebble, waiting for room that no flush will make; then it is left alone.
func (s *Store) join() error {
	var late <-chan time.Time
	if s.fuse.err() != nil {
		t := time.NewTimer(maxJoin)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-s.stopped:
		return nil
	case <-late:
		return fmt.Errorf("%w: %w", ErrBroken, s.fuse.err())
	}
}

// closeViews closes what the committer has left, also under a Snapshot that
// nobody has closed: it returns [storage.ErrClosed] by now.
func (s *Store) closeViews() error {
	var errs []error
	for _, v := range s.views {
		errs = append(errs, v.snap.Close())
	}
	return errors.Join(errs...)
}
