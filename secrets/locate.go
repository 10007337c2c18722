package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/cofferhq/coffer/client"
)

// kind is what the server tells of the mount that a path lies in.
type kind uint8

const (
	unknown   kind = iota // the server tells nothing
	plain                 // any engine but KV version 2
	versioned             // KV version 2
)

// location is what to ask for what a reference names.
type location struct {
	path string // below /v1
	kind kind
	err  error
}

// locate asks the server for the mounts of all places, once a mount.
func (u *run) locate(ctx context.Context, templates map[string]Template) {
	// Places that cannot share a mount are looked for in parallel.
	groups := map[place][]place{} // namespace and first segment → places, in order
	for _, ref := range references(templates) {
		p := placeOf(ref)
		if u.places[p] != nil {
			continue
		}
		u.places[p] = &location{path: p.path}
		first, _, _ := strings.Cut(p.path, "/")
		groups[place{p.namespace, first}] = append(groups[place{p.namespace, first}], p)
	}
	var wg sync.WaitGroup
	for head, group := range groups {
		wg.Go(func() {
			u.resolver.slots <- struct{}{}
			defer func() { <-u.resolver.slots }()
			u.locateGroup(ctx, u.resolver.in(head.namespace), group)
		})
	}
	wg.Wait()
}

// locateGroup asks for one place after the other, and not for those below a
// mount that is known by then.
func (u *run) locateGroup(ctx context.Context, c *client.Client, group []place) {
	mounts := map[string]kind{} // with their trailing slashes
	var lost error              // the server cannot be reached: asking again makes all wait
	for _, p := range group {
		l := u.places[p]
		if l.err = lost; lost != nil {
			continue
		}
		mount, k := within(mounts, p.path)
		if mount == "" {
			mount, k, l.err = mountOf(ctx, c, p.path)
			if unreachable(l.err) {
				lost = l.err
			}
			if mount != "" {
				mounts[mount] = k
			}
		}
		l.kind = k
		if k == versioned {
			l.path = mount + "data/" + strings.TrimPrefix(strings.TrimPrefix(p.path+"/", mount), "data/")
			l.path = strings.TrimSuffix(l.path, "/")
		}
	}
}

func within(mounts map[string]kind, path string) (string, kind) {
	for mount, k := range mounts {
		if strings.HasPrefix(path+"/", mount) {
			return mount, k
		}
	}
	return "", unknown
}

// mountOf returns an empty mount, and no error, if the server does not tell: it
// is too old, or the token has no right to know. The path is asked for as it is
// then, and the server says what is wrong with it.
func mountOf(ctx context.Context, c *client.Client, path string) (string, kind, error) {
	mount, version, err := c.KVMount(ctx, path)
	switch {
	case client.StatusOf(err) == http.StatusForbidden, err == nil && mount == "":
		return "", unknown, nil
	case err != nil:
		return "", unknown, err
	case version == 2:
		return mount, versioned, nil
	}
	return mount, plain, nil
}

func unreachable(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, context.Canceled)
}

// versionOf tells an answer of KV version 2 by its shape.
func versionOf(data map[string]any) (version int, ok bool) {
	metadata, ok := data["metadata"].(map[string]any)
	if _, hasData := data["data"]; !ok || !hasData || len(data) != 2 {
		return 0, false
	}
	number, ok := metadata["version"].(json.Number)
	if _, isCreated := metadata["created_time"]; !ok || !isCreated {
		return 0, false
	}
	version, err := strconv.Atoi(number.String())
	return version, err == nil
}

// unpack takes the secret out of an answer of KV version 2.
func (a *answer) unpack(version int) error {
	a.Version = version
	if a.data, _ = a.data["data"].(map[string]any); a.data == nil {
		return absence(fmt.Sprintf("version %d is deleted", version))
	}
	if a.Asked != 0 && version != 0 && version != a.Asked {
		// A server that does not know the parameter gives the newest.
		a.data = nil
		return fmt.Errorf("the server gave version %d", version)
	}
	return nil
}
