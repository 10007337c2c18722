package cache

import (
	"sync"

	"github.com/cofferhq/coffer/internal/storage"
)

// maxFolders bounds the prefixes that are followed.
const maxFolders = 10_000

// folders knows of some prefixes when keys below them were last added or
// removed. The zero value knows of none.
type folders struct {
	mu      sync.Mutex                  // guards the fields below
	changes map[string]storage.Revision // prefix → last change, or when it was first asked for
	lengths map[int]struct{}            // that prefixes have
}

// last returns when the keys below prefix changed last.
func (f *folders) last(prefix string) (storage.Revision, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rev, ok := f.changes[prefix]
	return rev, ok
}

// follow begins to follow a prefix whose last change is rev or older.
func (f *folders) follow(prefix string, rev storage.Revision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.changes) >= maxFolders {
		f.changes = nil
	}
	if f.changes == nil {
		f.changes, f.lengths = map[string]storage.Revision{}, map[int]struct{}{}
	}
	if _, known := f.changes[prefix]; !known {
		f.lengths[len(prefix)] = struct{}{}
		f.changes[prefix] = rev
	}
}

// changed notes that key was added or removed. Prefixes are of few lengths, so
// all that key may begin with are looked up.
func (f *folders) changed(key string, rev storage.Revision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for length := range f.lengths {
		if length > len(key) {
			continue
		}
		if _, known := f.changes[key[:length]]; known {
			f.changes[key[:length]] = rev
		}
	}
}

func (f *folders) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes, f.lengths = nil, nil
}
