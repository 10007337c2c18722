package pebble

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// logger passes Pebble's messages on to slog, and what Pebble thinks must end
// the process to the fuse, which ends writing only.
type logger struct {
	log   *slog.Logger
	fuse  *fuse
	stuck chan error   // takes the first failure in the background that may be a flush's, before Open has returned
	told  atomic.Int64 // when a failure in the background was logged last, in Unix nanoseconds
}

// tellEvery is how often a failure is told that Pebble goes on repeating.
const tellEvery = time.Minute

func (l *logger) Infof(format string, args ...any) { l.print(slog.LevelDebug, format, args) }

func (l *logger) Errorf(format string, args ...any) {
	level := slog.LevelError
	if l.fuse.err() != nil {
		level = slog.LevelDebug // it was said once; retries repeat it for ever
	}
	l.print(level, format, args)
}

// Fatalf returns, although Pebble's own logger would exit: callers that it
// returns to give up with an error, and the fuse sees to it that they can do no
// harm to the disk.
func (l *logger) Fatalf(format string, args ...any) {
	l.fuse.blow(fmt.Errorf(format, args...))
}

func (l *logger) print(level slog.Level, format string, args []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "pebble: "+fmt.Sprintf(format, args...))
	}
}

// listener reports a damaged file without ending anything: reads of it return
// errors, and all others go on.
func (l *logger) listener() *pebble.EventListener {
	return &pebble.EventListener{
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			l.Errorf("%s is damaged: %s", info.Path, firstLine(info.Details))
		},
		BackgroundError: l.background,
		LowDiskSpace: func(info pebble.LowDiskSpaceInfo) {
			l.log.Warn("the disk of the storage is nearly full", "free_bytes", info.AvailBytes, "total_bytes", info.TotalBytes)
		},
	}
}

// background reports that a flush or a compaction failed. Nothing is lost by
// that, but it can't go on for ever. Open waits for a flush only, which reads no
// table: one that is damaged does not hold it up.
func (l *logger) background(err error) {
	if !pebble.IsCorruptionError(err) {
		select {
		case l.stuck <- err:
		default:
		}
	}
	told := l.told.Load()
	if time.Since(time.Unix(0, told)) < tellEvery || !l.told.CompareAndSwap(told, time.Now().UnixNano()) {
		return
	}
	l.Errorf("a write in the background failed and is tried again, is the disk full? %s", err)
}

// firstLine leaves out the stack of one of Pebble's errors.
func firstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}
