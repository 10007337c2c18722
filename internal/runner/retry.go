package runner

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/cofferhq/coffer/client"
	"github.com/cofferhq/coffer/secrets"
)

// DefaultRetryTimeout is how long a server that is away is waited for at the start.
const DefaultRetryTimeout = 30 * time.Second

// Pauses between tries: the first is doubled each time, less up to a quarter at
// random so that programs that start together do not come back together.
const (
	firstPause   = 250 * time.Millisecond
	longestPause = 5 * time.Second
	awayPause    = time.Minute // longest, when the program runs already
)

func backOff(attempt int, longest time.Duration) time.Duration {
	d := min(firstPause<<min(attempt, 12), longest)
	return d - rand.N(d/4)
}

// patiently calls try until it succeeds, fails for good, as passes says, or the
// time for the start's tries is over.
func (j *job) patiently(ctx context.Context, passes func(error) bool, try func() error) error {
	for attempt := 0; ; attempt++ {
		err := try()
		if err == nil || !passes(err) || ctx.Err() != nil {
			return err
		}
		pause := backOff(attempt, longestPause)
		left := time.Until(j.deadline) - pause
		if left <= 0 {
			return err
		}
		j.tell(attempt, left, err)
		if j.pause(ctx, pause) != nil {
			return err
		}
	}
}

// tell says that the server is away: once, but on a terminal each time.
func (j *job) tell(attempt int, left time.Duration, err error) {
	if attempt == 0 || j.Talkative {
		j.Warn(fmt.Sprintf("%v\nThe server is tried again, for %v at most.", err, left.Round(time.Second)))
	}
}

// sleep returns an error if ctx ends before.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// isPassing says whether err may be gone after a while: the server is away, sealed
// or overloaded. That it refuses, or has no such secret, does not pass; nor does a
// mixture, as the rest would still fail.
func isPassing(err error) bool {
	if errs := new(secrets.ResolveError); errors.As(err, &errs) {
		for _, f := range errs.Failures {
			if !isPassing(f.Err) {
				return false
			}
		}
		return true
	}
	if status := client.StatusOf(err); status != 0 {
		return status == http.StatusTooManyRequests || status >= http.StatusInternalServerError && status != http.StatusNotImplemented
	}
	return isAway(err)
}

// isAway says whether no answer has come.
func isAway(err error) bool {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	if errors.As(err, &unknown) || errors.As(err, &name) || errors.As(err, &invalid) || errors.Is(err, context.Canceled) {
		return false
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op != "remote error" && op.Op != "local error" // what TLS has to say stays so
	}
	var dns *net.DNSError
	var network net.Error
	return errors.As(err, &dns) || errors.As(err, &network) && network.Timeout() ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// isUnseen says whether the server cannot have acted upon the request.
func isUnseen(err error) bool {
	switch client.StatusOf(err) {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true
	}
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
