package redact

import (
	"bufio"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// AccessLog returns a handler that serves with next, and logs each request when
// it is served: method, host, URL, protocol, status, bytes of the body, time
// taken, remote address, Referer and User-Agent, without the values. Other
// headers, and bodies, are not logged at all. Log may be of any handler.
//
// It knows the values alone: what else is secret in a URL, such as a token of a
// visitor, stays in it.
func (r *Redactor) AccessLog(log *slog.Logger, next http.Handler) http.Handler {
	log = slog.New(r.Handler(log.Handler()))
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		start := time.Now()
		seen := &response{ResponseWriter: w}
		target := req.URL.RequestURI() // next may change the URL
		defer func() {                 // also if next panics
			log.LogAttrs(req.Context(), slog.LevelInfo, "request",
				slog.String("method", req.Method), slog.String("host", req.Host), slog.String("url", target),
				slog.String("protocol", req.Proto), slog.Int("status", seen.code()), slog.Int64("bytes", seen.bytes),
				slog.Duration("took", time.Since(start)), slog.String("remote", req.RemoteAddr),
				slog.String("referer", req.Referer()), slog.String("user_agent", req.UserAgent()))
		}()
		next.ServeHTTP(seen, req)
		seen.served = true
	})
}

// response counts what is answered.
type response struct {
	http.ResponseWriter
	status int // zero: not written
	bytes  int64
	served bool // without panic
}

// Unwrap lets [http.ResponseController] find what the server's own can do.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Flush implements [http.Flusher], for handlers that look for that only.
func (w *response) Flush() {
	_ = http.NewResponseController(w.ResponseWriter).Flush() // a server that cannot has nothing to flush
}

// Hijack implements [http.Hijacker], for the same ones.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil && w.status == 0 {
		w.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

// code is the status that the client sees: a handler that writes nothing has
// succeeded, unless it panicked, when the client sees none: zero.
func (w *response) code() int {
	if w.status == 0 && w.served {
		return http.StatusOK
	}
	return w.status
}
