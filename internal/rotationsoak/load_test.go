package rotationsoak

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	pace        = 20 * time.Millisecond // between requests to one application
	longestWait = 10 * time.Second      // for an answer
)

// request is one, and what became of it. Nobody tries it again.
type request struct {
	began, ended time.Time
	failure      string // empty: it got its answer
}

// load is the requests to one application.
type load struct {
	mu  sync.Mutex // guards the field below
	all []request
}

// run sends requests at a constant pace, whether or not earlier ones have been
// answered, until ctx ends; then it waits for answers.
func (l *load) run(ctx context.Context, url string) {
	c := newHTTP()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		select {
		case <-tick.C:
			all.Go(func() { l.add(ask(c, url)) })
		case <-ctx.Done():
			return
		}
	}
}

// newHTTP returns a client that makes a connection for each request: on one that is
// used again, net/http would try a request twice.
func newHTTP() *http.Client {
	return &http.Client{Timeout: longestWait, Transport: &http.Transport{DisableKeepAlives: true}}
}

func ask(c *http.Client, url string) request {
	r := request{began: time.Now()}
	resp, err := c.Post(url, "text/plain", nil)
	if err == nil {
		var text []byte
		text, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(text)))
		}
	}
	r.ended = time.Now()
	if err != nil {
		r.failure = err.Error()
	}
	return r
}

func (l *load) add(r request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r)
}

// failures returns what went wrong. It is called when run has returned, as is what
// follows.
func (l *load) failures() (texts []string) {
	for _, r := range l.all {
		if r.failure != "" {
			texts = append(texts, r.began.Format(time.StampMilli)+": "+r.failure)
		}
	}
	return texts
}

// latencies returns how long requests took, sorted.
func (l *load) latencies() []time.Duration {
	took := make([]time.Duration, len(l.all))
	for i, r := range l.all {
		took[i] = r.ended.Sub(r.began)
	}
	slices.Sort(took)
	return took
}

// part is the value below which a part of the sorted ones lies; zero if there are
// none.
func part(sorted []time.Duration, of float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(of*float64(len(sorted))), len(sorted)-1)]
}
