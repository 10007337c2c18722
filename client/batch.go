package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cofferhq/coffer/api"
)

// BatchResult is what [Client.Do] would have returned for one read of a batch.
type BatchResult struct {
	Secret *api.Secret
	Err    error
}

// readsAtOnce is how many requests are under way where a server knows no batches.
const readsAtOnce = 8

// Batch makes reads in as few requests as may be and returns a result for each, in
// their order. A read that fails is no failure of the others; an error is of all.
//
// Only coffer knows batches, in which each read counts, is authorised and recorded
// as if it came alone: of any other server the same reads are asked one by one, some
// at a time. What the server is, is asked once, at the first batch. Clients that were
// made of one another share the answer.
func (c *Client) Batch(ctx context.Context, reads []api.BatchRead) ([]BatchResult, error) {
	batches := len(reads) > 1 && c.wrapTTL == ""
	if batches {
		var err error
		// A server that cannot say what it is may answer all the same.
		if batches, err = c.Coffer(ctx); err != nil && StatusOf(err) == 0 {
			return nil, err
		}
	}
	results := make([]BatchResult, 0, len(reads))
	for part := range slices.Chunk(reads, api.MaxBatch) {
		if batches {
			some, known, err := c.batch(ctx, part)
			if err != nil {
				return nil, err
			}
			if known {
				results = append(results, some...)
				continue
			}
		}
		results = append(results, c.readAll(ctx, part)...)
	}
	return results, nil
}

// batch makes reads in one request. known is false if the server has no batches, as
// a coffer of an earlier version.
func (c *Client) batch(ctx context.Context, reads []api.BatchRead) (results []BatchResult, known bool, err error) {
	r := Request{Method: http.MethodPost, Path: api.BatchPath, Body: api.Batch{Requests: reads}}
	a, err := c.Raw(ctx, r)
	switch {
	case err != nil:
		return nil, false, err
	case a.Status == http.StatusNotFound, a.Status == http.StatusMethodNotAllowed, a.Status == http.StatusForbidden:
		return nil, false, nil
	case a.Status != http.StatusOK:
		return nil, false, newError(r, a)
	}
	var whole struct {
		Data api.BatchAnswers `json:"data"`
	}
	if json.Unmarshal(a.Body, &whole) != nil || len(whole.Data.Responses) != len(reads) {
		return nil, false, errNotJSON
	}
	for i, answer := range whole.Data.Responses {
		s, err := readOf(&reads[i]).result(asAnswer(&answer))
		results = append(results, BatchResult{s, err})
	}
	return results, true, nil
}

// asAnswer is the answer that a read would have been given alone.
func asAnswer(b *api.BatchAnswer) *Answer {
	a := &Answer{Status: b.Status, Header: http.Header{"Etag": {b.ETag}}, Body: b.Answer}
	if len(b.Errors) > 0 {
		a.Body, _ = json.Marshal(api.Failure{Errors: b.Errors, Hint: b.Hint}) // texts always marshal
	}
	return a
}

// readOf is a read of a batch as a request of its own.
func readOf(read *api.BatchRead) Request {
	r := Request{Path: read.Path, IfNoneMatch: read.IfNoneMatch}
	if read.Version != 0 {
		r.Query = url.Values{"version": {strconv.Itoa(read.Version)}}
	}
	return r
}

// readAll makes reads one by one, some at a time.
func (c *Client) readAll(ctx context.Context, reads []api.BatchRead) []BatchResult {
	results := make([]BatchResult, len(reads))
	places := make(chan struct{}, readsAtOnce)
	var all sync.WaitGroup
	for i := range reads {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			at := c
			if reads[i].Namespace != "" {
				at = c.WithNamespace(reads[i].Namespace)
			}
			s, err := at.Do(ctx, readOf(&reads[i]))
			results[i] = BatchResult{s, err}
		})
	}
	all.Wait()
	return results
}

// maker remembers what kind of server it is that clients talk to.
type maker struct {
	mu     sync.Mutex // guards the fields below; held while the server is asked
	asked  bool
	coffer bool
}

// Coffer says whether the server is coffer, and so knows what is below sys/coffer/.
// It asks without a token, and not again once it knows; an error is the network's, or
// an [*Error] of a server that cannot say.
func (c *Client) Coffer(ctx context.Context) (bool, error) {
	m := &c.wire.maker
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked {
		return m.coffer, nil
	}
	r := Request{Path: "sys/health", Query: url.Values{}}
	for _, state := range []string{"standbycode", "performancestandbycode", "drsecondarycode", "sealedcode", "uninitcode"} {
		r.Query.Set(state, strconv.Itoa(http.StatusOK))
	}
	a, err := c.WithToken("").WithNamespace("").WithWrapTTL("").Raw(ctx, r)
	if err != nil {
		return false, err
	}
	if a.Status >= http.StatusInternalServerError {
		return false, newError(r, a)
	}
	var health struct {
		Version string `json:"version"`
	}
	// An answer that is none is from some proxy: then it is no coffer to us.
	_ = json.Unmarshal(a.Body, &health)
	m.asked, m.coffer = true, strings.Contains(health.Version, "+coffer")
	return m.coffer, nil
}
