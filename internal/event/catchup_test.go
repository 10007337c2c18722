package event_test

import (
	"context"
	"iter"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cofferhq/coffer/internal/event"
	"github.com/cofferhq/coffer/internal/storage"
	"github.com/cofferhq/coffer/internal/storage/inmem"
)

// forgetful is a store whose Watch fails once in a while.
type forgetful struct {
	storage.Store
	broken chan struct{} // an element breaks the Watch under way
}

func (f *forgetful) Watch(ctx context.Context, prefix string, rev storage.Revision) iter.Seq2[storage.Commit, error] {
	return func(yield func(storage.Commit, error) bool) {
		for c, err := range f.Store.Watch(ctx, prefix, rev) {
			select {
			case <-f.broken:
				yield(storage.Commit{}, storage.ErrCompacted)
				return
			default:
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

func TestWhatTheStoreForgetsIsReadFromTheRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &forgetful{Store: inmem.New(), broken: make(chan struct{}, 1)}
		o := &outpost{t: t, store: store}
		o.Hub = event.NewHub(event.Options{Store: store, Log: slog.New(slog.DiscardHandler), Now: time.Now, Source: "vault://test"})
		s := o.subscribe(event.Wish{}, everything(t))
		o.write("a")
		wants(t, s, "a")
		store.broken <- struct{}{}
		o.write("b")
		o.write("c")
		time.Sleep(time.Second)
		wants(t, s, "b", "c")
		o.write("d")
		wants(t, s, "d")
		s.Close()
		o.Hub.Close()
		store.Close()
	})
}
