package template

import (
	"context"
	"errors"
	"time"

	"github.com/cofferhq/coffer/client"
)

// listenAgain is how long after a refusal it is tried again to listen: policies, and
// tokens, change.
const listenAgain = time.Minute

// listen has the server tell of changes, until ctx ends: what is told of is read at
// once. A server that cannot, or will not, leaves it at the reads of each interval.
// Of other namespaces than the client's it is not told.
func (s *Store) listen(ctx context.Context) {
	for ctx.Err() == nil {
		// What has changed before the connection stood, nobody tells.
		options := client.EventOptions{Connected: func(uint64) { s.Refresh() }}
		for event, err := range s.client().Events(ctx, "kv*", options) {
			switch {
			case errors.Is(err, client.ErrNoEvents):
				return
			case errors.Is(err, client.ErrEventsMissed):
				s.Refresh()
			case err == nil:
				s.refresh(event.Path)
			}
		}
		t := time.NewTimer(jitter(listenAgain))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

// refresh has what was read of a path read again, now.
func (s *Store) refresh(path string) {
	s.mu.Lock()
	for _, e := range s.entries {
		if e.polled() && e.query.Namespace == "" && e.query.Path == path {
			e.due = time.Now()
		}
	}
	s.mu.Unlock()
	s.nudge()
}
