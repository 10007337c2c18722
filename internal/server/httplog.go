package server

import (
	"io"
	"log"
	"log/slog"
	"strings"
)

// httpErrors is where net/http tells of what goes wrong with connections.
func httpErrors(to *slog.Logger) *log.Logger {
	return log.New(unquoted{slog.NewLogLogger(to.Handler(), slog.LevelDebug).Writer()}, "", 0)
}

// unquoted passes lines on up to their first quote: net/http quotes what clients
// send in place of what they should, and that may be a secret that came to the
// wrong port.
type unquoted struct{ to io.Writer }

// Write implements [io.Writer].
func (u unquoted) Write(line []byte) (int, error) {
	text, rest, found := strings.Cut(string(line), `"`)
	if found && rest != "" {
		text += "…"
	}
	if _, err := u.to.Write([]byte(text)); err != nil {
		return 0, err
	}
	return len(line), nil
}
