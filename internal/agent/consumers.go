package agent

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/cofferhq/coffer/client"
)

const (
	// maxConsumers and maxSecrets bound what is remembered. Who is beyond is known to
	// the server by its reads, and not said goodbye of.
	maxConsumers = 1024
	maxSecrets   = 256
	// lookForGone is how often it is looked which processes have ended.
	lookForGone = 5 * time.Second
)

// place is a secret of KV version 2, as it is asked for.
type place struct{ namespace, path string }

// consumers are the processes on a socket that have secrets. The server knows each
// by what it reads, under a name of its own; that one has ended, and uses nothing any
// more, it hears from the agent: the processes know nothing of it.
type consumers struct {
	client *client.Client
	log    *slog.Logger

	mu  sync.Mutex           // guards the field below
	all map[string]*consumer // by instance
}

type consumer struct {
	peer    *peer
	secrets map[place]int // version that was read last
}

func newConsumers(c *client.Client, log *slog.Logger) *consumers {
	return &consumers{client: c, log: log, all: map[string]*consumer{}}
}

// saw remembers that a process has a version.
func (c *consumers) saw(p *peer, instance string, at place, version int) {
	if !p.process {
		return // of TCP nobody knows when a process ends
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.all[instance]
	if one == nil {
		if len(c.all) == maxConsumers {
			return
		}
		one = &consumer{peer: p, secrets: map[place]int{}}
		c.all[instance] = one
	}
	if _, known := one.secrets[at]; known || len(one.secrets) < maxSecrets {
		one.secrets[at] = version
	}
}

// run says goodbye of processes that have ended, until ctx ends.
func (c *consumers) run(ctx context.Context) {
	tick := time.NewTicker(lookForGone)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.leave(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// leave says goodbye of the processes that have ended.
func (c *consumers) leave(ctx context.Context) {
	gone := map[string]*consumer{}
	c.mu.Lock()
	for instance, one := range c.all {
		if one.peer.gone() {
			gone[instance] = one
			delete(c.all, instance)
		}
	}
	c.mu.Unlock()
	for instance, one := range gone {
		for at := range one.secrets {
			if !c.tell(ctx, instance, at) {
				return // the server is away, or is none of ours: the token's end will tell
			}
		}
	}
}

func (c *consumers) tell(ctx context.Context, instance string, at place) bool {
	to := c.client.WithHeader(instanceHeader, instance)
	if at.namespace != "" {
		to = to.WithNamespace(at.namespace)
	}
	answer, err := to.Raw(ctx, client.Request{Method: http.MethodPost, Path: "sys/coffer/acknowledge", Body: map[string]any{
		"path": at.path, "version": 0, "instance": instance,
	}})
	return err == nil && answer.Status < http.StatusMultipleChoices
}

// close says goodbye of those that have ended since.
func (c *consumers) close(ctx context.Context) { c.leave(ctx) }
