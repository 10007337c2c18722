package pebble

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
)

// logger passes Pebble's messages on to slog, and what Pebble thinks must end
// the process to the fuse, which ends writing only.
type logger struct {
	log  *slog.Logger
	fuse *fuse
}

func newLogger(log *slog.Logger, f *fuse) *logger {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &logger{log: log, fuse: f}
}

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
	if l.fuse.blow(fmt.Errorf(format, args...)) {
		l.print(slog.LevelError, format, args)
	}
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
		DataCorruption: func(info pebble.DataCorruptionInfo) { l.Errorf("%s", info) },
	}
}
