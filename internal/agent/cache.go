package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cofferhq/coffer/api"
	"github.com/cofferhq/coffer/client"
)

// Bounds of the cache. What does not fit is asked for each time.
const (
	maxEntries      = 1000
	maxCacheBytes   = 32 << 20
	maxRequestBytes = 64 << 10 // of a body that a request is told by
	maxPlain        = 4096
)

// cache remembers answers with a lease that were given to the agent's own token, and
// keeps the leases alive, so that ten processes that want a database user share one.
// Everything else can change at any time, or be taken from a caller, and is asked for
// each time; so are errors, and wrapped answers.
type cache struct {
	client *client.Client
	log    *slog.Logger
	wake   chan struct{} // of capacity 1: there is something new to keep alive

	mu      sync.Mutex // guards the fields below
	entries map[requestKey]*cached
	bytes   int
	flights map[requestKey]chan struct{} // closed when the request has been answered
	plain   map[requestKey]bool          // had no lease: nobody waits for an answer to share
	epoch   uint64                       // number of evictions: an answer from before one is not kept
}

// requestKey tells requests apart.
type requestKey [sha256.Size]byte

// cached is an answer. All but the lease's times is never changed.
type cached struct {
	header    http.Header
	fields    map[string]json.RawMessage // of the body
	size      int
	path      string // below /v1/
	namespace string
	leaseID   string
	made      time.Time

	span, first time.Duration
	from, due   time.Time // due: when it is renewed or, if it cannot be, forgotten
	renewable   bool
}

func newCache(c *client.Client, log *slog.Logger) *cache {
	return &cache{
		client: c, log: log, wake: make(chan struct{}, 1), entries: map[requestKey]*cached{},
		flights: map[requestKey]chan struct{}{}, plain: map[requestKey]bool{},
	}
}

// serve answers from the cache, or has next do it.
func (c *cache) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	call := callOf(r.Context())
	body, small, err := peekRequest(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, "the body cannot be read")
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	if small {
		call.ends = endingOf(r.Method, path, body)
	}
	cacheable := small && call.ours && call.ends == nil && r.Header.Get("X-Vault-Wrap-TTL") == "" && !isUpgrade(r) &&
		slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut}, r.Method)
	if !cacheable {
		next.ServeHTTP(w, r)
		return
	}
	key := keyOf(r, body, call.token)
	if c.answer(w, key) {
		return
	}
	if r.Method == http.MethodGet {
		done, leader := c.fly(key)
		if !leader {
			select {
			case <-done:
			case <-r.Context().Done():
				return
			}
			// What has no lease is not shared: who has written meanwhile must see it.
			if c.answer(w, key) {
				return
			}
		} else {
			defer c.land(key, done)
		}
	}
	w.Header().Set("X-Cache", "MISS")
	c.mu.Lock()
	epoch := c.epoch
	c.mu.Unlock()
	call.keep = func(answer *api.Secret, resp *http.Response, body []byte) { c.keep(key, epoch, answer, resp, body) }
	next.ServeHTTP(w, r)
}

func isUpgrade(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }

// peekRequest reads the body if it is not too large, and leaves it to be read again.
func peekRequest(r *http.Request) (body []byte, small bool, err error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, true, nil
	}
	if r.ContentLength > maxRequestBytes {
		return nil, false, nil
	}
	body, err = io.ReadAll(io.LimitReader(r.Body, maxRequestBytes+1))
	if err != nil {
		return nil, false, err
	}
	rest := r.Body
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), rest}
	return body, len(body) <= maxRequestBytes, nil
}

// keyOf tells a request by everything that its answer may depend on.
func keyOf(r *http.Request, body []byte, token string) requestKey {
	h := sha256.New()
	write := func(texts ...string) {
		for _, text := range texts {
			fmt.Fprintf(h, "%d:%s", len(text), text)
		}
	}
	write(r.Method, r.URL.EscapedPath(), r.URL.RawQuery, token, string(body))
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		own := name == "X-Vault-Token" || name == "X-Vault-Request"
		if strings.HasPrefix(name, "X-Vault-") && !own || name == "Accept" {
			write(name)
			write(r.Header[name]...)
		}
	}
	return requestKey(h.Sum(nil))
}

// fly says whether the caller is the first to make a request; else done is closed
// when the first has its answer.
func (c *cache) fly(key requestKey) (done chan struct{}, leader bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plain[key] {
		done = make(chan struct{})
		return done, true
	}
	if done = c.flights[key]; done != nil {
		return done, false
	}
	done = make(chan struct{})
	c.flights[key] = done
	return done, true
}

func (c *cache) land(key requestKey, done chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[key] == done {
		delete(c.flights, key)
	}
	close(done)
}

// keep remembers an answer that has a lease.
func (c *cache) keep(key requestKey, epoch uint64, answer *api.Secret, resp *http.Response, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer.LeaseID == "" || answer.LeaseDuration <= 0 || answer.WrapInfo != nil {
		if len(c.plain) >= maxPlain {
			clear(c.plain)
		}
		c.plain[key] = true
		return
	}
	fields := map[string]json.RawMessage{}
	if epoch != c.epoch || len(c.entries) >= maxEntries || c.bytes+len(body) > maxCacheBytes || json.Unmarshal(body, &fields) != nil {
		return
	}
	now := time.Now()
	span := time.Duration(answer.LeaseDuration) * time.Second
	header := resp.Header.Clone()
	header.Del("Content-Length")
	e := &cached{
		header: header, fields: fields, size: len(body), made: now, leaseID: answer.LeaseID,
		path:      strings.TrimPrefix(resp.Request.URL.Path, "/v1/"),
		namespace: strings.Trim(resp.Request.Header.Get("X-Vault-Namespace"), "/"),
		span:      span, first: span, from: now, renewable: answer.Renewable,
	}
	e.schedule()
	c.removeLocked(key)
	c.entries[key] = e
	c.bytes += e.size
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// answer answers a request from the cache, if it can.
func (c *cache) answer(w http.ResponseWriter, key requestKey) bool {
	c.mu.Lock()
	e, now := c.entries[key], time.Now()
	if e == nil || now.After(e.from.Add(e.span*9/10)) {
		c.mu.Unlock()
		return false
	}
	left := e.from.Add(e.span).Sub(now)
	fields := maps.Clone(e.fields)
	c.mu.Unlock()
	// A client that renews at two thirds must count from now.
	fields["lease_duration"] = json.RawMessage(fmt.Sprint(int(left / time.Second)))
	body, err := json.Marshal(fields)
	if err != nil {
		return false
	}
	maps.Copy(w.Header(), e.header)
	w.Header().Set("X-Cache", "HIT")
	w.Header().Set("Age", fmt.Sprint(int(now.Sub(e.made)/time.Second)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // who does not read it gets it no other way
	return true
}

// removeLocked forgets one answer.
func (c *cache) removeLocked(key requestKey) {
	if e := c.entries[key]; e != nil {
		c.bytes -= e.size
		delete(c.entries, key)
	}
}

// evict forgets what fits, and what is under way.
func (c *cache) evict(fits func(e *cached) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	for key, e := range c.entries {
		if fits(e) {
			c.removeLocked(key)
		}
	}
}

// clear forgets everything.
func (c *cache) clear() { c.evict(func(*cached) bool { return true }) }

// run keeps leases alive until ctx ends.
func (c *cache) run(ctx context.Context) {
	for ctx.Err() == nil {
		var due <-chan time.Time
		if next := c.next(); !next.IsZero() {
			due = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
		case <-c.wake:
		case <-due:
			c.lookAfter(ctx)
		}
	}
}
