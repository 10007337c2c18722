package template

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cofferhq/coffer/client"
)

// Acknowledger tells a coffer server which versions of secrets the results in use
// hold, so that a rotation can wait for them. Other servers are left in peace. It is
// for one goroutine.
type Acknowledger struct {
	Store    *Store
	Instance string // of who uses them, as X-Coffer-Instance names it

	told        map[place]int
	decided     bool
	unsupported bool
}

// Acknowledge tells what is new. An error is worth another try; what the server
// will not take note of is none.
func (a *Acknowledger) Acknowledge(ctx context.Context, used []*Result) error {
	// The oldest version counts: its credential is still needed.
	versions := map[place]int{}
	for _, r := range used {
		if r == nil {
			continue
		}
		for at, version := range r.versions {
			if old := versions[at]; old == 0 || version < old {
				versions[at] = version
			}
		}
	}
	for at := range a.told {
		if versions[at] == 0 {
			versions[at] = goodbye
		}
	}
	if len(versions) == 0 {
		return nil
	}
	if err := a.decide(ctx); err != nil || a.unsupported {
		return err
	}
	return a.tell(ctx, versions)
}

// goodbye stands for a version: the secret is in use no more.
const goodbye = 0

// Goodbye says that nothing is in use any more.
func (a *Acknowledger) Goodbye(ctx context.Context) error { return a.Acknowledge(ctx, nil) }

func (a *Acknowledger) tell(ctx context.Context, versions map[place]int) error {
	if a.told == nil {
		a.told = map[place]int{}
	}
	for _, at := range slices.SortedFunc(maps.Keys(versions), compare) {
		version := versions[at]
		if known, ok := a.told[at]; ok && known == version {
			continue
		}
		if err := a.send(ctx, at, version); err != nil || a.unsupported {
			return err
		}
		if a.told[at] = version; version == goodbye {
			delete(a.told, at)
		}
	}
	return nil
}

func compare(p, q place) int {
	return cmp.Or(cmp.Compare(p.namespace, q.namespace), cmp.Compare(p.path, q.path))
}

func (a *Acknowledger) send(ctx context.Context, at place, version int) error {
	r := client.Request{Method: http.MethodPost, Path: "sys/coffer/acknowledge", Body: map[string]any{
		"path": at.path, "version": version, "instance": a.Instance,
	}}
	answer, err := a.Store.in(at.namespace).Raw(ctx, r)
	if err != nil {
		return err
	}
	switch status := answer.Status; {
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		a.unsupported = true
	case status >= http.StatusInternalServerError, status == http.StatusTooManyRequests:
		return client.Refusal(answer, r.Method, r.Path)
	}
	return nil
}

// decide asks what the server is, which takes no token.
func (a *Acknowledger) decide(ctx context.Context) error {
	if a.decided {
		return nil
	}
	c := a.Store.client().WithToken("").WithNamespace("").WithWrapTTL("")
	answer, err := c.Raw(ctx, client.Request{Path: "sys/health", Query: url.Values{"standbyok": {"true"}, "perfstandbyok": {"true"}}})
	if err != nil {
		return err
	}
	if answer.Status >= http.StatusInternalServerError {
		return client.Refusal(answer, http.MethodGet, "sys/health")
	}
	var health struct{ Version string }
	a.decided = true
	a.unsupported = json.Unmarshal(answer.Body, &health) != nil || !strings.Contains(health.Version, "coffer")
	return nil
}
