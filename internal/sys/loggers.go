package sys

import (
	"context"
	"log/slog"
	"strings"

	"github.com/cofferhq/coffer/internal/logical"
)

// The server has one log, under the name of the chief one of Vault's. A level
// that is set here holds until it is set back, or the server ends.
const loggerName = "core"

var loggerFields = logical.Fields{
	"level": {Type: logical.Lower, Help: "trace, debug, info, warn or error."},
}

var loggerRoutes = logical.Routes[*system]{
	{Op: logical.Read, Path: "loggers", Do: (*system).readLoggers, Help: "Tell how much the server logs."},
	{Op: logical.Write, Path: "loggers", Do: (*system).writeLoggers, Fields: loggerFields, Help: "Make the server log more, or less, until it ends."},
	{Op: logical.Delete, Path: "loggers", Do: (*system).revertLoggers, Help: "Make the server log as it is configured to."},
	{Op: logical.Read, Path: "loggers/{name}", Do: (*system).readLoggers, Help: "Tell how much the log of that name has: core is the only one."},
	{Op: logical.Write, Path: "loggers/{name}", Do: (*system).writeLoggers, Fields: loggerFields, Help: "Make the log of that name have more, or less, until the server ends."},
	{Op: logical.Delete, Path: "loggers/{name}", Do: (*system).revertLoggers, Help: "Make the log of that name as it is configured."},
}

// logLevels are Vault's, with their other names behind.
var logLevels = []struct {
	level slog.Level
	names []string
}{
	{slog.LevelDebug - 4, []string{"trace"}},
	{slog.LevelDebug, []string{"debug"}},
	{slog.LevelInfo, []string{"info", "notice"}},
	{slog.LevelWarn, []string{"warn", "warning"}},
	{slog.LevelError, []string{"error", "err"}},
}

// checkLogger refuses names that no log has.
func checkLogger(r *logical.Request) error {
	if r.Has("name") && r.Text("name") != loggerName {
		return logical.Invalid("logger %q not found", r.Text("name"))
	}
	return nil
}

func (s *system) readLoggers(_ context.Context, r *logical.Request) (*logical.Response, error) {
	if err := checkLogger(r); err != nil {
		return nil, err
	}
	name := ""
	for _, l := range logLevels {
		if s.LogLevel.Level() >= l.level {
			name = l.names[0]
		}
	}
	return &logical.Response{Data: object{loggerName: name}}, nil
}

func (s *system) writeLoggers(_ context.Context, r *logical.Request) (*logical.Response, error) {
	if err := checkLogger(r); err != nil {
		return nil, err
	}
	asked := r.Text("level")
	if asked == "" {
		return nil, logical.Invalid("level is required")
	}
	for _, l := range logLevels {
		for _, name := range l.names {
			if strings.TrimSpace(asked) == name {
				return &logical.Response{After: func() { s.LogLevel.Set(l.level) }}, nil
			}
		}
	}
	return nil, logical.Invalid("invalid level provided: %s", asked)
}

func (s *system) revertLoggers(_ context.Context, r *logical.Request) (*logical.Response, error) {
	if err := checkLogger(r); err != nil {
		return nil, err
	}
	return &logical.Response{After: func() { s.LogLevel.Set(s.configured) }}, nil
}
