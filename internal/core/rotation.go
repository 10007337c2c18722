package core

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/cofferhq/coffer/internal/audit"
	"github.com/cofferhq/coffer/internal/logical"
	"github.com/cofferhq/coffer/internal/mount"
	"github.com/cofferhq/coffer/internal/rotate"
	"github.com/cofferhq/coffer/internal/secret"
	"github.com/cofferhq/coffer/internal/storage"
)

// publisher is how rotations see the core. It does what it does as nobody's
// request: who may have a secret rotated was decided when the rotation was made.
type publisher struct{ *Core }

var _ rotate.House = publisher{}

// rotationsOf returns the names of the rotations that write secrets of a mount.
func (c *Core) rotationsOf(ctx context.Context, mountID string) (names []string, err error) {
	err = storage.View(ctx, c.barrier, func(tx *storage.Tx) error {
		all, err := c.rotator.Names(ctx, tx)
		if err != nil {
			return err
		}
		for _, name := range all {
			p, _, err := c.rotator.Get(ctx, tx, name)
			if err != nil {
				return err
			}
			if p.Target.MountID == mountID {
				names = append(names, name)
			}
		}
		return nil
	})
	return names, err
}

// target returns the mount of a rotation's target.
func (p publisher) target(t *rotate.Target) (*mount.Mounted, error) {
	m, err := p.mountByID(t.MountID)
	if err != nil {
		return nil, err
	}
	if m == nil || m.Leaving {
		return nil, logical.Invalid("the mount of the target is gone").
			WithHint("give the rotation another target, or delete it")
	}
	return m, nil
}

// call has the target's engine do one operation in tx, on the part of the secret
// that is at area: "data/" or "metadata/".
func (p publisher) call(ctx context.Context, tx *storage.Tx, t *rotate.Target, op logical.Op, area string, body json.RawMessage, id string) (json.RawMessage, error) {
	m, err := p.target(t)
	if err != nil {
		return nil, err
	}
	path := area + t.Path
	// That the mount is there becomes a condition of the commit.
	if e, err := mount.Get(ctx, tx, m.Namespace, m.ID); err != nil || e.Leaving {
		return nil, errors.Join(err, logical.ErrConflict)
	}
	endpoint, params := m.Engine.Endpoints.Find(path)
	if endpoint == nil || endpoint.Action(op) == nil {
		return nil, logical.Invalid("the target is not a secret of a KV mount of version 2")
	}
	action := endpoint.Action(op)
	r := &logical.Request{
		ID: id, Op: op, Path: path, Mount: m.Point, Body: body, Now: p.Now(), Part: tx.Below(m.Data),
	}
	if err := r.Accept(action.Fields, params, nil); err != nil {
		return nil, err
	}
	resp, err := action.Do(ctx, r)
	if err != nil {
		return nil, err
	}
	if resp == nil || resp.NotFound {
		return nil, logical.ErrNotFound
	}
	if err := leaveWord(tx, r); err != nil {
		return nil, err
	}
	return encode(resp.Data)
}

// Current implements [rotate.House].
func (p publisher) Current(ctx context.Context, t *rotate.Target) (fields map[string]secret.Bytes, version int, err error) {
	var raw json.RawMessage
	err = storage.View(ctx, p.barrier, func(tx *storage.Tx) error {
		raw, err = p.call(ctx, tx, t, logical.Read, "data/", nil, "")
		return err
	})
	if errors.Is(err, logical.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	var answer struct {
		Data     map[string]json.RawMessage `json:"data"`
		Metadata struct {
			Version int `json:"version"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, 0, errors.New("the target's answer is not that of a secret")
	}
	fields = make(map[string]secret.Bytes, len(answer.Data))
	for name, value := range answer.Data {
		var text string
		if json.Unmarshal(value, &text) == nil {
			fields[name] = secret.Text(text)
		}
	}
	return fields, answer.Metadata.Version, nil
}

// newest returns the number of the newest version of a secret, also if that is
// deleted; zero if there is no secret.
func (p publisher) newest(ctx context.Context, tx *storage.Tx, t *rotate.Target) (version int, err error) {
	raw, err := p.call(ctx, tx, t, logical.Read, "metadata/", nil, "")
	if errors.Is(err, logical.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var answer struct {
		Version int `json:"current_version"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return 0, errors.New("the target's answer is not that of a secret")
	}
	return answer.Version, nil
}

// Publish implements [rotate.House].
func (p publisher) Publish(ctx context.Context, tx *storage.Tx, t *rotate.Target, fields map[string]secret.Bytes, id string) (version int, err error) {
	newest, err := p.newest(ctx, tx, t)
	if err != nil {
		return 0, err
	}
	raw, err := p.write(ctx, tx, t, logical.Patch, fields, newest, id)
	if errors.Is(err, logical.ErrNotFound) { // there is none, or it is deleted
		raw, err = p.write(ctx, tx, t, logical.Write, fields, newest, id)
	}
	if err != nil {
		return 0, err
	}
	var written struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(raw, &written); err != nil {
		return 0, err
	}
	return written.Version, nil
}

// write writes fields, of which an empty one is removed by a patch and left out of
// a whole secret. The number of the newest version is for mounts that want it.
func (p publisher) write(ctx context.Context, tx *storage.Tx, t *rotate.Target, op logical.Op, fields map[string]secret.Bytes, newest int, id string) (json.RawMessage, error) {
	data := make(map[string]any, len(fields))
	for name, value := range fields {
		switch {
		case !value.Empty():
			data[name] = value.RevealText()
		case op == logical.Patch:
			data[name] = nil
		}
	}
	body, err := json.Marshal(map[string]any{"data": data, "options": map[string]int{"cas": newest}})
	if err != nil {
		return nil, err
	}
	return p.call(ctx, tx, t, op, "data/", body, id)
}

// Record implements [rotate.House].
func (p publisher) Record(ctx context.Context, e rotate.Entry) error {
	if err := p.record(ctx, e); err != nil {
		return &logical.Error{Kind: errInternal, Text: strings.Replace(notRecorded, "request", "rotation", 1), Err: err}
	}
	if e.Ended != nil && p.Rotated != nil {
		p.Rotated(e.Rotation, e.Ended)
	}
	return nil
}

// record puts an attempt on record as a request of the server to itself, and its
// end as the answer to that.
func (p publisher) record(ctx context.Context, e rotate.Entry) error {
	if p.devices.Empty() {
		return nil
	}
	entry := p.ownEntry(e.Attempt, "sys/coffer/rotation/"+e.Rotation+"/attempt")
	if e.Ended == nil {
		return p.devices.LogRequest(ctx, entry)
	}
	data, err := json.Marshal(e.Ended)
	if err != nil {
		return err
	}
	entry.Error, entry.Response, entry.PlainResponseKeys = e.Ended.Error, &audit.Response{Data: data}, evidenceKeys
	return p.logResponse(ctx, entry)
}

// evidenceKeys are told in the audit as they are: nothing of them is secret.
var evidenceKeys = []string{"id", "at", "pub", "ret", "end", "tested", "dead", "err"}
