package core

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
)

func TestWhoComesLastToAQueueWaitsAndMayGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := make(queue, 1)
		if err := q.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp, entered := make(chan error, 1), make(chan error, 1)
		go func() { gaveUp <- q.enter(ctx) }()
		synctest.Wait()
		go func() { entered <- q.enter(t.Context()) }()
		synctest.Wait()
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if len(entered) != 0 {
			t.Fatal("two are in a queue that lets in one")
		}
		q.leave()
		if err := <-entered; err != nil {
			t.Error(err)
		}
	})
}

func TestCallsQueueWithTheirLikeOnly(t *testing.T) {
	kinds := map[string]logical.Kind{"kv": {}, "userpass": {}}
	c := &Core{queues: newQueues(kinds)}
	visitTo := func(typ string, op logical.Op) *visit {
		v := &visit{Call: &Call{Op: op}}
		if typ != "" {
			v.mount = &mount.Mounted{Entry: &mount.Entry{Type: typ}}
		}
		return v
	}
	seen := map[queue]string{}
	for _, typ := range []string{"", "kv", "userpass"} {
		for _, op := range []logical.Op{logical.Read, logical.List} {
			q := c.queueOf(visitTo(typ, op))
			if q == nil {
				t.Fatalf("%q, %v: there is no queue", typ, op)
			}
			if other, taken := seen[q]; taken {
				t.Errorf("%q, %v: it is the queue of %s", typ, op, other)
			}
			seen[q] = typ
		}
		if c.queueOf(visitTo(typ, logical.Write)) != c.queueOf(visitTo(typ, logical.Read)) {
			t.Errorf("%q: writes and reads do not queue together", typ)
		}
	}
}
