package kv

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/storage"
)

var (
	secretForm = storage.Form[secret]{Name: "kv record", Version: 1}
	dataForm   = storage.Form[dataRow]{Name: "kv record of a version", Version: 1}
)

func secretKey(path string) string { return storage.Plain("secret") + storage.Path(path) }

// versionKey names the row of a version by the secret's id, not by its path: a
// secret that is deleted and made anew does not meet the old one's rows.
func versionKey(id string, n int) string {
	return storage.Plain("version") + storage.Plain(id) + storage.Order(uint64(n))
}

// secret is the row of one path.
type secret struct {
	Created int64 `json:"at"` // as all times here: Unix nanoseconds

	// Data is the value itself, if a mount of version 1 wrote it. To version 2 it
	// is version 1 of the secret, which moves into a row of its own when the
	// secret is first changed. All that follows is version 2's.
	Data json.RawMessage `json:"data,omitempty"`

	ID      string `json:"id,omitempty"` // random; the key of the versions' rows
	Updated int64  `json:"mod,omitempty"`
	Current int    `json:"cur,omitempty"` // newest version; 0: there was none yet
	// Versions ends with the newest. None is missing in between: destroyed ones
	// stay, without a row.
	Versions []version         `json:"vs,omitempty"`
	Custom   map[string]string `json:"custom,omitempty"`
	settings

	rev storage.Revision // of the row as it was read
}

// version is what is known of a version, beside its data.
type version struct {
	Created   int64 `json:"c"`
	Deleted   int64 `json:"d,omitempty"` // may lie in the future; 0: never
	Destroyed bool  `json:"x,omitempty"`
}

// gone says whether the version has no data to show at now.
func (v *version) gone(now time.Time) bool {
	return v.Destroyed || v.Deleted != 0 && v.Deleted <= now.UnixNano()
}

// oldest is the number of the first version that is kept.
func (s *secret) oldest() int { return s.Current - len(s.Versions) + 1 }

// oldestShown is the oldest version as Vault tells it: 0 until one was dropped.
func (s *secret) oldestShown() int {
	if n := s.oldest(); n > 1 {
		return n
	}
	return 0
}

// at returns version n, or nil if it is not kept.
func (s *secret) at(n int) *version {
	if n < max(1, s.oldest()) || n > s.Current {
		return nil
	}
	return &s.Versions[n-s.oldest()]
}

// peek reads the secret at path, or returns logical.ErrNotFound. The commit does
// not depend on it.
func peek(ctx context.Context, p storage.Part, path string) (*secret, error) {
	return parseSecret(p.Peek(ctx, secretKey(path)))
}

// get reads the secret at path to change it, or returns logical.ErrNotFound. The
// commit depends on it: of two that change one secret, one comes second.
func get(ctx context.Context, p storage.Part, path string) (*secret, error) {
	s, err := parseSecret(p.Get(ctx, secretKey(path)))
	if err == nil && s.ID == "" {
		s.ID = rand.Text()
	}
	return s, err
}

func newSecret(now time.Time) *secret {
	return &secret{ID: rand.Text(), Created: now.UnixNano()}
}

// makeTag makes a tag of two numbers.
func makeTag(a, b uint64) string {
	return strconv.FormatUint(a, 10) + "-" + strconv.FormatUint(b, 36)
}

func parseSecret(e storage.Entry, err error) (*secret, error) {
	if errors.Is(err, storage.ErrNotFound) {
		return nil, logical.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	// Every read comes by here: the list is made once, not grown.
	s := &secret{Versions: make([]version, 0, bytes.Count(e.Value, []byte(`{"c":`)))}
	if err := secretForm.Decode(e.Value, s); err != nil {
		return nil, err
	}
	s.rev = e.Revision
	if s.Data != nil {
		s.Current, s.Updated, s.Versions = 1, s.Created, []version{{Created: s.Created}}
	}
	return s, nil
}

// save stores the secret at path, and takes some of the trash out.
func (s *secret) save(p storage.Part, path string, now time.Time) error {
	s.Updated = now.UnixNano()
	if s.Data != nil {
		if err := s.putData(p, 1, s.Data); err != nil {
			return err
		}
		s.Data = nil
	}
	value, err := secretForm.Encode(s)
	if err != nil {
		return err
	}
	p.Put(secretKey(path), value)
	return nil
}

// dataRow is the row of one version.
type dataRow struct {
	Data json.RawMessage `json:"data"`
}

func (s *secret) putData(p storage.Part, n int, data json.RawMessage) error {
	value, err := dataForm.Encode(&dataRow{Data: data})
	if err != nil {
		return err
	}
	p.Put(versionKey(s.ID, n), value)
	return nil
}

// data reads what version n holds. It is no condition of the commit: the row
// never changes, and that it goes is told by the secret's own row.
func (s *secret) data(ctx context.Context, p storage.Part, n int) (json.RawMessage, error) {
	if s.Data != nil {
		return s.Data, nil
	}
	e, err := p.Peek(ctx, versionKey(s.ID, n))
	if err != nil {
		return nil, fmt.Errorf("kv record of version %d: %w", n, err)
	}
	return parseData(e.Value)
}

// dataPrefix is how putData begins a row.
const dataPrefix = `{"v":1,"data":`

// parseData returns the data of a version's row. The barrier vouches for what
// putData wrote, so that need not be parsed again.
func parseData(value []byte) (json.RawMessage, error) {
	if rest, ok := bytes.CutPrefix(value, []byte(dataPrefix)); ok && len(rest) > 0 {
		return rest[: len(rest)-1 : len(rest)-1], nil
	}
	var row dataRow
	err := dataForm.Decode(value, &row)
	return row.Data, err
}

// discard removes the rows of versions that the secret no longer has.
func (s *secret) discard(r *logical.Request, spans ...span) error {
	for _, at := range spans {
		if at[0] == 1 {
			s.Data = nil // else save would make a row of it
		}
	}
	return discard(r, s.ID, spans)
}
