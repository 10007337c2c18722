package core

import (
	"strings"
	"sync"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/sys"
)

// underway is the calls that are being handled. Calls are spread by their ids, so
// that they rarely wait for each other.
type underway struct {
	shards [32]underwayShard
}

type underwayShard struct {
	mu    sync.Mutex // guards the field below
	calls map[*visit]struct{}
	_     [48]byte // keeps shards off each other's cache line
}

func (u *underway) shard(v *visit) *underwayShard {
	if v.ID == "" {
		return &u.shards[0]
	}
	// The last digit of a UUID is random, and its 16 values stay apart modulo 32.
	return &u.shards[v.ID[len(v.ID)-1]%byte(len(u.shards))]
}

func (u *underway) enter(v *visit) {
	s := u.shard(v)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls == nil {
		s.calls = make(map[*visit]struct{})
	}
	s.calls[v] = struct{}{}
}

func (u *underway) leave(v *visit) {
	s := u.shard(v)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.calls, v)
	if v.left != nil {
		close(v.left)
	}
}

// reads returns a channel for each read of path that is being handled, which is
// closed when it has been.
func (u *underway) reads(path string) (ended []<-chan struct{}) {
	for i := range u.shards {
		s := &u.shards[i]
		s.mu.Lock()
		for v := range s.calls {
			if v.Op != logical.Read || strings.Trim(v.Path, "/") != path {
				continue
			}
			if v.left == nil {
				v.left = make(chan struct{})
			}
			ended = append(ended, v.left)
		}
		s.mu.Unlock()
	}
	return ended
}

// UnderWay returns the calls that are being handled, in no order.
func (c *Core) UnderWay() []sys.UnderWay {
	var all []sys.UnderWay
	for i := range c.underway.shards {
		s := &c.underway.shards[i]
		s.mu.Lock()
		for v := range s.calls {
			// What the edge has set, and nothing else, is there from the start.
			one := sys.UnderWay{ID: v.ID, Method: v.Method, Path: v.Path, Remote: v.Remote, Start: v.Now}
			if t := v.who.Load(); t != nil {
				one.EntityID = t.EntityID
			}
			all = append(all, one)
		}
		s.mu.Unlock()
	}
	return all
}
