package secrets

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// readAll fills the answers: in one request for each namespace where the server can,
// else in one for each, some at a time.
func (r *Resolver) readAll(ctx context.Context, all []*answer) {
	byNamespace := map[string][]*answer{}
	for _, a := range all {
		byNamespace[a.Namespace] = append(byNamespace[a.Namespace], a)
	}
	var wg sync.WaitGroup
	for namespace, some := range byNamespace {
		c := r.in(namespace)
		batches, err := takesBatches(ctx, c, len(some))
		switch {
		case err != nil:
			for _, a := range some {
				a.err = err
			}
		case batches:
			wg.Go(func() { r.bounded(func() { askTogether(ctx, c, some) }) })
		default:
			for _, a := range some {
				wg.Go(func() { r.bounded(func() { a.ask(ctx, c) }) })
			}
		}
	}
	wg.Wait()
}

// bounded does work that counts against the requests under way.
func (r *Resolver) bounded(work func()) {
	r.slots <- struct{}{}
	defer func() { <-r.slots }()
	work()
}

// takesBatches asks what the server is, if that matters for so many reads.
func takesBatches(ctx context.Context, c *client.Client, reads int) (bool, error) {
	if reads < 2 {
		return false, nil
	}
	coffer, err := c.Coffer(ctx)
	if client.StatusOf(err) != 0 {
		err = nil // a server that cannot say what it is may answer all the same
	}
	return coffer, err
}

// ask makes the read.
func (a *answer) ask(ctx context.Context, c *client.Client) {
	if a.err = a.refused(); a.err != nil {
		return
	}
	r := client.Request{Path: a.Path, IfNoneMatch: a.etag}
	if a.Asked != 0 {
		r.Query = url.Values{"version": {strconv.Itoa(a.Asked)}}
	}
	s, err := c.Do(ctx, r)
	a.take(s, err)
}

// askTogether makes several reads in as few requests as may be.
func askTogether(ctx context.Context, c *client.Client, all []*answer) {
	var asked []*answer
	var reads []api.BatchRead
	for _, a := range all {
		if a.err = a.refused(); a.err == nil {
			asked = append(asked, a)
			reads = append(reads, api.BatchRead{Path: a.Path, Version: a.Asked, IfNoneMatch: a.etag})
		}
	}
	results, err := c.Batch(ctx, reads)
	for i, a := range asked {
		switch {
		case err != nil:
			a.err = err
		case worthAlone(results[i].Err):
			a.ask(ctx, c)
		default:
			a.take(results[i].Secret, results[i].Err)
		}
	}
}

// worthAlone says whether a read of a batch may fare better by itself: the batch had
// no room for it, or it has to wait.
func worthAlone(err error) bool {
	switch client.StatusOf(err) {
	case http.StatusRequestEntityTooLarge, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true
	}
	return false
}

var errNoVersions = errors.New("its mount keeps no versions")

// refused says what is not worth asking.
func (a *answer) refused() error {
	if a.Asked != 0 && a.kind == plain {
		return errNoVersions
	}
	return nil
}

// take fills the answer with what the server said.
func (a *answer) take(s *api.Secret, err error) {
	switch {
	case err != nil:
		a.err = err
		return
	case s == nil || s.Data == nil:
		a.err = absence("no such secret")
		return
	}
	a.data, a.etag = s.Data, s.ETag
	a.LeaseID, a.Renewable, a.Lease = s.LeaseID, s.Renewable, time.Duration(s.LeaseDuration)*time.Second
	version, isVersioned := versionOf(s.Data)
	switch {
	case a.kind == versioned || a.kind == unknown && isVersioned:
		a.err = a.unpack(version)
	case a.Asked != 0:
		a.err = errNoVersions
	}
}
