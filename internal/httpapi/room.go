package httpapi

import (
	"container/list"
	"context"
	"sync"
)

// room is an amount of memory that requests share. Who wants much waits for it,
// first come, first served.
type room struct {
	size int64

	mu      sync.Mutex // guards the fields below
	taken   int64
	waiting list.List // of *place
}

// place is somebody who waits for n bytes.
type place struct {
	n     int64
	given chan struct{} // closed when it has them
}

// take waits for n bytes, or for all there is if n is more, until ctx ends. It
// returns how many were taken, to be given back.
func (r *room) take(ctx context.Context, n int64) (int64, error) {
	n = min(n, r.size)
	r.mu.Lock()
	if r.waiting.Len() == 0 && r.taken+n <= r.size {
		r.taken += n
		r.mu.Unlock()
		return n, nil
	}
	p := &place{n, make(chan struct{})}
	at := r.waiting.PushBack(p)
	r.mu.Unlock()
	select {
	case <-p.given:
		return n, nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-p.given: // meanwhile
		r.taken -= n
	default:
		r.waiting.Remove(at)
	}
	r.serveLocked() // who stood behind may want less
	return 0, ctx.Err()
}

// tryTake takes n bytes, or all there is if n is more, if that needs no waiting.
func (r *room) tryTake(n int64) (int64, bool) {
	n = min(n, r.size)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting.Len() > 0 || r.taken+n > r.size {
		return 0, false
	}
	r.taken += n
	return n, true
}

func (r *room) giveBack(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken -= n
	r.serveLocked()
}

func (r *room) serveLocked() {
	for first := r.waiting.Front(); first != nil; first = r.waiting.Front() {
		p := first.Value.(*place)
		if r.taken+p.n > r.size {
			return
		}
		r.taken += p.n
		r.waiting.Remove(first)
		close(p.given)
	}
}
