package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Pauses between attempts.
const (
	firstPause   = 250 * time.Millisecond // doubled after each attempt
	longestPause = 4 * time.Second
	maxRetryWait = 30 * time.Second // of what the server may ask for
)

// worthRetry says whether to ask again after an attempt that ended with a or err.
func worthRetry(method string, a *Answer, err error) bool {
	reads := method == http.MethodGet || method == http.MethodHead || method == "LIST"
	if err != nil {
		return retryError(err, reads)
	}
	switch s := a.Status; {
	case s == http.StatusPreconditionFailed: // the node lags behind our own writes
		return true
	case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable: // refused unseen
		return true
	case s >= http.StatusInternalServerError && s != http.StatusNotImplemented:
		return reads // of a write the outcome is unknown
	}
	return false
}

func retryError(err error, reads bool) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var op *net.OpError
	if !errors.As(err, &op) {
		return false
	}
	return reads || op.Op == "dial"
}

// pause returns how long to wait after the attempt of that number, from zero:
// what the server asks for and up to a quarter more, else twice as long each time
// less up to a quarter, at random so that many clients do not come back at once.
func pause(attempt int, a *Answer) time.Duration {
	if a != nil {
		if d, ok := retryAfter(a.Header.Get("Retry-After")); ok {
			return d + rand.N(d/4+1)
		}
	}
	d := min(firstPause<<min(attempt, 10), longestPause)
	return d - rand.N(d/4)
}

// retryAfter parses RFC 9110 §10.2.3.
func retryAfter(text string) (time.Duration, bool) {
	if text == "" {
		return 0, false
	}
	d := time.Duration(0)
	if n, err := strconv.Atoi(text); err == nil {
		d = time.Duration(min(max(n, 0), int(maxRetryWait/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		d = time.Until(at)
	} else {
		return 0, false
	}
	return min(max(d, 0), maxRetryWait), true
}

// wait returns early, with an error, if ctx ends or would end before.
func wait(ctx context.Context, d time.Duration) error {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < d {
		return context.DeadlineExceeded
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
