package cli

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/cofferhq/coffer/internal/config"
	"github.com/cofferhq/coffer/internal/server"
	"github.com/cofferhq/coffer/redact"
)

// logger makes the server's log, and returns its file if it has one. Flags win
// over the environment, and that over the configuration. The values that known
// has do not get into it.
func (o *serverFlags) logger(c *Call, l *config.Log, level slog.Leveler, known *redact.Redactor) (*slog.Logger, *server.LogFile, error) {
	format := cmp.Or(*o.logFormat, c.setting("LOG_FORMAT"), string(l.Format), "standard")
	if format != "standard" && format != "json" {
		return nil, nil, fmt.Errorf("COFFER_LOG_FORMAT: want standard or json")
	}
	out, file := c.Stderr, (*server.LogFile)(nil)
	if path := cmp.Or(*o.file, l.File); path != "" {
		var err error
		if file, err = openLog(c.Stderr, path, l); err != nil {
			return nil, nil, err
		}
		out = file
	}
	out = server.CleanLog(out, known)
	opts := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(out, opts)), file, nil
	}
	return slog.New(slog.NewTextHandler(out, opts)), file, nil
}

// level is how much is logged at first; it may be changed while the server runs.
func (o *serverFlags) level(c *Call, l *config.Log) (*slog.LevelVar, error) {
	level := l.Level
	if *o.dev {
		level = slog.LevelWarn // the banner says what matters
	}
	switch text := strings.ToLower(cmp.Or(*o.logLevel, c.setting("LOG_LEVEL"))); text {
	case "":
	case "trace":
		level = config.LevelTrace
	default:
		if err := level.UnmarshalText([]byte(text)); err != nil {
			return nil, fmt.Errorf("-log-level: %q is none of trace, debug, info, warn, error", text)
		}
	}
	at := new(slog.LevelVar)
	at.Set(level)
	return at, nil
}

// defaultLogAge is Vault's.
const defaultLogAge = 24 * time.Hour

// openLog opens the file of the log; a path that ends in a slash is the folder
// of one.
func openLog(errs io.Writer, path string, l *config.Log) (*server.LogFile, error) {
	if strings.HasSuffix(path, "/") {
		path = filepath.Join(path, program+".log")
	}
	return server.OpenLogFile(path, server.Rotation{
		MaxBytes: l.RotateBytes, MaxAge: cmp.Or(l.RotateEvery, defaultLogAge), MaxOld: l.RotateMaxFiles,
	}, time.Now, errs)
}
