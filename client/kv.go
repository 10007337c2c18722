package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cofferhq/coffer/api"
)

// KV is one version of a secret.
type KV struct {
	Mount string         // with its trailing slash; empty if the server could not tell
	Path  string         // below the mount
	Data  map[string]any // numbers are json.Number; nil if deleted or destroyed

	// The rest of the fields but Secret is filled on mounts of version 2 only.

	Version        int // from one
	Created        time.Time
	Deleted        time.Time // when it was, or will be, deleted; zero: never
	Destroyed      bool
	CustomMetadata map[string]string

	// Secret is the answer it was made of: its lease, if it has one.
	Secret *api.Secret
}

// Gone says whether the version exists but has no data any more.
func (kv KV) Gone() bool { return kv.Data == nil }

// KVMount returns the mount that path lies in, with its trailing slash, and the
// version of the key-value engine there; 1 stands for engines of other kinds
// too. A server too old to tell gives an empty mount and version 1.
//
// A token without any right below the mount is refused (403), also when there
// is no such mount.
func (c *Client) KVMount(ctx context.Context, path string) (mount string, version int, err error) {
	s, err := c.WithWrapTTL("").Read(ctx, "sys/internal/ui/mounts/"+strings.Trim(path, "/"))
	if StatusOf(err) == http.StatusNotFound || s == nil && err == nil {
		return "", 1, nil
	}
	if err != nil {
		return "", 0, err
	}
	mount, _ = s.Data["path"].(string)
	if mount = mountWithin(path, mount); mount == "" {
		return "", 0, fmt.Errorf("mount of %q: the server names another", path)
	}
	options, _ := s.Data["options"].(map[string]any)
	switch options["version"] {
	case "2", json.Number("2"):
		return mount, 2, nil
	}
	return mount, 1, nil
}

// mountWithin returns mount less the leading segments that path does not have:
// servers put the namespace there, which for us is in a header. It returns
// nothing if path is not below mount.
func mountWithin(path, mount string) string {
	path = strings.Trim(path, "/") + "/"
	mount = strings.Trim(mount, "/") + "/"
	for mount != "" && mount != "/" {
		if strings.HasPrefix(path, mount) {
			return mount
		}
		_, mount, _ = strings.Cut(mount, "/")
	}
	return ""
}

// ReadKV reads a secret as the command line does: path begins with the mount,
// and the "data/" that mounts of version 2 want after it is added unless it is
// there. Version 0 is the newest; on mounts of version 1 there is no other.
//
// A version that was deleted or destroyed is returned, see [KV.Gone]. Of what
// never existed the error is [ErrNotFound], wrapped.
func (c *Client) ReadKV(ctx context.Context, path string, version int) (KV, error) {
	return c.ReadKVUnless(ctx, path, version, "")
}

// ReadKVUnless is ReadKV, unless the answer with the tag etag, which is the ETag of
// the last one's Secret, would come again: then the error is [ErrNotModified],
// wrapped. A server that knows no tags sends it again.
func (c *Client) ReadKVUnless(ctx context.Context, path string, version int, etag string) (KV, error) {
	path = strings.Trim(path, "/")
	mount, engine, err := c.KVMount(ctx, path)
	if err != nil {
		return KV{}, fmt.Errorf("read %q: %w", path, err)
	}
	kv := KV{Mount: mount, Path: strings.TrimSuffix(strings.TrimPrefix(path+"/", mount), "/")}
	full := path
	var query url.Values
	if engine == 2 {
		kv.Path = strings.TrimPrefix(kv.Path, "data/")
		full = mount + "data/" + kv.Path
	}
	switch {
	case version != 0 && engine != 2:
		return KV{}, fmt.Errorf("read %q: the mount keeps no versions", path)
	case version != 0:
		query = url.Values{"version": {strconv.Itoa(version)}}
	}
	kv.Secret, err = c.Do(ctx, Request{Path: full, Query: query, IfNoneMatch: etag})
	if err != nil {
		return KV{}, fmt.Errorf("read %q: %w", path, err)
	}
	if kv.Secret == nil || kv.Secret.Data == nil && kv.Secret.WrapInfo == nil {
		return KV{}, fmt.Errorf("read %q: %w", path, ErrNotFound)
	}
	if engine == 2 {
		return kv, kv.fill()
	}
	kv.Data = kv.Secret.Data
	return kv, nil
}

// fill takes the fields out of an answer of version 2.
func (kv *KV) fill() error {
	kv.Data, _ = kv.Secret.Data["data"].(map[string]any)
	raw, err := json.Marshal(kv.Secret.Data["metadata"])
	if err != nil {
		return errNotJSON
	}
	var m struct {
		Version        int               `json:"version"`
		CreatedTime    string            `json:"created_time"`
		DeletionTime   string            `json:"deletion_time"`
		Destroyed      bool              `json:"destroyed"`
		CustomMetadata map[string]string `json:"custom_metadata"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return fmt.Errorf("read %q: the server's metadata cannot be read", kv.Mount+kv.Path)
	}
	kv.Version, kv.Destroyed, kv.CustomMetadata = m.Version, m.Destroyed, m.CustomMetadata
	// Absent times are empty texts: they stay zero.
	kv.Created, _ = time.Parse(time.RFC3339Nano, m.CreatedTime)
	kv.Deleted, _ = time.Parse(time.RFC3339Nano, m.DeletionTime)
	return nil
}
