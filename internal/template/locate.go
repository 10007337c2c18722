package template

import (
	"context"
	"net/http"
	"strings"
	"sync"

	"github.com/cofferhq/coffer/client"
)

// locate finds out which questions are about a mount of KV version 2, where what
// templates leave out stands between mount and secret: data/, of lists metadata/. Of
// those that it cannot find out it returns why.
func (s *Store) locate(ctx context.Context, missing []Query) (failed map[key]error) {
	// What cannot share a mount is looked for in parallel.
	groups := map[place][]Query{} // namespace and first segment → queries
	for _, q := range missing {
		first, _, _ := strings.Cut(q.Path, "/")
		groups[place{q.Namespace, first}] = append(groups[place{q.Namespace, first}], q)
	}
	failed = map[key]error{}
	var wg sync.WaitGroup
	for _, group := range groups {
		wg.Go(func() {
			s.slots <- struct{}{}
			defer func() { <-s.slots }()
			for _, q := range group {
				at, err := s.locateOne(ctx, q)
				s.mu.Lock()
				s.located[q.key()] = at
				if err != nil {
					failed[at.key()] = err
				}
				s.mu.Unlock()
			}
		})
	}
	wg.Wait()
	return failed
}

func (s *Store) locateOne(ctx context.Context, q Query) (Query, error) {
	if q.Operation == Write {
		return q, nil
	}
	mount, known := s.mountOf(q)
	if !known {
		found, version, err := s.in(q.Namespace).KVMount(ctx, q.Path)
		switch {
		case client.StatusOf(err) == http.StatusForbidden:
			return q, nil // it may not know; then the path is right, or the server says what is wrong
		case err != nil:
			return q, err
		case version == 2:
			mount = found
		}
		if found != "" {
			s.mu.Lock()
			s.mounts[place{q.Namespace, found}] = mount
			s.mu.Unlock()
		}
	}
	if q.mount = mount; mount != "" {
		q.Path = withInfix(mount, q.Path, q.Operation)
	}
	return q, nil
}

// mountOf looks for the mount among those that are known. Mounts do not lie within
// each other.
func (s *Store) mountOf(q Query) (mount string, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, mount := range s.mounts {
		if at.namespace == q.Namespace && strings.HasPrefix(q.Path+"/", at.path) {
			return mount, true
		}
	}
	return "", false
}
